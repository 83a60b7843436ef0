/* SPDX-License-Identifier: BSD-2-Clause */
/* uefi.c: see <hv/guest_uefi.h>. */
#include <hv/assert.h>
#include <hv/blake2s.h>
#include <hv/config.h>
#include <hv/config_files.h>
#include <hv/files.h>
#include <hv/guest.h>
#include <hv/guest_uefi.h>
#include <hv/log.h>
#include <hv/pci.h>
#include <hv/pmm.h>
#include <hv/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "uefi.h"

/* ---- what the guest's accesses do ---- */

static int vars_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct uefi *u = dev;

    spin_lock(&u->lock);
    *val = cfi_flash_read(&u->vars, off, size);
    spin_unlock(&u->lock);
    return 0;
}

/* While reads give the array, they reach it without an exit. Where that fails they exit. */
static int vars_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct uefi *u = dev;
    bool was, is;
    int err = 0;

    spin_lock(&u->lock);
    was = cfi_flash_is_array(&u->vars);
    cfi_flash_write(&u->vars, off, size, val);
    is = cfi_flash_is_array(&u->vars);
    if (is && !was)
        keep_wait(u);
    if (was != is)
        err = gmem_rom_trap(u->vm, gpa(u->layout.vars_at), !is);
    spin_unlock(&u->lock);
    if (err && !is)
        vm_kill(u->vm, "its flash cannot be trapped: error %d", -err);
    return 0;
}

static int code_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)dev, (void)off, (void)size, (void)val;
    return 0; /* write-protected */
}

/* Port 510h: the selector, a word; 511h: the next byte. */
static int cfg_port_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct uefi *u = dev;

    (void)off;
    if (size != 1)
        return -ENXIO;
    spin_lock(&u->lock);
    *val = fw_cfg_byte(&u->cfg);
    spin_unlock(&u->lock);
    return 0;
}

static int cfg_port_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct uefi *u = dev;

    if (off != 0 || size != 2)
        return 0;
    spin_lock(&u->lock);
    fw_cfg_select(&u->cfg, (uint16_t)val);
    spin_unlock(&u->lock);
    return 0;
}

static int cfg_dma_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    (void)dev;
    *val = fw_cfg_dma_read((unsigned)off, size);
    return 0;
}

static int cfg_dma_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct uefi *u = dev;

    spin_lock(&u->lock);
    fw_cfg_dma_write(&u->cfg, (unsigned)off, size, val);
    spin_unlock(&u->lock);
    return 0;
}

/* In memory: data at 0, 8 bytes wide, as a string; the selector at 8, big-endian. */
static int cfg_mem_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct uefi *u = dev;

    *val = 0;
    if (off >= 8)
        return 0;
    spin_lock(&u->lock);
    for (unsigned i = 0; i < size; i++)
        *val |= (uint64_t)fw_cfg_byte(&u->cfg) << (8 * i);
    spin_unlock(&u->lock);
    return 0;
}

static int cfg_mem_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct uefi *u = dev;

    if (off != 8 || size != 2)
        return 0;
    spin_lock(&u->lock);
    fw_cfg_select(&u->cfg, __builtin_bswap16((uint16_t)val));
    spin_unlock(&u->lock);
    return 0;
}

static int guest_read(void *ctx, uint64_t at, void *to, uint64_t len)
{
    return gmem_read(((struct uefi *)ctx)->vm, gpa(at), to, len);
}

static int guest_write(void *ctx, uint64_t at, const void *from, uint64_t len)
{
    return gmem_write(((struct uefi *)ctx)->vm, gpa(at), from, len);
}

/* ---- a machine ---- */

static int add_flash(struct uefi *u)
{
    static const struct io_ops vars = { vars_read, vars_write, 1 | 2 | 4 | 8 },
                               code = { NULL, code_write, 1 | 2 | 4 | 8 };
    int err;

    err = io_register(u->vm, &(struct io_region){ .name = "variable flash",
                                                  .space = IO_MEM,
                                                  .base = u->layout.vars_at,
                                                  .len = u->vars.len,
                                                  .ops = &vars,
                                                  .dev = u });
    return err ? err
               : io_register(u->vm, &(struct io_region){ .name = "code flash",
                                                         .space = IO_MEM,
                                                         .base = u->layout.code_at,
                                                         .len = u->code_len,
                                                         .ops = &code,
                                                         .dev = u });
}

enum { CFG_DMA_PORT = 4, CFG_DMA_MEM = 16 };

