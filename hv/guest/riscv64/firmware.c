/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Firmware that a guest brings along, in M-mode: where it and what it starts are in RAM, and how
 * harts begin (OpenSBI, docs/firmware/fw_dynamic.md and fw_jump.md, docs/platform/generic.md).
 */
#include "machine_parts.h"
#include <string.h>

#define ALIGN 0x200000ull /* of what follows; a kernel's first page tables map such pages */
/* fw_jump moves the device tree here, whatever else is there. */
#define JUMP_FDT (RVM_RAM + 0x2200000)

/* What a2 points to: fw_dynamic.md, "struct fw_dynamic_info". */
struct fw_dynamic_info {
    uint64_t magic, version, next_addr, next_mode, options, boot_hart;
};
static_assert(sizeof(struct fw_dynamic_info) == 48, "OpenSBI's layout");

static uint64_t firmware_up(uint64_t v) { return (v + ALIGN - 1) & ~(ALIGN - 1); }

bool rvm_firmware_places(struct rv_machine *m, const struct rvm_bytes *n, struct rvm_places *p)
{
    uint64_t end = firmware_up(n->next ? RVM_NEXT + n->next : RVM_RAM + n->firmware);

    if (n->firmware > (n->next ? RVM_NEXT - RVM_RAM : m->ram_size) || n->next > m->ram_size ||
        n->initrd > m->ram_size)
        return false;
    p->fdt = end <= JUMP_FDT && rvm_ram(m, JUMP_FDT, ALIGN + n->initrd) ? JUMP_FDT : end;
    p->initrd = p->fdt + ALIGN;
    return rvm_ram(m, p->fdt, RVM_FDT_ROOM + sizeof(struct fw_dynamic_info)) &&
           (!n->initrd || rvm_ram(m, p->initrd, n->initrd));
}

void rvm_firmware_start(struct rv_machine *m, uint64_t fdt, bool next)
{
    const struct fw_dynamic_info info = { .magic = 0x4942534f, /* "OSBI" */
                                          .version = 2,
                                          .next_addr = next ? RVM_NEXT : 0,
                                          .next_mode = RV_S };
    uint64_t at = fdt + RVM_FDT_ROOM;

    memcpy(rvm_ram(m, at, sizeof info), &info, sizeof info);
    for (unsigned n = 0; n < m->harts; n++) {
        rvm_start(m, n, RVM_RAM, n, fdt);
        m->hart[n]->cpu.x[12] = at;
    }
}
