/* vgic_stub.c: until the interrupt controller is here, so that the rest builds. Weak: the real functions win. */
#include "arm.h"

static int stub_pending(struct vcpu *v) { (void)v; return -1; }
static void stub_line(struct vm *vm, uint32_t line, bool level) { (void)vm, (void)line, (void)level; }
static int stub_msi(struct vm *vm, uint32_t devid, uint64_t addr, uint32_t data) { (void)vm, (void)devid, (void)addr, (void)data; return -ENOTSUP; }
__attribute__((weak)) const struct vintc_ops vintc_arm = { .pending = stub_pending, .set_line = stub_line, .send_msi = stub_msi };
__attribute__((weak)) int vgic_create(struct vm *vm, const struct vgic_layout *l) { (void)vm, (void)l; return -ENOTSUP; }
__attribute__((weak)) unsigned vgic_host_version(const struct vm *vm) { (void)vm; return 0; }
__attribute__((weak)) int vgic_sysreg(struct vcpu *v, uint32_t id, bool write, uint64_t *val) { (void)v, (void)id, (void)write, (void)val; return -ENOENT; }
__attribute__((weak)) bool vgic_wakeable(struct vcpu *v) { (void)v; return false; }
__attribute__((weak)) void vgic_vcpu_reset(struct vcpu *v) { (void)v; }
__attribute__((weak)) void vtimer_sync_clock(struct vm *vm) { (void)vm; }
