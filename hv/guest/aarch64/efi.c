/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI on ARM64 is found through EFI's system table (UEFI 2.10 §4.3, §4.6), and memory through
 * EFI's memory map (§7.2.3): a guest without firmware gets both ready made, as a kernel started by
 * an EFI boot stub would; the device tree names them (Linux Documentation/arm/uefi.rst). There are
 * no runtime services: a table says so (§4.6.2), so that nobody calls them.
 */
#include "tables.h"
#include <stdio.h>
#include <zlib.h>

enum { SYSTEM_TABLE_LEN = 120, CONFIG_ENTRY = 24, CONFIG_ENTRIES = 3, REVISION = 2 << 16 | 70 };
enum { EFI_CONVENTIONAL_MEMORY = 7, EFI_ACPI_RECLAIM_MEMORY = 9, EFI_MEMORY_WB = 8 };
#define SYSTEM_TABLE_SIGNATURE 0x5453595320494249ull /* "IBI SYST" */

static const uint8_t acpi_20_guid[16] = { 0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11,
                                          0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81 };
static const uint8_t rt_properties_guid[16] = { 0x8a, 0x91, 0x66, 0xeb, 0xef, 0x7e, 0x2a, 0x40,
                                                0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9 };

/*
 * Where a kernel notes memory that the next one after kexec must not touch (LPI tables): a list
 * head, empty. What its EFI boot stub would have installed.
 */
static const uint8_t memreserve_guid[16] = { 0xc6, 0xb0, 0x8e, 0x88, 0xde, 0x8e, 0xf5, 0x4f,
                                             0xa8, 0xf0, 0x9a, 0xee, 0x5c, 0xb9, 0x77, 0xc2 };

static uint8_t *descriptor(uint8_t *p, uint32_t type, uint64_t base, uint64_t len)
{
    if (len == 0)
        return p;
    tables_put(p, 0, 4, type);
    tables_put(p, 8, 8, base);
    tables_put(p, 24, 8, len / PAGE_SIZE);
    tables_put(p, 32, 8, EFI_MEMORY_WB);
    return p + EFI_DESCRIPTOR_LEN;
}

/* RAM below the tables, the tables, RAM above. */
static void memory_map(struct tables *t, uint64_t ram, struct efi_info *out)
{
    uint64_t end = PLAT_RAM + ram, above = t->base + t->room;
    uint8_t *map = tables_take(t, 3 * EFI_DESCRIPTOR_LEN, 16), *p = map;

    p = descriptor(p, EFI_CONVENTIONAL_MEMORY, PLAT_RAM, t->base - PLAT_RAM);
    p = descriptor(p, EFI_ACPI_RECLAIM_MEMORY, t->base, t->room);
    p = descriptor(p, EFI_CONVENTIONAL_MEMORY, above, end - above);
    out->memory_map = tables_address(t, map);
    out->memory_map_len = (uint32_t)(p - map);
}

static uint64_t vendor(struct tables *t)
{
    static const char name[] = "Trivet";
    uint8_t *p = tables_take(t, 2 * sizeof name, 8);

    for (unsigned i = 0; i < sizeof name; i++)
        p[2 * i] = (uint8_t)name[i];
    return tables_address(t, p);
}

static uint64_t configuration(struct tables *t, uint64_t rsdp)
{
    uint8_t *rt = tables_take(t, 8, 8), *reserve = tables_take(t, 16, 16),
            *p = tables_take(t, CONFIG_ENTRIES * CONFIG_ENTRY, 8);
    const struct {
        const uint8_t *guid;
        uint64_t at;
    } entry[CONFIG_ENTRIES] = {
        { acpi_20_guid, rsdp },
        { rt_properties_guid, tables_address(t, rt) },
        { memreserve_guid, tables_address(t, reserve) },
    };

    /* version, length; no service is supported */
    tables_put(rt, 0, 2, 1), tables_put(rt, 2, 2, 8);
    for (unsigned i = 0; i < CONFIG_ENTRIES; i++) {
        memcpy(p + CONFIG_ENTRY * i, entry[i].guid, 16);
        tables_put(p, CONFIG_ENTRY * i + 16, 8, entry[i].at);
    }
    return tables_address(t, p);
}

static uint64_t system_table(struct tables *t, uint64_t rsdp)
{
    uint64_t name = vendor(t), config = configuration(t, rsdp);
    uint8_t *p = tables_take(t, SYSTEM_TABLE_LEN, 8);

    tables_put(p, 0, 8, SYSTEM_TABLE_SIGNATURE);
    tables_put(p, 8, 4, REVISION);
    tables_put(p, 12, 4, SYSTEM_TABLE_LEN);
    tables_put(p, 24, 8, name);
    tables_put(p, 104, 8, CONFIG_ENTRIES);
    tables_put(p, 112, 8, config);
    tables_put(p, 16, 4, crc32(0, p, SYSTEM_TABLE_LEN));
    return tables_address(t, p);
}

int arm_efi_build(struct load *l)
{
    uint64_t room = load_tables_room(l->config);
    struct tables t = { .vm = l->vm,
                        .buf = vm_alloc(l->vm, room),
                        .base = l->tables,
                        .room = room,
                        .model = "TRIVETA6" };
    int err;

    if (!t.buf)
        return -ENOMEM;
    l->efi.system_table = system_table(&t, arm_acpi_build(&t));
    memory_map(&t, l->config->memory, &l->efi);
    err = t.full ? -ENOSPC : gmem_write(l->vm, gpa(t.base), t.buf, t.used);
    if (err)
        snprintf(l->vm->why, sizeof l->vm->why, "its ACPI tables could not be written");
    vm_free(l->vm, t.buf, room);
    return err;
}
