/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smt.c: what is done with the threads of a core: as the configuration says, else what the CPU
 * needs.
 */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/log.h>
#include <hv/mitigations.h>
#include <hv/percpu.h>
#include <hv/sched.h>

#include "turn.h"

/* AUTO: no CPU has threads, or nothing was chosen yet */
static enum sched_smt chosen = SMT_AUTO;

bool sched_has_threads(void)
{
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
        if (turn_has_threads(cpu))
            return true;
    return false;
}

const char *sched_smt_text(void)
{
    static const char *const text[] = {
        [SMT_AUTO] = "one thread per core",
        [SMT_OFF] = "off: the other threads of each core are parked",
        [SMT_CORE] = "core: the threads of a core run vCPUs of one guest at a time",
        [SMT_ON] = "on: the threads of a core run vCPUs of any guests",
    };

    return text[chosen];
}

void sched_smt_choose(void)
{
    enum sched_smt asked = the_config.host.smt;
    bool needed = mitigations_get()->core;

    assert_cpu0();
    hv_assert(chosen == SMT_AUTO);
    if (!sched_has_threads()) {
        log_info("SMT: %s", sched_smt_text());
        return;
    }
    chosen = asked != SMT_AUTO ? asked : needed ? SMT_CORE : SMT_ON;
    sched_set_smt(chosen);
    log_info("SMT: %s (%s; %s)", sched_smt_text(),
             needed ? "this CPU leaks between the threads of a core"
                    : "no leak between threads is known for this CPU",
             asked == SMT_AUTO ? "chosen automatically" : "as configured");
    if (needed && chosen == SMT_ON)
        log_warn("SMT: guests can spy on one another through the threads of a core; `smt = core` "
                 "in [host] prevents that");
}
