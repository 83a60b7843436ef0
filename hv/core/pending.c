/* pending.c: TEMPORARY: what hv/vm will define. */
#include <hv/gmem.h>
#include <hv/sched.h>
#include <hv/vcpu.h>
#include <hv/vm.h>

__attribute__((weak)) void vcpu_run(struct vcpu *v) { sched_put(v, false); }
__attribute__((weak)) void vcpu_unload_remote(struct vcpu *v) { (void)v; }
__attribute__((weak)) int vcpu_backends_init(void) { return -ENOTSUP; }
__attribute__((weak)) const struct vcpu_ops *vcpu_backend(enum isa i) { (void)i; return NULL; }
__attribute__((weak)) const char *const exit_reason_names[EXIT_REASONS] = { "" };
__attribute__((weak)) const char *const vm_state_names[6] = { "off", "", "", "", "", "" };
__attribute__((weak)) struct vm *vm_by_index(uint32_t i) { (void)i; return NULL; }
__attribute__((weak)) struct vm *vm_find(const char *n) { (void)n; return NULL; }
__attribute__((weak)) uint32_t vm_count(void) { return 0; }
__attribute__((weak)) int vm_init(void) { return 0; }
__attribute__((weak)) int vm_define(const struct guest_config *c, struct vm **v) { (void)c, (void)v; return -ENOTSUP; }
__attribute__((weak)) int vm_start(struct vm *v) { (void)v; return -ENOTSUP; }
__attribute__((weak)) int vm_pause(struct vm *v) { (void)v; return -ENOTSUP; }
__attribute__((weak)) int vm_resume(struct vm *v) { (void)v; return -ENOTSUP; }
__attribute__((weak)) int vm_power_button(struct vm *v) { (void)v; return -ENOTSUP; }
__attribute__((weak)) void vm_request_off(struct vm *v, const char *w) { (void)v, (void)w; }
__attribute__((weak)) void vm_request_reset(struct vm *v, const char *w) { (void)v, (void)w; }
__attribute__((weak)) uint64_t vm_time_ns(const struct vm *v) { (void)v; return 0; }
__attribute__((weak)) void vm_tlb_flush(struct vm *v, gpa_t g, uint64_t l) { (void)v, (void)g, (void)l; }
