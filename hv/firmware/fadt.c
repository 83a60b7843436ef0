/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fadt.c: the FADT's registers (ACPI 6.5 section 5.2.9) and the _S5_ package (section 7.4.2), for
 * power off and reset.
 */
#include <string.h>

#include "acpi_private.h"

#define FLAG_TMR_32BIT (1u << 8)
#define FLAG_RESET (1u << 10)
#define FLAG_HW_REDUCED (1u << 20)
#define BOOT_8042 (1u << 1)
#define BOOT_NO_VGA (1u << 2)
#define BOOT_NO_RTC (1u << 5) /* the CMOS RTC */

/* The extended field where it is filled in, else the 32-bit port of ACPI 1.0. */
static struct acpi_gas fadt_reg_of(struct bytes b, uint32_t xoff, uint32_t off, uint8_t bits)
{
    struct acpi_gas g = acpi_gas_at(b, xoff);

    if (g.addr && (g.space == ACPI_IO || g.space == ACPI_MEMORY))
        return g;
    return (struct acpi_gas){ .addr = acpi_get(b, off, 4), .space = ACPI_IO, .bits = bits };
}

void acpi_parse_fadt(struct acpi_info *out, struct bytes b, uint64_t *dsdt)
{
    struct acpi_power *p = &out->power;
    uint32_t flags = (uint32_t)acpi_get(b, 112, 4), boot = (uint32_t)acpi_get(b, 109, 2);

    p->sci = (uint16_t)acpi_get(b, 46, 2);
    p->smi_cmd = (uint32_t)acpi_get(b, 48, 4);
    p->acpi_enable = (uint8_t)acpi_get(b, 52, 1);
    p->century = (uint8_t)acpi_get(b, 108, 1);
    p->pm1a = fadt_reg_of(b, 172, 64, 16);
    p->pm1b = fadt_reg_of(b, 184, 68, 16);
    p->pm_timer = fadt_reg_of(b, 208, 76, 32);
    p->pm_timer_32bit = flags & FLAG_TMR_32BIT;
    p->hw_reduced = flags & FLAG_HW_REDUCED;
    p->legacy_kbd = boot & BOOT_8042;
    p->no_vga = boot & BOOT_NO_VGA;
    p->no_rtc = boot & BOOT_NO_RTC;
    p->reset = acpi_gas_at(b, 116);
    p->reset_value = (uint8_t)acpi_get(b, 128, 1);
    p->reset_valid = (flags & FLAG_RESET) && p->reset.addr;
    p->sleep_control = acpi_gas_at(b, 244);
    *dsdt = acpi_get(b, 140, 8);
    if (!*dsdt)
        *dsdt = acpi_get(b, 40, 4);
}

enum {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_NAME = 0x08,
    AML_BYTE = 0x0a,
    AML_WORD = 0x0b,
    AML_DWORD = 0x0c,
    AML_PACKAGE = 0x12
};

/* One integer at *off, advanced past it; section 20.2.3. False: not a constant that we know. */
static bool aml_int(struct bytes b, uint32_t *off, uint32_t *val)
{
    static const uint8_t size[] = { [AML_BYTE] = 1, [AML_WORD] = 2, [AML_DWORD] = 4 };
    uint32_t op = (uint32_t)acpi_get(b, *off, 1), n;

    if (*off >= b.len)
        return false;
    ++*off;
    if (op == AML_ZERO || op == AML_ONE) {
        *val = op;
        return true;
    }
    n = op < sizeof size ? size[op] : 0;
    if (!n || !range_within(*off, n, 0, b.len))
        return false;
    *val = (uint32_t)acpi_get(b, *off, n);
    *off += n;
    return true;
}

/* Name (_S5_, Package {a, b, ...}) with the name at `off`; section 20.2.5.4. */
static bool s5_at(struct acpi_info *out, struct bytes b, uint32_t off)
{
    uint32_t a, bb, p = off + 4;

    if (off < 1 || !(b.p[off - 1] == AML_NAME ||
                     (off >= 2 && b.p[off - 2] == AML_NAME && b.p[off - 1] == '\\')))
        return false;
    if (acpi_get(b, p, 1) != AML_PACKAGE)
        return false;
    /* PkgLength: its first byte tells how many follow */
    p += 1 + 1 + (uint32_t)(acpi_get(b, p + 1, 1) >> 6);
    if (acpi_get(b, p, 1) < 1)
        return false;
    p++;
    if (!aml_int(b, &p, &a))
        return false;
    if (!aml_int(b, &p, &bb))
        bb = a;
    out->power.slp_typa = a & 7;
    out->power.slp_typb = bb & 7;
    out->power.s5_valid = true;
    return true;
}

void acpi_parse_aml(struct acpi_info *out, struct bytes b)
{
    for (uint32_t off = sizeof(struct acpi_header); off + 8 <= b.len && !out->power.s5_valid; off++)
        if (b.p[off] == '_' && memcmp(b.p + off, "_S5_", 4) == 0 && s5_at(out, b, off))
            return;
}
