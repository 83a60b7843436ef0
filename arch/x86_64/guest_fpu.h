/* SPDX-License-Identifier: BSD-2-Clause */
/* guest_fpu.h: the guest state that stays in the CPU between exits, the same under SVM and VMX. */
#pragma once
#include <hv/types.h>
#include <hv/vcpu.h>

/* What this machine has of it; the same on every CPU. Filled by guest_fpu_probe(). */
struct guest_fpu_caps {
    bool ibpb, rdtscp;
    bool no_xsavec; /* there, but wrong: not for guests */
    /* every XSAVE component of the host; 0: no XSAVE, FXSAVE is used */
    uint64_t xcr0;
    uint32_t size; /* bytes of the state area */
};
extern struct guest_fpu_caps guest_fpu_caps;

/* One vCPU's, current unless it is loaded on a CPU. */
struct guest_fpu {
    void *area; /* XSAVE or FXSAVE; owned */
    uint64_t xcr0;
    uint64_t dr[4];
    uint64_t tsc_aux;
    uint8_t order;
};

/* True when this CPU holds v's FPU, debug registers and TSC_AUX. */
bool guest_loaded(const struct vcpu *v);
int must_check guest_fpu_probe(void);
int must_check guest_fpu_init(struct vcpu *, struct guest_fpu *); /* reset state; -ENOMEM */
void guest_fpu_fini(struct vcpu *, struct guest_fpu *);
void guest_fpu_load(const struct vcpu *, struct guest_fpu *);
void guest_fpu_unload(struct guest_fpu *);
/* as vcpu_ops.get_fpu_regs */
int must_check guest_fpu_get(struct vcpu *, struct guest_fpu *, void *state, size_t *len);
/* as vcpu_ops.set_fpu_regs */
int must_check guest_fpu_set(struct vcpu *, struct guest_fpu *, const void *state, size_t len);
/*
 * XCR0, DR0 to DR3 and TSC_AUX. -ENOENT: not one of them, or the CPU has none. -EINVAL: a value
 * that the CPU refuses.
 */
int must_check guest_fpu_get_reg(const struct vcpu *, const struct guest_fpu *, uint32_t id,
                                 uint64_t *val);
int must_check guest_fpu_set_reg(const struct vcpu *, struct guest_fpu *, uint32_t id,
                                 uint64_t val);
