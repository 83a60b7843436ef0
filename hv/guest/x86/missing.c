/* Stand-ins until the owners' code is there: each is weak. */
#include "x86.h"
#include "x86_devices.h"
#include <hv/pci.h>
#include <hv/files.h>
#define W __attribute__((weak))
W int x86_devices_create(struct vm *vm, const struct guest_config *c) { (void)vm; (void)c; return 0; }
W void x86_devices_destroy(struct vm *vm) { (void)vm; }
W int x86_power_button(struct vm *vm) { (void)vm; return -ENOTSUP; }
static int none(struct vcpu *v) { (void)v; return -1; }
W const struct vintc_ops x86_vintc = { .pending = none };
W int lapic_mmio(struct vcpu *v, uint32_t off, bool write, uint32_t *val) { (void)v; (void)off; (void)write; (void)val; return 0; }
W uint64_t lapic_page(const struct vcpu *v) { (void)v; return UINT64_MAX; }
W int lapic_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *val) { (void)v; (void)msr; (void)write; (void)val; return -EINVAL; }
W uint64_t lapic_get_base(const struct vcpu *v) { (void)v; return 0xfee00900; }
W int lapic_set_base(struct vcpu *v, uint64_t val) { (void)v; (void)val; return -EINVAL; }
W uint64_t lapic_get_tsc_deadline(struct vcpu *v) { (void)v; return 0; }
W void lapic_set_tsc_deadline(struct vcpu *v, uint64_t tsc) { (void)v; (void)tsc; }
W void lapic_tsc_changed(struct vcpu *v) { (void)v; }
W uint8_t lapic_get_cr8(const struct vcpu *v) { (void)v; return 0; }
W void lapic_set_cr8(struct vcpu *v, uint8_t c) { (void)v; (void)c; }
W bool lapic_take_init(struct vcpu *v) { (void)v; return false; }
W int lapic_take_sipi(struct vcpu *v) { (void)v; return -1; }
W bool lapic_has_signal(const struct vcpu *v) { (void)v; return false; }
W int lapic_set_pv_eoi(struct vcpu *v, uint64_t msr) { (void)v; (void)msr; return 0; }
W uint64_t lapic_get_pv_eoi(const struct vcpu *v) { (void)v; return 0; }
W int64_t lapic_pv_ipi(struct vcpu *v, uint64_t l, uint64_t h, uint64_t m, uint64_t i) { (void)v; (void)l; (void)h; (void)m; (void)i; return -EINVAL; }
W int vpci_create(struct vm *vm, const struct vpci_layout *l) { (void)vm; (void)l; return 0; }
W void vpci_destroy(struct vm *vm) { (void)vm; }
W int vio_build(struct vm *vm, const struct guest_config *c) { (void)vm; (void)c; return 0; }
W void vio_destroy(struct vm *vm) { (void)vm; }
#include <hv/gmem.h>
#include <hv/io.h>
W int gmem_read(struct vm *vm, gpa_t a, void *d, uint64_t n) { (void)vm; (void)a; (void)d; (void)n; return -EFAULT; }
W int gmem_write(struct vm *vm, gpa_t a, const void *d, uint64_t n) { (void)vm; (void)a; (void)d; (void)n; return -EFAULT; }
W int gmem_zero(struct vm *vm, gpa_t a, uint64_t n) { (void)vm; (void)a; (void)n; return -EFAULT; }
W int gmem_add_ram(struct vm *vm, gpa_t a, uint64_t n) { (void)vm; (void)a; (void)n; return -ENOMEM; }
W void *gmem_ptr(struct vm *vm, gpa_t a, uint64_t n, unsigned p) { (void)vm; (void)a; (void)n; (void)p; return NULL; }
W int io_dispatch(struct vm *vm, enum io_space s, struct io_access *a) { (void)vm; (void)s; a->val = UINT64_MAX; return -ENOENT; }
W void vm_kill(struct vm *vm, const char *f, ...) { (void)vm; (void)f; }
W void vm_request_reset(struct vm *vm, const char *f) { (void)vm; (void)f; }
W void vcpu_request(struct vcpu *v, uint32_t r) { (void)v; (void)r; }
W uint64_t vm_time_ns(const struct vm *vm) { (void)vm; return 0; }
