/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * psci.c: the firmware's Power State Coordination Interface, DEN 0022: CPUs on, machine off,
 * machine again.
 */
#include <arch/cpu.h>

#include <hv/assert.h>
#include <hv/log.h>
#include <hv/platform.h>

#include "private.h"

#define NOT_SUPPORTED ((uint64_t)-1)

uint64_t psci_call(uint64_t fn, uint64_t a, uint64_t b, uint64_t c)
{
    struct smccc call = { { fn, a, b, c } };

    if (the_platform.psci == PSCI_SMC)
        smccc_smc(&call);
    else if (the_platform.psci == PSCI_HVC) /* EL2 itself lives on a hypervisor */
        smccc_hvc(&call);
    else
        return NOT_SUPPORTED;
    return call.x[0];
}

/*
 * SMCCC §3.4: only PSCI 1.0 can say that SMCCC_VERSION may be called. SMC only: HVC at EL2 leads
 * back to EL2.
 */
static bool has_smccc_1_1(void)
{
    enum { SMCCC_VERSION = (int)0x80000000, SMCCC_1_1 = 0x10001 };

    return the_platform.psci == PSCI_SMC &&
           (int32_t)psci_call(PSCI_FEATURES, (uint32_t)SMCCC_VERSION, 0, 0) >= 0 &&
           (int32_t)psci_call((uint32_t)SMCCC_VERSION, 0, 0, 0) >= SMCCC_1_1;
}

int32_t smccc_arch_feature(uint32_t id)
{
    enum { SMCCC_ARCH_FEATURES = (int)0x80000001 };

    return has_smccc_1_1() ? (int32_t)psci_call((uint32_t)SMCCC_ARCH_FEATURES, id, 0, 0) : -1;
}

/* DEN0098 §2: TRNG_RND64 gives at most 192 bits, the lowest in X3. */
uint32_t smccc_entropy(uint64_t *words, uint32_t n)
{
    enum {
        TRNG_VERSION = (int)0x84000050,
        TRNG_RND64 = (int)0xc4000053,
        TRNG_1_0 = 0x10000,
        WORD_BITS = 64
    };
    uint32_t got = 0;

    if (!has_smccc_1_1() || (int32_t)psci_call((uint32_t)TRNG_VERSION, 0, 0, 0) < TRNG_1_0)
        return 0;
    while (got < n) {
        struct smccc call = { { (uint32_t)TRNG_RND64, WORD_BITS } };

        smccc_smc(&call);
        if (call.x[0] != 0)
            break;
        words[got++] = call.x[3];
    }
    return got;
}

int psci_init(void)
{
    uint32_t version = (uint32_t)psci_call(PSCI_VERSION, 0, 0, 0);

    assert_cpu0();
    if (the_platform.psci == PSCI_NONE || version >> 31 || version < 2) {
        log_err("the firmware offers no PSCI 0.2 or later: only the boot CPU is used, and you must "
                "switch the machine off by hand");
        return -ENOTSUP;
    }
    log_info("PSCI %u.%u by %s", (unsigned)(version >> 16), (unsigned)(version & 0xffff),
             the_platform.psci == PSCI_SMC ? "SMC" : "HVC");
    return 0;
}

_Noreturn void arch_reboot(void)
{
    (void)psci_call(PSCI_SYSTEM_RESET, 0, 0, 0);
    log_err("this machine cannot be restarted by software: restart it by hand");
    cpu_halt_forever();
}

_Noreturn void arch_poweroff(void)
{
    (void)psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
    log_err("this machine cannot be powered off by software: switch it off by hand");
    cpu_halt_forever();
}
