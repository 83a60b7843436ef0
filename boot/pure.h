/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pure.h: the loader's parts that need no firmware, so that they are tested as ordinary programs.
 */
#ifndef BOOT_PURE_H
#define BOOT_PURE_H

#include <stddef.h>
#include <stdint.h>

#include "boot_info.h"

/*
 * path.c: a path of trivet.conf, in UTF-8, as the firmware takes it: UTF-16, `\\` for `/`, from the
 * root, with a zero at its end. room: in units; what does not fit is cut off. At least 2.
 */
void path_utf16(const char *name, uint16_t *out, size_t room);

/*
 * ranges.c: inserts r into the n ranges at m (room for one more), ordered by base; returns n + 1.
 */
uint32_t ranges_insert(struct boot_mem *m, uint32_t n, struct boot_mem r);
/*
 * Makes n ordered ranges disjoint, without empty ones, and joins neighbours of one type. Where two
 * overlap, the one of the higher type wins (enum boot_mem_type is in order of caution), so that
 * nothing doubtful is taken for free memory. `room`: ranges that fit at m, at least n; returns how
 * many there are, at most `room`. 2 n are always enough. Where room runs out, a range of a higher
 * type takes in a part of a lower one: less memory is free, and none that is in doubt.
 */
uint32_t ranges_normalise(struct boot_mem *m, uint32_t n, uint32_t room);

/*
 * reserved.c: adds to the n ordered ranges at m what the device tree at fdt reserves, as
 * BOOT_MEM_RESERVED, in pages; returns how many there are, at most `room`. The tree must be whole:
 * the firmware's size of it is readable.
 */
uint32_t fdt_reserved(const void *fdt, struct boot_mem *m, uint32_t n, uint32_t room);

/*
 * date.c: days from 1970-01-01 to a date of the Gregorian calendar, month 1 to 12, day 1 to 31; not
 * before 1970.
 */
uint64_t date_days(uint64_t year, uint64_t month, uint64_t day);

#endif
