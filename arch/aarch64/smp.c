/* smp.c: starts every CPU by PSCI CPU_ON (DEN 0022 section 5.6), one after the other. */
#include <arch/cpu.h>
#include <arch/mmu.h>
#include <arch/smp.h>
#include <arch/timer.h>

#include <hv/log.h>
#include <hv/platform.h>
#include <hv/time.h>
#include <stdlib.h>

#include "private.h"

#define ANSWER_NS 1000000000ull         /* a CPU that needs longer is left out */

/* What arm_ap_start in entry.S reads, with its caches off. */
struct ap_start {
    uint64_t hcr, tcr, mair, sctlr, first_root, root, stack, entry, cpu;
} __attribute__((aligned(128)));
static_assert(offsetof(struct ap_start, cpu) == 64, "entry.S: arm_ap_start");

void arm_ap_start(void);
void arm_ap_high(void);

enum { AP_STARTING = 1, AP_UP, AP_GIVEN_UP, AP_GO };
static uint32_t ap_state;
static struct ap_start start;

/* Waits for the CPU to say that it is up. */
static bool answered(uint64_t ns)
{
    uint64_t end = time_ns() + ns;

    while (__atomic_load_n(&ap_state, __ATOMIC_ACQUIRE) != AP_UP) {
        if (time_ns() > end)
            return false;
        cpu_relax();
    }
    return true;
}

static bool wake(uint64_t mpidr)
{
    uint32_t expected = AP_STARTING;

    __atomic_store_n(&ap_state, AP_STARTING, __ATOMIC_RELEASE);
    cache_clean(&start, sizeof start);
    int64_t err = (int64_t)psci_call(PSCI_CPU_ON, mpidr, mmu_image_phys((const void *)arm_ap_start), mmu_image_phys(&start));
    if (err) {
        log_err("the firmware does not start the CPU with MPIDR %llx: PSCI error %lld", (unsigned long long)mpidr, (long long)err);
        return false;
    }
    if (answered(ANSWER_NS))
        return true;
    if (!__atomic_compare_exchange_n(&ap_state, &expected, AP_GIVEN_UP, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return true;
    log_err("the CPU with MPIDR %llx does not answer: it is left out", (unsigned long long)mpidr);
    return false;
}

static int start_cpu(uint64_t mpidr)
{
    uint32_t id = cpu_count;
    struct arm_cpu *cpu = calloc(1, sizeof *cpu);
    void *stack = mmu_alloc_stack(id);

    if (!cpu || !stack)
        return -ENOMEM;
    cpu->mpidr = mpidr;
    percpus[id] = (struct percpu){ .self = &percpus[id], .id = id, .hw_id = arm_hw_id(mpidr), .stack_top = stack, .arch = cpu };
    start.stack = (uint64_t)stack;
    start.cpu = id;
    if (!wake(mpidr))
        return 0;                       /* its stack stays: it may still wake up on it */
    cpu_count = id + 1;
    __atomic_store_n(&ap_state, AP_GO, __ATOMIC_RELEASE);
    return 0;
}

static int prepare(void)
{
    start = (struct ap_start){ .hcr = read_sysreg(hcr_el2), .tcr = arm_tcr(), .mair = MAIR_HOST, .sctlr = arm_sctlr(),
                               .first_root = mmu_ap_root(), .root = mmu_root(), .entry = (uint64_t)arm_ap_high };
    return start.first_root ? 0 : -ENOMEM;
}

int smp_init(const struct boot_info *bi)
{
    const struct platform *p = &the_platform;
    int err = psci_init();

    (void)bi;
    if (err)
        return 0;
    if (p->ncpus > 1)
        err = prepare();
    for (uint32_t i = 0; i < p->ncpus && !err; i++) {
        if (p->mpidr[i] == arm_this()->mpidr)
            continue;
        if (cpu_count == MAX_CPUS) {
            log_warn("this machine has %u CPUs; Trivet uses the first %u", p->ncpus, MAX_CPUS);
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
    uint32_t expected = AP_STARTING;

    arm_set_percpu(self);
    if (arch_cpu_init() || gic_cpu_init() || timer_cpu_init())
        cpu_halt_forever();
    if (!__atomic_compare_exchange_n(&ap_state, &expected, AP_UP, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        cpu_halt_forever();
    while (__atomic_load_n(&ap_state, __ATOMIC_ACQUIRE) == AP_UP)
        cpu_relax();
    log_info("CPU %u: MPIDR %llx is up", id, (unsigned long long)((struct arm_cpu *)self->arch)->mpidr);
    ap_main();
}
