/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checks of a VM entry over whatever a VMCS and a CPU may hold. The answer is the first rule
 * that is broken, or none; and it changes only when a field has changed that it reads.
 */
#include "arch/x86_64/vmcs.h"
#include "arch/x86_64/vmx_check.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS = 0x8000, WIDTHS = 0x6c1f };
static uint64_t vmcs[FIELDS];
static uint32_t asked; /* the field that was changed last: has it been read? */
static bool read_it;

static uint64_t read_vmcs(uint32_t field)
{
    if (field >= FIELDS)
        abort();
    read_it |= field == asked;
    return vmcs[field];
}

static struct vmx_limits limits;

/*
 * The first rule that is broken; all are asked, so that each sees states that an earlier one
 * refuses.
 */
static const char *first_broken(const struct vmx_fields *f)
{
    const char *why = NULL;

    for (unsigned i = 0; i < vmx_control_rule_count; i++)
        if (vmx_control_rules[i].broken(f) && !why)
            why = vmx_control_rules[i].why;
    for (unsigned i = 0; i < vmx_guest_rule_count; i++)
        if (vmx_guest_rules[i].broken(f) && !why)
            why = vmx_guest_rules[i].why;
    return why;
}

/* Interesting values: bits, borders, addresses. */
static uint64_t value(const uint8_t *op)
{
    uint64_t v = op[3] | (uint64_t)op[4] << 8 | (uint64_t)op[5] << 16 | (uint64_t)op[6] << 24;

    return op[2] & 1   ? v
           : op[2] & 2 ? 1ull << (op[3] & 63)
           : op[2] & 4 ? v << 32 | v
                       : (uint64_t)(int64_t)(int32_t)v;
}

static void set_limit(const uint8_t *op)
{
    struct vmx_allowed *words[] = { &limits.pin, &limits.primary, &limits.secondary, &limits.exit,
                                    &limits.entry };

    if (op[1] < 0x80)
        *words[op[1] % ARRAY_SIZE(words)] =
            (struct vmx_allowed){ (uint32_t)(value(op) & value(op) >> 3), UINT32_MAX };
    else
        *(op[1] & 1 ? &limits.misc : op[1] & 2 ? &limits.basic : &limits.ept) = value(op);
    limits.phys_bits = (uint8_t)(32 + op[6] % 21);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmx_fields f = { .read = read_vmcs, .limits = &limits };
    const char *before, *why;

    memset(vmcs, 0, sizeof vmcs);
    limits = (struct vmx_limits){ .pin = { 0, ~0u },
                                  .primary = { 0, ~0u },
                                  .secondary = { 0, ~0u },
                                  .exit = { 0, ~0u },
                                  .entry = { 0, ~0u },
                                  .cr0_may = UINT64_MAX,
                                  .cr4_may = UINT64_MAX,
                                  .phys_bits = 40 };
    for (; size >= 7; data += 7, size -= 7) {
        asked = (uint32_t)(data[0] | (data[1] & 0x7f) << 8) & WIDTHS;
        if (data[0] == 0xff) {
            set_limit(data);
            continue;
        }
        f.vtpr = data[2];
        before = vmx_check(&f);
        vmcs[asked] = value(data);
        read_it = false;
        why = vmx_check(&f);
        if (why != first_broken(&f))
            abort();
        if (why != before && !read_it)
            abort();
    }
    for (uint64_t n = 0; n < 40; n++)
        if (!vmx_insn_error(n))
            abort();
    return 0;
}
