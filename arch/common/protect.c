/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * protect.c: proves at each boot that the page tables protect what they should, by trying. Some
 * thousand instructions.
 */
#include <arch/common.h>
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/log.h>
#include <string.h>

extern uint8_t __text_start[], __rodata_start[], boot_stack_guard[];
static uint8_t code_in_data[8] __attribute__((aligned(8)));

bool must_fault(enum probe p, const void *at, const char *what)
{
    if (arch_probe(p, at))
        return true;
    log_err("memory protection does not hold: %s", what);
    return false;
}

int protection_check(void)
{
    uint8_t *alias = phys_to_virt(hpa(mmu_image_phys(arch_a_return)));
    bool good = must_fault(PROBE_WRITE, __text_start, "code can be written");

    assert_cpu0();
    memcpy(code_in_data, arch_a_return, sizeof code_in_data);
    good &= must_fault(PROBE_WRITE, __rodata_start, "constants can be written");
    good &= must_fault(PROBE_EXEC, code_in_data, "data can be executed");
    good &= must_fault(PROBE_WRITE, alias, "code can be written through the direct map");
    good &= must_fault(PROBE_EXEC, alias, "the direct map can be executed");
    good &= must_fault(PROBE_READ, boot_stack_guard, "the stack has no guard page");
    good &= must_fault(PROBE_READ, NULL, "address 0 is mapped");
    if (arch_probe(PROBE_READ, code_in_data) || arch_probe(PROBE_EXEC, arch_a_return)) {
        log_err("the memory protection check itself does not work");
        good = false;
    }
    return good ? 0 : -EFAULT;
}
