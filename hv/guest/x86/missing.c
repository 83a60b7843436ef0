/* Stand-ins until the owners' code is there: each is weak. */
#include "x86.h"
#include "x86_devices.h"
#include <hv/pci.h>
#include <hv/files.h>
#define W __attribute__((weak))
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
