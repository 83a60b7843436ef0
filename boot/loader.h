/* SPDX-License-Identifier: BSD-2-Clause */
/* loader.h: what the parts of the loader share. Only files under boot/ include it. */
#ifndef BOOT_LOADER_H
#define BOOT_LOADER_H

#include <stdbool.h>

#include <efi.h>
#include <efilib.h>

#include "boot_info.h"
#include "pure.h"

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *systab);

/* The embedded hypervisor (payload.S). */
extern const uint8_t trivet_elf[], trivet_elf_end[];

static inline bool bad(EFI_STATUS st) { return EFI_ERROR(st); }

/* Prints "trivet: WHAT: STATUS" and returns STATUS, for `return fail(...)`. */
EFI_STATUS fail(const CHAR16 *what, EFI_STATUS st);

/*
 * Pages of EfiLoaderData anywhere in memory, zeroed by the caller if it cares. Returns the physical
 * address, or 0. `max`: highest address that may be used, ~0 for any.
 */
uint64_t alloc_pages(uint64_t bytes, uint64_t max);

/*
 * file.c: reads trivet.conf and the files that it names into bi. Never fails the boot: faults are
 * recorded per file.
 */
void load_files(struct boot_info *bi, EFI_HANDLE device);

/* firmware.c: tables, framebuffer, CPU list, time. */
void find_tables(struct boot_info *bi);
void find_framebuffer(struct boot_info *bi);
void find_cpus(struct boot_info *bi);
void find_time(struct boot_info *bi);
void find_random(struct boot_info *bi);

/*
 * memmap.c: room for the map (call before), then the last steps: final map, ExitBootServices,
 * normalise. An error of the second: before ExitBootServices began, so that it can be told; later
 * the machine is reset.
 */
EFI_STATUS memmap_reserve(struct boot_info *bi);
EFI_STATUS memmap_exit_boot(struct boot_info *bi, EFI_HANDLE image);
/*
 * Calls `fn` for every range of RAM below direct_limit in the current map, whoever uses it now.
 * Stops at its first error and returns it.
 */
EFI_STATUS memmap_each(EFI_STATUS (*fn)(void *ctx, uint64_t base, uint64_t len), void *ctx);

/*
 * elf.c: places the hypervisor's segments; maps each page through map_image() with the segment's
 * permissions.
 */
EFI_STATUS load_image(struct boot_info *bi, uint64_t *entry);

/*
 * direct.c: the direct map, then the image, in the tables that the hypervisor is entered with. A
 * framebuffer that cannot be mapped is taken out of bi.
 */
EFI_STATUS map_direct(struct boot_info *bi);
EFI_STATUS map_image(uint64_t virt, uint64_t phys, uint64_t len, unsigned flags);

/* Per ISA: x86_64/handoff.c, aarch64/handoff.c */
#define MAP_WRITE 1u
#define MAP_EXEC 2u
#define MAP_DEVICE 4u /* not cached */
uint64_t boot_cycles(void);
/* 0, or what is missing in words that a user can act on. */
const CHAR16 *machine_check(void);
/* Makes the root, and says in bi where it is. */
EFI_STATUS tables_begin(struct boot_info *bi);
/* Maps 1 << shift bytes: 12, 21, or 30 where largest_block() says so. What is mapped stays. */
EFI_STATUS map_block(uint64_t virt, uint64_t phys, unsigned shift, unsigned flags);
unsigned largest_block(void);
extern const uint64_t direct_base; /* where the direct map begins */
EFI_STATUS handoff_prepare(struct boot_info *bi);
_Noreturn void handoff(struct boot_info *bi, uint64_t entry);
extern const uint16_t elf_machine;
extern const unsigned loader_isa; /* enum isa of <hv/types.h> */
/* memory from here on is out of the direct map's reach, and left alone */
extern const uint64_t direct_limit;
extern const uint64_t image_limit; /* highest physical address for the image; ~0: any */

#endif
