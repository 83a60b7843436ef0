/* pending.c: TEMPORARY: what other parts will define. */
#include <hv/console.h>
#include <hv/sched.h>
#include <hv/vcpu.h>

__attribute__((weak)) void vcpu_run(struct vcpu *v) { sched_put(v, false); }
__attribute__((weak)) void vcpu_unload_remote(struct vcpu *v) { (void)v; }
__attribute__((weak)) void console_panic_write(const char *s, size_t n) { (void)s, (void)n; }
