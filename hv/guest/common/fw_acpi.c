/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_acpi.c: the script by which firmware puts ACPI tables in place (QEMU
 * hw/acpi/bios-linker-loader.c; edk2 OvmfPkg/AcpiPlatformDxe has its reader). A pointer holds the
 * offset of what it points to within the file, and the firmware adds the file's address. See
 * <hv/fw_cfg.h>.
 */
#include <hv/fw_cfg.h>
#include <hv/guest_acpi.h>
#include <string.h>

enum { CMD_ALLOCATE = 1, CMD_ADD_POINTER, CMD_ADD_CHECKSUM };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
#define TABLES "etc/acpi/tables"
#define RSDP "etc/acpi/rsdp"

struct script {
    uint8_t *at, *end;
    bool full;
};

/* One command: its number, then up to two names, then numbers. */
static uint8_t *script_command(struct script *s, uint32_t number, const char *file)
{
    uint8_t *p = s->at;

    if (s->end - s->at < FW_ACPI_COMMAND) {
        s->full = true;
        return NULL;
    }
    s->at += FW_ACPI_COMMAND;
    memset(p, 0, FW_ACPI_COMMAND);
    memcpy(p, &number, 4);
    memcpy(p + 4, file, strlen(file));
    return p + 4 + FW_CFG_NAME;
}

static void script_allocate(struct script *s, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t *p = script_command(s, CMD_ALLOCATE, file);

    if (!p)
        return;
    memcpy(p, &align, 4);
    p[4] = zone;
}

static void script_pointer(struct script *s, const char *file, uint32_t off, uint8_t size)
{
    uint8_t *p = script_command(s, CMD_ADD_POINTER, file);

    if (!p)
        return;
    memcpy(p, TABLES, sizeof TABLES);
    memcpy(p + FW_CFG_NAME, &off, 4);
    p[FW_CFG_NAME + 4] = size;
}

static void script_checksum(struct script *s, const char *file, uint32_t off, uint32_t from,
                            uint32_t len)
{
    uint8_t *p = script_command(s, CMD_ADD_CHECKSUM, file);

    if (!p)
        return;
    memcpy(p, &off, 4);
    memcpy(p + 4, &from, 4);
    memcpy(p + 8, &len, 4);
}

static void seal(struct script *s, uint8_t *tables, uint32_t at)
{
    tables[at + 9] = 0;
    script_checksum(s, TABLES, at + 9, at, (uint32_t)get_le(tables + at + 4, 4));
}

/* ACPI 6.4 §5.2.9: FIRMWARE_CTRL, DSDT, X_FIRMWARE_CTRL, X_DSDT. */
static void fix_fadt(struct script *s, uint8_t *tables, uint32_t at)
{
    static const struct {
        uint8_t off, size;
    } fields[] = { { 36, 4 }, { 40, 4 }, { 132, 8 }, { 140, 8 } };

    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        if (get_le(tables + at + fields[i].off, fields[i].size))
            script_pointer(s, TABLES, at + fields[i].off, fields[i].size);
    seal(s, tables, at);
}

static void fix_xsdt(struct script *s, uint8_t *tables, uint32_t at)
{
    uint32_t len = (uint32_t)get_le(tables + at + 4, 4);

    for (uint32_t off = TABLE_HEADER; off + 8 <= len; off += 8) {
        uint32_t table = (uint32_t)get_le(tables + at + off, 8);

        if (memcmp(tables + table, "FACP", 4) == 0)
            fix_fadt(s, tables, table);
        script_pointer(s, TABLES, at + off, 8);
    }
    seal(s, tables, at);
}

int fw_acpi_script(uint8_t *tables, uint64_t len, uint8_t rsdp[36], uint8_t *script, uint64_t room)
{
    struct script s = { .at = script, .end = script + room };

    static_assert(RSDP_LEN == 36, "ACPI 6.4 §5.2.5.3");
    if (len < RSDP_LEN)
        return -EINVAL;
    script_allocate(&s, RSDP, 16, ZONE_FSEG);
    script_allocate(&s, TABLES, 64, ZONE_HIGH);
    fix_xsdt(&s, tables, (uint32_t)get_le(tables + 24, 8));
    memcpy(rsdp, tables, RSDP_LEN);
    rsdp[8] = rsdp[32] = 0;
    script_pointer(&s, RSDP, 24, 8);
    script_checksum(&s, RSDP, 8, 0, 20);
    script_checksum(&s, RSDP, 32, 0, RSDP_LEN);
    return s.full ? -ENOSPC : (int)(s.at - script);
}
