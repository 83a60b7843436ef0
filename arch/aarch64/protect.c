/* protect.c: proves at each boot that the page tables protect what they should, by trying. Some thousand instructions. */
#include <arch/mmu.h>

#include <hv/log.h>

#include "private.h"

extern uint8_t __text_start[], __rodata_start[], boot_stack_guard[], arm_a_return[];
static uint32_t code_in_data[4] = { 0xd65f03c0 };   /* RET */

enum probe { PROBE_READ, PROBE_WRITE, PROBE_EXEC };

/* entry.S: true when the access faults. Boot CPU only, before the others run. */
bool arm_probe(enum probe, const void *at);

static bool must_fault(enum probe p, const void *at, const char *what)
{
    if (arm_probe(p, at))
        return true;
    log_err("memory protection does not hold: %s", what);
    return false;
}

int arm_protection_check(uint64_t image_phys, uint64_t image_virt)
{
    uint8_t *alias = phys_to_virt(hpa(image_phys + ((uint64_t)arm_a_return - image_virt)));
    bool good = must_fault(PROBE_WRITE, __text_start, "code can be written");

    good &= must_fault(PROBE_WRITE, __rodata_start, "constants can be written");
    good &= must_fault(PROBE_EXEC, code_in_data, "data can be executed");
    good &= must_fault(PROBE_WRITE, alias, "code can be written through the direct map");
    good &= must_fault(PROBE_EXEC, alias, "the direct map can be executed");
    good &= must_fault(PROBE_READ, boot_stack_guard, "the stack has no guard page");
    good &= must_fault(PROBE_READ, NULL, "address 0 is mapped");
    if (arm_features.bti)
        good &= must_fault(PROBE_EXEC, arm_a_return + 4, "an indirect call may end anywhere");
    if (arm_probe(PROBE_READ, code_in_data) || arm_probe(PROBE_EXEC, arm_a_return)) {
        log_err("the check of memory protection does not work");
        good = false;
    }
    log_info("memory protection holds: W^X, guard pages%s", arm_features.bti ? ", BTI" : "");
    return good ? 0 : -EFAULT;
}