static int add_fw_cfg(struct uefi *u, const struct uefi_registers *r)
{
    static const struct io_ops port = { cfg_port_read, cfg_port_write, 1 | 2 },
                               mem = { cfg_mem_read, cfg_mem_write, 1 | 2 | 4 | 8 },
                               dma = { cfg_dma_read, cfg_dma_write, 4 | 8 };
    enum io_space space = r->ports ? IO_PORT : IO_MEM;
    int err = io_register(u->vm, &(struct io_region){ .name = "fw_cfg",
                                                      .space = space,
                                                      .base = r->at,
                                                      .len = r->ports ? 2 : 10,
                                                      .ops = r->ports ? &port : &mem,
                                                      .dev = u });

    return err ? err
               : io_register(u->vm, &(struct io_region){
                                        .name = "fw_cfg DMA",
                                        .space = space,
                                        .base = r->at + (r->ports ? CFG_DMA_PORT : CFG_DMA_MEM),
                                        .len = 8,
                                        .ops = &dma,
                                        .dev = u });
}

/* Version 8 of RFC 9562: the same for one name always, and no other's. */
static void name_uuid(const char *name, uint8_t uuid[16])
{
    static const char what[] = "Trivet: UUID of a guest's machine";
    uint8_t digest[BLAKE2S_LEN];
    struct blake2s b;

    blake2s_begin(&b);
    blake2s_add(&b, what, sizeof what);
    blake2s_add(&b, name, strlen(name));
    blake2s_end(&b, digest);
    memcpy(uuid, digest, 16);
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x80);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

static void uefi_default(char *text, const char *normal)
{
    if (!text[0])
        snprintf(text, SMBIOS_TEXT, "%s", normal);
}

/* What the guest's configuration says of its machine, and what it leaves open. */
static int tell_smbios(struct uefi *u)
{
    static const uint8_t none[16];
    const struct guest_config *c = u->vm->config;
    struct guest_smbios s = c->smbios;
    uint32_t len;
    int err;

    uefi_default(s.manufacturer, "Trivet");
    uefi_default(s.product, "Trivet guest");
    uefi_default(s.serial, c->name);
    if (memcmp(s.uuid, none, sizeof none) == 0)
        name_uuid(c->name, s.uuid);
    len = guest_smbios_tables(&s, u->smbios);
    guest_smbios_anchor(u->smbios_anchor, len);
    err = fw_cfg_file(&u->cfg, "etc/smbios/smbios-tables", u->smbios, len);
    return err ? err
               : fw_cfg_file(&u->cfg, "etc/smbios/smbios-anchor", u->smbios_anchor, SMBIOS_ANCHOR);
}

/* What is tried, and how long the firmware waits for a key before: both edk2's. */
static int tell_boot(struct uefi *u)
{
    const struct guest_config *c = u->vm->config;
    uint32_t len = vio_boot_order(u->vm, u->boot_order);
    int err = len ? fw_cfg_file(&u->cfg, "bootorder", u->boot_order, len) : 0;

    if (err || c->boot_menu == BOOT_MENU_OWN)
        return err;
    u->boot_menu_ms = (uint16_t)(c->boot_menu * 1000);
    err = fw_cfg_number(&u->cfg, FW_CFG_BOOT_MENU, 2, 1);
    return err ? err : fw_cfg_file(&u->cfg, "etc/boot-menu-wait", &u->boot_menu_ms, 2);
}

/* What firmware of every ISA asks for. */
static int tell_size(struct uefi *u)
{
    int err = fw_cfg_number(&u->cfg, FW_CFG_NB_CPUS, 2, u->vm->nvcpus);

    return err ? err : fw_cfg_number(&u->cfg, FW_CFG_RAM_SIZE, 8, u->vm->config->memory);
}

int uefi_build(struct vm *vm, const struct uefi_registers *r)
{
    struct uefi *u = vm->uefi;
    int err;

    assert_cpu0();
    hv_assert(u);
    assert_parked(vm);
    cfi_flash_reset(&u->vars);
    fw_cfg_init(&u->cfg);
    keep_start(u);
    err = gmem_rom_trap(vm, gpa(u->layout.vars_at), false);
    if (!err)
        err = tell_size(u);
    if (!err)
        err = tell_smbios(u);
    if (!err)
        err = tell_boot(u);
    if (!err)
        err = shot_build(u);
    if (!err)
        err = add_flash(u);
    return err ? err : add_fw_cfg(u, r);
}

struct uefi_place uefi_place(const struct vm *vm)
{
    const struct uefi *u = vm->uefi;

    return (struct uefi_place){ u->layout.code_at, u->code_len, u->layout.vars_at, u->vars.len };
}

struct fw_cfg *uefi_fw_cfg(struct vm *vm) { return &vm->uefi->cfg; }

