/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that is its machine's firmware (`firmware = FILE`), and its ways to flash and fw_cfg:
 * rom.c and rom.S of each machine.
 */
#ifndef GUEST_ROM_H
#define GUEST_ROM_H

#include "guest.h"

struct rom {
    uint64_t vars, vars_len, code, code_len; /* both flashes */
    uint32_t chips;                          /* a command for all of them: times this */
    uint64_t device;                         /* an address where no RAM is */
};
extern const struct rom rom;

void cfg_select(uint16_t key);
uint8_t cfg_byte(void);
void cfg_dma(uint64_t at);                       /* a transfer as the 16 bytes there say */
void cfg_garbage(uint32_t seed, uint64_t value); /* an access of any size to any register */

#endif
