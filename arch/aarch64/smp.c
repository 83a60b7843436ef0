/* SPDX-License-Identifier: BSD-2-Clause */
/* smp.c: starts every CPU by PSCI CPU_ON (DEN 0022 section 5.6), one after the other. */
#include <arch/common.h>
#include <arch/cpu.h>
#include <arch/mmu.h>
#include <arch/smp.h>
#include <arch/timer.h>

#include <hv/assert.h>
#include <hv/log.h>
#include <hv/platform.h>
#include <stdlib.h>

#include "insn.h"
#include "private.h"

/* MPIDR_EL1.MT: affinity level 0 numbers the threads of a core (Arm ARM D19.2.100). */
/* Nothing is compiled for this host. */
void arch_code_enter(const struct vm *vm) { (void)vm; }

uint32_t arch_core_id(uint32_t cpu)
{
    uint32_t id = percpus[cpu].hw_id;

    return read_sysreg(mpidr_el1) >> 24 & 1 ? id >> 8 : id;
}

/* What arm_ap_start in entry.S reads, with its caches off. */
struct ap_start {
    uint64_t hcr, tcr, mair, sctlr, first_root, root, stack, entry, cpu;
} __attribute__((aligned(128)));
static_assert(offsetof(struct ap_start, cpu) == 64, "entry.S: arm_ap_start");

void arm_ap_start(void);
void arm_ap_high(void);

static struct ap_start start;

static bool wake(uint64_t mpidr)
{
    ap_expect();
    cache_clean(&start, sizeof start);
    int64_t err = (int64_t)psci_call(PSCI_CPU_ON, mpidr, mmu_image_phys((const void *)arm_ap_start),
                                     mmu_image_phys(&start));
    if (err) {
        log_err("the firmware does not start the CPU with MPIDR %llx: PSCI error %lld",
                (unsigned long long)mpidr, (long long)err);
        return false;
    }
    if (ap_answered(AP_ANSWER_NS) || !ap_give_up())
        return true;
    log_err("the CPU with MPIDR %llx does not answer: it is left out", (unsigned long long)mpidr);
    return false;
}

static int start_cpu(uint64_t mpidr)
{
    struct arm_cpu *cpu = calloc(1, sizeof *cpu); /* charge: Trivet's own */
    struct percpu *p = ap_prepare();

    if (!cpu || !p)
        return -ENOMEM;
    cpu->mpidr = mpidr;
    p->hw_id = arm_hw_id(mpidr);
    p->arch = cpu;
    start.stack = (uint64_t)p->stack_top;
    start.cpu = p->id;
    if (wake(mpidr))
        ap_go();
    return 0;
}

static int smp_prepare(void)
{
    start = (struct ap_start){ .hcr = read_sysreg(hcr_el2),
                               .tcr = arm_tcr(),
                               .mair = MAIR_HOST,
                               .sctlr = arm_sctlr(),
                               .first_root = mmu_ap_root(),
                               .root = mmu_root(),
                               .entry = (uint64_t)arm_ap_high };
    return start.first_root ? 0 : -ENOMEM;
}

int smp_init(const struct boot_info *bi)
{
    const struct platform *p = &the_platform;
    int err = psci_init();

    assert_cpu0();
    (void)bi;
    if (err)
        return 0;
    if (p->ncpus > 1)
        err = smp_prepare();
    for (uint32_t i = 0; i < p->ncpus && !err; i++) {
        if (p->mpidr[i] == arm_this()->mpidr)
            continue;
        if (cpu_count == cpu_most) {
            log_warn("this machine has %u CPUs; Trivet uses the first %u", p->ncpus, cpu_most);
            break;
        }
        err = start_cpu(p->mpidr[i]);
    }
    return err;
}

/* On the new CPU, on its own stack. */
_Noreturn void arm_ap_entry(uint32_t id)
{
    struct percpu *self = &percpus[id];

    arm_set_percpu(self);
    if (arch_cpu_init() || gic_cpu_init() || timer_cpu_init())
        cpu_halt_forever();
    ap_arrive();
    log_info("CPU %u: MPIDR %llx is up", id,
             (unsigned long long)((struct arm_cpu *)self->arch)->mpidr);
    ap_main();
}
