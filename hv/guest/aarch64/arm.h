/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of an ARM64 guest's CPU and machine share. "Arm ARM" is DDI 0487, "SMCCC" DEN0028,
 * "PSCI" DEN0022.
 */
#pragma once
#include <hv/arm.h>
#include <hv/event.h>
#include <hv/guest.h>
#include <hv/io.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/seen.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include "platform.h"
#include "vgic.h"

/* PSTATE as SPSR_ELx holds it (Arm ARM C5.2.19). */
enum {
    PSTATE_SP = 1 << 0,
    PSTATE_EL = 3 << 2,
    PSTATE_NRW = 1 << 4,
    PSTATE_M = 0x1f,
    PSTATE_DAIF = 0xf << 6,
    PSTATE_BTYPE = 3 << 10,
    PSTATE_SSBS = 1 << 12,
    PSTATE_IL = 1 << 20,
    PSTATE_SS = 1 << 21,
    PSTATE_PAN = 1 << 22,
    PSTATE_UAO = 1 << 23,
    PSTATE_DIT = 1 << 24,
    PSTATE_TCO = 1 << 25,
    PSTATE_EL1T = 4,
    PSTATE_EL1H = 5,
};
#define PSTATE_NZCV 0xf0000000ull
#define PSTATE_RESET ((uint64_t)(PSTATE_DAIF | PSTATE_EL1H))

/* ESR_EL1: EC 31:26, IL 25, ISS (Arm ARM D17.2.37). */
enum {
    ESR_EC_UNKNOWN = 0x00,
    ESR_EC_HVC64 = 0x16,
    ESR_EC_SMC64 = 0x17,
    ESR_EC_IABT_LOW = 0x20,
    ESR_EC_IABT = 0x21,
    ESR_EC_DABT_LOW = 0x24,
    ESR_EC_DABT = 0x25,
    ESR_IL = 1 << 25,
    ISS_WNR = 1 << 6,
    ISS_S1PTW = 1 << 7,
    ISS_CM = 1 << 8,
    FSC_TRANSLATION = 0x04,
    FSC_ACCESS = 0x08,
    FSC_PERMISSION = 0x0c,
    FSC_EXTERNAL = 0x10,
    FSC_EXTERNAL_WALK = 0x14,
    FSC_ALIGNMENT = 0x21,
};
#define ESR_EC(esr) ((unsigned)((esr) >> 26) & 0x3f)

/* SCTLR_EL1 (D17.2.118) and TCR_EL1 (D17.2.131) */
#define SCTLR_M (1ull << 0)
#define SCTLR_SPAN (1ull << 23)
#define SCTLR_E0E (1ull << 24)
#define SCTLR_EE (1ull << 25)
#define SCTLR_DSSBS (1ull << 44)

/* PSCI's view of a vCPU; machine->lock. */
enum arm_power { ARM_OFF, ARM_ON_PENDING, ARM_ON };
/*
 * All that the guest can see of a vCPU and that neither the engine nor the interrupt controller
 * holds.
 */
struct arm_state {
    uint32_t power; /* enum arm_power */
    uint32_t zero;
    uint64_t entry, context; /* of the CPU_ON that is pending */
    uint64_t stolen_ns;      /* as last written to the guest */
};
static_assert(sizeof(struct arm_state) == 32, "layout of images");
struct arm_vcpu {
    struct arm_state s;
    uint64_t stolen_before; /* ns stolen before this vCPU was restored */
};

struct arm_devices;
struct load;
struct arm_machine {
    struct spinlock lock; /* LOCK_DEVICE: power states */
    struct arm_devices *devices;
    struct load *load; /* while the kernel is being loaded */
    uint8_t gic;       /* version of the guest's GIC: 2 or 3 */
    bool pv;
    struct seen seen_page;
};

static inline struct arm_vcpu *arm_of(const struct vcpu *v) { return v->guest; }
static inline struct arm_machine *arm_machine_of(const struct vcpu *v) { return v->vm->guest; }
static inline bool arm_at_el0(const struct vcpu *v)
{
    return (v->regs.flags & PSTATE_NRW) != 0 || (v->regs.flags & PSTATE_EL) == 0;
}
/* A system register that every engine has. */
static inline uint64_t arm_get(struct vcpu *v, uint32_t id)
{
    uint64_t val = 0;

    return v->ops->get_sysreg(v, id, &val) == 0 ? val : 0;
}
/* For values that cannot be wrong; a refusal is our own mistake and is logged. */
void arm_set(struct vcpu *v, uint32_t id, uint64_t val);
/* X<n>, 31 being XZR */
static inline uint64_t arm_x(const struct vcpu *v, unsigned n)
{
    return n == 31 ? 0 : v->regs.gpr[n];
}
static inline void arm_set_x(struct vcpu *v, unsigned n, uint64_t val)
{
    if (n != 31)
        v->regs.gpr[n] = val;
}

/* inject.c: <hv/arm.h> has them as an engine's calls. */
void arm_raise_undefined(struct vcpu *);
void arm_raise_sync(struct vcpu *, uint64_t esr, uint64_t far);
void arm_raise_serror(struct vcpu *, uint64_t iss);
/*
 * An abort of the access that caused exit `syndrome`: fsc is the fault status code
 * (D17.2.37, "ISS encoding for an exception from a Data Abort").
 */
void arm_raise_abort(struct vcpu *v, uint64_t syndrome, uint64_t far, bool exec, bool write,
                     unsigned fsc);

/* walk.c: the guest's stage 1. */
struct arm_access_kind {
    bool write, exec, el0;
};
/*
 * 0: *pa. -EFAULT: *fsc is the fault status code of the abort that the CPU would take. Bounded: 5
 * reads.
 */
int must_check arm_walk(struct vcpu *v, uint64_t va, struct arm_access_kind kind, uint64_t *pa,
                        unsigned *fsc);

/* emulate.c */
int must_check arm_emulate(struct vcpu *v, struct vcpu_exit *e);

/* psci.c */
int must_check arm_call(struct vcpu *v, struct vcpu_exit *e);
void arm_psci_request(struct vcpu *v); /* REQ_GUEST: a CPU_ON for this vCPU */
/* ns in which the vCPU wanted to run and could not, since the guest was started */
static inline uint64_t arm_stolen_ns(const struct vcpu *v)
{
    return arm_of(v)->stolen_before + v->sched.steal_ns;
}
void arm_steal_update(struct vcpu *v); /* tells the guest its stolen time when it has grown */
void arm_steal_tell(struct vcpu *v);   /* what its state says; the VM is parked, or it runs here */
void arm_steal_init(struct vm *vm);

/* state.c: the machine's objects, <hv/state.h> */
struct state_arm_machine {
    uint64_t hz; /* of the counter, CNTFRQ_EL0 */
    uint32_t pv; /* it has stolen time */
    uint32_t zero;
};
static_assert(sizeof(struct state_arm_machine) == 16, "layout of images");
extern const struct state_ops *const arm_states[];
extern const struct state_pages *const arm_pages[];

/* build.c */
int must_check arm_build(struct vm *vm, const struct guest_config *c);
int must_check arm_build_more(struct vm *vm);
void arm_destroy(struct vm *vm);
int must_check arm_ram_layout(struct vm *vm, const struct guest_config *c);
