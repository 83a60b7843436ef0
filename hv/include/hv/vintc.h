/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtual interrupt controllers: LAPIC + IOAPIC + PIC, GIC, PLIC. */
#pragma once
#include <hv/types.h>
struct vm;
struct vcpu;
struct vcpu_exit;
struct vintc_ops {
    int (*vm_init)(struct vm *);
    void (*vm_fini)(struct vm *);
    int (*vcpu_init)(struct vcpu *);
    void (*vcpu_fini)(struct vcpu *);
    /* x86: GSI 0..23 (ISA IRQs are GSIs; the PIC sees 0..15 too) */
    void (*set_line)(struct vm *, uint32_t line, bool level);
    int (*send_msi)(struct vm *, uint32_t devid, uint64_t addr, uint32_t data);
    /* own CPU: best deliverable vector or INTID, else -1 */
    int (*pending)(struct vcpu *);
    /* own CPU: it is being injected; returns the vector to inject */
    int (*accept)(struct vcpu *, int vec);
    void (*enter)(struct vcpu *); /* if v->vintc_hooks: just before run */
    void (*leave)(struct vcpu *); /* if v->vintc_hooks: just after run */
    /* own CPU: EXIT_VINTC; NULL: no engine of this ISA has it */
    void (*exit)(struct vcpu *, struct vcpu_exit *);
};
/*
 * Any CPU, any context, no VINTC-level lock held; wakes and kicks the target vCPU. A line of one
 * owner: the level counts, repeats do nothing. A line that devices share (x86: 16..23, PCI INTx)
 * counts asserted sources: each owner calls only when its own level changes.
 */
void virq_set(struct vm *, uint32_t line, bool level);
int must_check virq_msi(struct vm *, uint32_t devid, uint64_t addr, uint32_t data);
