/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bank of NOR flash chips with the Intel command set (JEDEC JESD68.01 "Common Flash Interface",
 * JEP137B command set 0001h; Intel StrataFlash P30 data sheet for the commands). No chip takes
 * time: a program or an erase is done when the write that asked for it is. As in the model that
 * firmware for virtual machines is written for, a program stores its data as it is (it need not
 * only clear bits), and a status that was cleared reads 0.
 *
 * Any context; the caller holds a lock over all calls of one bank, or nobody else has it.
 */
#pragma once
#include <hv/types.h>

#define CFI_BUFFER 1024u /* bytes that one buffered program takes, aligned to as many */
#define CFI_STATE_VERSION 1

enum cfi_view { CFI_ARRAY, CFI_STATUS, CFI_ID, CFI_QUERY, CFI_VIEWS };
/* What the next write is. */
enum cfi_phase {
    CFI_COMMAND,
    CFI_PROGRAM,
    CFI_ERASE,
    CFI_LOCK,
    CFI_COUNT,
    CFI_DATA,
    CFI_CONFIRM,
    CFI_PHASES
};
/* What a guest can see and change of the chips, without what they hold. */
struct cfi_flash_state {
    uint32_t version;
    uint8_t view, phase, status, pad;
    /* a buffered program: its window's offset, words still to come, and what it has of the window
     */
    uint32_t window, left, low, high;
    uint8_t buffer[CFI_BUFFER];
};
static_assert(sizeof(struct cfi_flash_state) == 24 + CFI_BUFFER, "a saved state");

struct cfi_flash {
    struct cfi_flash_state s;
    uint8_t *data; /* `len` bytes, not owned */
    uint32_t len;
    uint32_t block; /* bytes of an erase block: a power of two from CFI_BUFFER up; len is a
                       multiple */
    uint8_t bank;   /* bytes of the bus: 1, 2 or 4 ... */
    uint8_t chip;   /* ... and of each of the chips side by side on it */
    bool read_only; /* programs and erases fail, with the status bits for it */
    /* [off, off+len) of data was changed; NULL: nobody wants to know */
    void (*changed)(struct cfi_flash *, uint32_t off, uint32_t len);
};

/* Sets the state that power-on gives: reads give the array. The other fields stay. */
void cfi_flash_reset(struct cfi_flash *);
/* An access of 1, 2, 4 or 8 bytes, within the bank. */
uint64_t cfi_flash_read(const struct cfi_flash *, uint64_t off, unsigned size);
void cfi_flash_write(struct cfi_flash *, uint64_t off, unsigned size, uint64_t val);
/* Reads give the bytes of data: they need not come here. */
static inline bool cfi_flash_is_array(const struct cfi_flash *f) { return f->s.view == CFI_ARRAY; }
/* Could this be a state of that bank? */
bool must_check cfi_flash_valid(const struct cfi_flash *, const struct cfi_flash_state *);
