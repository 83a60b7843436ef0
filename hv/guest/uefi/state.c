/* SPDX-License-Identifier: BSD-2-Clause */
/* state.c: flash, fw_cfg and the variables as <hv/state.h> wants them. */
#include <hv/assert.h>
#include <hv/state.h>
#include <string.h>
#include "uefi.h"

static size_t flash_size(const struct vm *vm, uint32_t i)
{
    (void)i;
    return vm->uefi ? sizeof(struct cfi_flash_state) : 0;
}

static int flash_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &vm->uefi->vars.s, sizeof(struct cfi_flash_state));
    return 0;
}

static int flash_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct uefi *u = vm->uefi;

    (void)i;
    if (!cfi_flash_valid(&u->vars, buf))
        return -EINVAL;
    memcpy(&u->vars.s, buf, sizeof u->vars.s);
    keep_restored(u); /* devices come after all pages */
    return gmem_rom_trap(vm, gpa(u->layout.vars_at), !cfi_flash_is_array(&u->vars));
}

const struct state_ops uefi_flash_state_ops = { .name = "variable flash",
                                                .kind = STATE_CFI_FLASH,
                                                .version = CFI_STATE_VERSION,
                                                .size = flash_size,
                                                .save = flash_save,
                                                .restore = flash_restore };

static size_t cfg_size(const struct vm *vm, uint32_t i)
{
    (void)i;
    return vm->uefi ? sizeof(struct fw_cfg_state) : 0;
}

static int cfg_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &vm->uefi->cfg.s, sizeof(struct fw_cfg_state));
    return 0;
}

static int cfg_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct fw_cfg_state *s = buf;

    (void)i;
    if (s->version != FW_CFG_STATE_VERSION || s->zero)
        return -EINVAL;
    vm->uefi->cfg.s = *s;
    return 0;
}

const struct state_ops uefi_cfg_state_ops = { .name = "fw_cfg",
                                              .kind = STATE_FW_CFG,
                                              .version = FW_CFG_STATE_VERSION,
                                              .size = cfg_size,
                                              .save = cfg_save,
                                              .restore = cfg_restore };

static size_t ramfb_size(const struct vm *vm, uint32_t i)
{
    (void)i;
    return vm->uefi && vm->config->screen ? sizeof(struct ramfb_state) : 0;
}

static int ramfb_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &vm->uefi->ramfb, sizeof(struct ramfb_state));
    return 0;
}

/* What the guest wrote is checked when it is used, not here. */
static int ramfb_restore(struct vm *vm, uint32_t i, const void *buf)
{
    static const uint8_t zeroes[sizeof vm->uefi->ramfb.zeroes];
    const struct ramfb_state *s = buf;

    (void)i;
    if (s->version != RAMFB_STATE_VERSION || s->zero ||
        memcmp(s->zeroes, zeroes, sizeof zeroes) != 0)
        return -EINVAL;
    vm->uefi->ramfb = *s;
    return 0;
}

const struct state_ops uefi_ramfb_state_ops = { .name = "screen",
                                                .kind = STATE_RAMFB,
                                                .version = RAMFB_STATE_VERSION,
                                                .size = ramfb_size,
                                                .save = ramfb_save,
                                                .restore = ramfb_restore };

/* ---- what the flash holds ---- */

static uint32_t stores(const struct vm *vm) { return vm->uefi ? 1 : 0; }

static const void *vars_next(struct vm *vm, uint32_t i, uint64_t *page)
{
    const struct cfi_flash *f = &vm->uefi->vars;

    (void)i;
    return *page < f->len / PAGE_SIZE ? f->data + *page * PAGE_SIZE : NULL;
}

static int vars_put(struct vm *vm, uint32_t i, uint64_t page, const void *from)
{
    struct cfi_flash *f = &vm->uefi->vars;

    (void)i;
    if (page >= f->len / PAGE_SIZE)
        return -EINVAL;
    memcpy(f->data + page * PAGE_SIZE, from, PAGE_SIZE);
    keep_page(vm->uefi, page);
    return 0;
}

const struct state_pages uefi_vars_pages = { .name = "UEFI variables",
                                             .kind = STATE_UEFI_VARS,
                                             .count = stores,
                                             .next = vars_next,
                                             .put = vars_put };
