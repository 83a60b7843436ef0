/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ramfb: a picture in the guest's own memory. The guest writes where it is and how it is made into
 * fw_cfg's file etc/ramfb (QEMU hw/display/ramfb.c; its firmware, edk2, does so with
 * OvmfPkg/QemuRamfbDxe); nothing happens then. It is checked when somebody wants to see the
 * picture. Pure.
 */
#pragma once
#include <hv/types.h>

#define RAMFB_FILE "etc/ramfb"
#define RAMFB_CONFIG 28u     /* bytes of that file */
#define RAMFB_SIDE_MAX 8192u /* pixels of a row, and rows */
#define RAMFB_ROW_MAX (4 * RAMFB_SIDE_MAX)
#define RAMFB_RGB_MAX (3 * RAMFB_SIDE_MAX)
#define RAMFB_STATE_VERSION 1

/* What a guest can see and change. */
struct ramfb_state {
    uint32_t version, zero;
    uint8_t config[RAMFB_CONFIG], zeroes[4];
};
static_assert(sizeof(struct ramfb_state) == 40, "a saved state");

struct ramfb_format;
struct ramfb_picture {
    uint64_t at;            /* in guest memory, which need not be there; all of it below 2^64 */
    uint32_t width, height; /* pixels; 1 to RAMFB_SIDE_MAX */
    uint32_t stride;        /* bytes from a row to the next */
    uint32_t row;           /* bytes of a row; at most stride and RAMFB_ROW_MAX */
    const struct ramfb_format *format;
};

/* What the guest wrote; NULL, or what is wrong with it, for people. */
const char *ramfb_picture(const uint8_t config[RAMFB_CONFIG], struct ramfb_picture *out);
/* p->row bytes of the guest's to p->width times red, green, blue. */
void ramfb_rgb(const struct ramfb_picture *p, const uint8_t *row, uint8_t *rgb);
