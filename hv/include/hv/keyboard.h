/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keyboard.h: from what a PC keyboard sends (scan code set 1, to which the controller translates)
 * to what a terminal sends: characters of a US keyboard, control characters, and the sequences of
 * cursor and function keys (ECMA-48; xterm's for F1 to F12). Portable; no context.
 */
#pragma once
#include <hv/types.h>

#define KEY_BYTES_MAX 8 /* of one key */

/* Zeroed at first. The keyboard's lights are left alone: Num Lock counts as on at first. */
struct keyboard {
    bool extended; /* E0h came: the next code is of an extended key */
    uint8_t skip;  /* of the codes after E1h (Pause), how many are still to come */
    bool shift_left, shift_right, control_left, control_right, alt;
    bool caps_lock, num_lock_off;
};

/* One byte of the keyboard's. Returns how many bytes were typed by it, into `out`. */
size_t keyboard_code(struct keyboard *, uint8_t code, char out[KEY_BYTES_MAX]);
