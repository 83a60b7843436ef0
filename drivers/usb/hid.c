/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hid.c: a keyboard's reports, see usb.h. A key becomes the scan code that a PC's keyboard would
 * send (set 1, as the table of Microsoft's "USB HID to PS/2 Scan Code Translation" has it), so that
 * there is one layout for both: keyboard.c.
 */
#include <string.h>

#include "usb.h"

#define FIRST_NS 500000000ull
#define NEXT_NS 33000000ull
enum { ROLL_OVER = 1, FIRST = 4 }; /* usages; 1 to 3 are no keys: HID Usage Tables section 10 */
enum { EXTENDED = 0x80, RELEASED = 0x80, PREFIX = 0xe0 };
#define X(code) ((code) | EXTENDED)

/* By usage, from 4; 0: types nothing. */
static const uint8_t codes[] = {
    0x1e,    0x30,    0x2e,    0x20,    0x12,    0x21,    0x22,    0x23,    /* a to h */
    0x17,    0x24,    0x25,    0x26,    0x32,    0x31,    0x18,    0x19,    /* i to p */
    0x10,    0x13,    0x1f,    0x14,    0x16,    0x2f,    0x11,    0x2d,    /* q to x */
    0x15,    0x2c,    0x02,    0x03,    0x04,    0x05,    0x06,    0x07,    /* y z 1 to 6 */
    0x08,    0x09,    0x0a,    0x0b,    0x1c,    0x01,    0x0e,    0x0f,    /* 7 to 0 Enter Esc */
    0x39,    0x0c,    0x0d,    0x1a,    0x1b,    0x2b,    0x2b,    0x27,    /* Space to ; */
    0x28,    0x29,    0x33,    0x34,    0x35,    0x3a,    0x3b,    0x3c,    /* ' to F2 */
    0x3d,    0x3e,    0x3f,    0x40,    0x41,    0x42,    0x43,    0x44,    /* F3 to F10 */
    0x57,    0x58,    X(0x37), 0x46,    0,       X(0x52), X(0x47), X(0x49), /* F11 to Page Up */
    X(0x53), X(0x4f), X(0x51), X(0x4d), X(0x4b), X(0x50), X(0x48), 0x45,    /* to Num Lock */
    X(0x35), 0x37,    0x4a,    0x4e,    X(0x1c), 0x4f,    0x50,    0x51,    /* key pad */
    0x4b,    0x4c,    0x4d,    0x47,    0x48,    0x49,    0x52,    0x53,    0x56,
};
static_assert(sizeof codes == 0x65 - FIRST, "usages 4 to 64h");
/* By bit of a report's first byte: Control, Shift, Alt, GUI, left and then right. */
static const uint8_t modifiers[8] = { 0x1d, 0x2a, 0x38, X(0x5b), X(0x1d), 0x36, X(0x38), X(0x5c) };
enum { CAPS_LOCK = 0x39, SCROLL_LOCK = 0x47, NUM_LOCK = 0x53 };

static size_t hid_code(struct keyboard *k, uint8_t code, bool down, char out[KEY_BYTES_MAX])
{
    if (!code)
        return 0;
    if (code & EXTENDED)
        (void)keyboard_code(k, PREFIX, out);
    return keyboard_code(k, (uint8_t)((code & ~EXTENDED) | (down ? 0 : RELEASED)), out);
}

static uint8_t code_of(uint8_t usage)
{
    return usage >= FIRST && usage - FIRST < (int)sizeof codes ? codes[usage - FIRST] : 0;
}

static bool repeats(uint8_t usage)
{
    return code_of(usage) && usage != CAPS_LOCK && usage != SCROLL_LOCK && usage != NUM_LOCK;
}

static void hid_modifiers(struct hid_keyboard *h, uint8_t now)
{
    char none[KEY_BYTES_MAX];

    for (unsigned i = 0; i < ARRAY_SIZE(modifiers); i++)
        if ((h->modifiers ^ now) >> i & 1)
            (void)hid_code(&h->keyboard, modifiers[i], now >> i & 1, none);
    h->modifiers = now;
}

/* Of the keys in `from` those that are not in `in` went up or down. */
static size_t hid_changes(struct hid_keyboard *h, const uint8_t from[6], const uint8_t in[6],
                          bool down, char out[HID_BYTES_MAX])
{
    size_t n = 0;

    for (unsigned i = 0; i < 6; i++) {
        uint8_t key = from[i];

        if (key < FIRST || memchr(in, key, 6) || memchr(from, key, i))
            continue;
        n += hid_code(&h->keyboard, code_of(key), down, out + n);
        if (down)
            h->held = repeats(key) ? key : 0;
        else if (h->held == key)
            h->held = 0;
    }
    return n;
}

size_t hid_report(struct hid_keyboard *h, const uint8_t *data, size_t n, uint64_t now,
                  char out[HID_BYTES_MAX])
{
    uint8_t report[HID_REPORT] = { 0 };
    uint8_t held = h->held;

    memcpy(report, data, n < HID_REPORT ? n : HID_REPORT);
    hid_modifiers(h, report[0]);
    if (memchr(report + 2, ROLL_OVER, 6)) /* more keys than it can tell: those from before */
        return 0;
    (void)hid_changes(h, h->keys, report + 2, false, out);
    n = hid_changes(h, report + 2, h->keys, true, out);
    memcpy(h->keys, report + 2, 6);
    if (h->held != held)
        h->again = now + FIRST_NS;
    return n;
}

size_t hid_again(struct hid_keyboard *h, uint64_t now, char out[KEY_BYTES_MAX])
{
    if (!h->held || now < h->again)
        return 0;
    h->again = now + NEXT_NS;
    return hid_code(&h->keyboard, code_of(h->held), true, out);
}
