/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest's firmware says of its machine (DMTF DSP0134, SMBIOS 3.6): maker, product, serial
 * number, UUID, and strings for programs that set the guest up. Pure; any context.
 */
#pragma once
#include <hv/types.h>

#define SMBIOS_TEXT 64 /* bytes of one text, with its end */
#define SMBIOS_OEM 4   /* texts of type 11 */
struct guest_smbios {
    char manufacturer[SMBIOS_TEXT], product[SMBIOS_TEXT], version[SMBIOS_TEXT];
    char serial[SMBIOS_TEXT];
    char oem[SMBIOS_OEM][SMBIOS_TEXT];
    unsigned noem;
    uint8_t uuid[16]; /* in the order in which it is written; all zero: not given */
};

/* Room for the largest tables. */
#define SMBIOS_ROOM 1024
#define SMBIOS_ANCHOR 24
/* Tables of the types 1, 3, 11 and 127; returns their bytes, at most SMBIOS_ROOM. */
uint32_t guest_smbios_tables(const struct guest_smbios *, uint8_t tables[SMBIOS_ROOM]);
/* The entry point for tables of `len` bytes, without their address: the firmware knows that. */
void guest_smbios_anchor(uint8_t anchor[SMBIOS_ANCHOR], uint32_t len);