int uefi_tables(struct vm *vm, uint8_t *tables, uint64_t room, uint64_t used)
{
    struct uefi *u = vm->uefi;
    int n, err;

    assert_cpu0();
    hv_assert(u && !u->tables && used <= room);
    u->tables = tables;
    u->tables_room = room;
    n = fw_acpi_script(tables, used, u->rsdp, u->script, sizeof u->script);
    if (n < 0)
        return n;
    err = fw_cfg_file(&u->cfg, "etc/acpi/tables", tables, (uint32_t)used);
    if (!err)
        err = fw_cfg_file(&u->cfg, "etc/acpi/rsdp", u->rsdp, sizeof u->rsdp);
    return err ? err : fw_cfg_file(&u->cfg, "etc/table-loader", u->script, (uint32_t)n);
}

void uefi_unbuild(struct vm *vm)
{
    struct uefi *u = vm->uefi;

    assert_cpu0();
    if (!u)
        return;
    vm_free(vm, u->tables, u->tables_room);
    u->tables = NULL;
}

/* ---- a guest, from start to stop ---- */

/* The stick's own; NULL, with vm->why. */
static const char *stick_firmware(struct vm *vm)
{
    enum isa isa = vm->guest_ops->isa;
    const char *name = vm->config->secure_boot ? config_secure_file(isa) : config_uefi_file(isa);

    if (!name)
        snprintf(vm->why, sizeof vm->why,
                 "secure-boot is for x86_64 guests: Debian's ARM64 firmware "
                 "makes its variables in an empty store, without keys");
    return name;
}

int uefi_find(struct vm *vm, struct uefi_file *out)
{
    const char *name = vm->config->firmware, *wrong;
    const uint8_t *file;
    uint64_t len;

    if (strcmp(name, FIRMWARE_UEFI) == 0)
        name = stick_firmware(vm);
    if (!name)
        return -ENOENT;
    file = file_find(name, &len);
    if (!file) {
        snprintf(vm->why, sizeof vm->why,
                 "firmware: %s is not on the stick; images/build-image puts it there", name);
        return -ENOENT;
    }
    wrong = uefi_file_parts(file, len, out);
    if (wrong)
        snprintf(vm->why, sizeof vm->why, "firmware %.60s: %s", name, wrong);
    return wrong ? -ENOEXEC : 0;
}

static int map_part(struct vm *vm, uint64_t at, const void *host, uint64_t len)
{
    return gmem_map(vm, &(struct memslot){ .base = gpa(at),
                                           .len = len,
                                           .host = virt_to_phys(host),
                                           .prot = PROT_R | PROT_X,
                                           .type = MEM_WB,
                                           .kind = MEMSLOT_ROM });
}

static int take_vars(struct uefi *u, const struct uefi_file *f, const struct uefi_layout *l)
{
    struct vm *vm = u->vm;

    u->order = pmm_order(f->vars_len);
    u->pages = vm_pages(vm, u->order);
    if (!u->pages.v)
        return -ENOMEM;
    u->vars = (struct cfi_flash){ .data = phys_to_virt(u->pages),
                                  .len = (uint32_t)f->vars_len,
                                  .block = l->block,
                                  .bank = l->bank,
                                  .chip = l->chip };
    if (f->vars)
        memcpy(u->vars.data, f->vars, f->vars_len);
    else
        memset(u->vars.data, 0xff, f->vars_len);
    return map_part(vm, l->vars_at, u->vars.data, f->vars_len);
}

int uefi_open(struct vm *vm, const struct uefi_file *f, const struct uefi_layout *l)
{
    struct uefi *u = vm_alloc(vm, sizeof *u);
    int err;

    assert_cpu0();
    hv_assert(!vm->uefi);
    if (!u)
        return -ENOMEM;
    vm->uefi = u;
    u->vm = vm;
    u->layout = *l;
    u->code_len = f->code_len;
    u->cfg.read = guest_read;
    u->cfg.write = guest_write;
    u->cfg.ctx = u;
    spin_init(&u->lock, LOCK_DEVICE);
    err = take_vars(u, f, l);
    return err ? err : map_part(vm, l->code_at, f->code, f->code_len);
}

void uefi_close(struct vm *vm)
{
    struct uefi *u = vm->uefi;

    assert_cpu0();
    hv_assert(vm->nvcpus == 0);
    if (!u)
        return;
    keep_end(u);
    vm->uefi = NULL;
    if (u->pages.v)
        vm_pages_free(vm, u->pages, u->order);
    vm_free(vm, u, sizeof *u);
}

int uefi_guest_quiesce(struct vm *vm)
{
    int devices = vio_quiesce(vm), variables = uefi_quiesce(vm);

    return devices ? devices : variables;
}

bool uefi_guest_release(struct vm *vm)
{
    if (vio_release(vm) || uefi_busy(vm))
        return true;
    uefi_close(vm);
    return false;
}
