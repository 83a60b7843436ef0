/* SPDX-License-Identifier: BSD-2-Clause */
/* keyboard.c: see keyboard.h. */
#include <string.h>

#include <hv/keyboard.h>

#define RELEASED 0x80u
#define ESC "\033"
enum { PREFIX = 0xe0, PREFIX_PAUSE = 0xe1, PAUSE_CODES = 2 };
enum {
    KEY_CONTROL = 0x1d,
    KEY_SHIFT_LEFT = 0x2a,
    KEY_SLASH = 0x35,
    KEY_SHIFT_RIGHT = 0x36,
    KEY_ALT = 0x38,
    KEY_CAPS_LOCK = 0x3a,
    KEY_NUM_LOCK = 0x45,
    KEYPAD_FIRST = 0x47,
    KEYPAD_LAST = 0x53
};

/* By code, from 0; NUL: a key that types nothing, or has a sequence. */
static const char plain[] =
    "\0\0331234567890-=\177\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] =
    "\0\033!@#$%^&*()_+\177\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
static_assert(sizeof plain == sizeof shifted && sizeof plain - 1 == 0x3a, "codes 0 to 39h");
/* of the key pad, with Num Lock; NUL: none */
static const char digits[] = "789-456+1230.";
static_assert(sizeof digits - 1 == KEYPAD_LAST - KEYPAD_FIRST + 1, "the key pad");

static const struct {
    uint8_t code;
    char sequence[KEY_BYTES_MAX - 1];
} sequences[] = {
    { 0x3b, ESC "OP" },   { 0x3c, ESC "OQ" },   { 0x3d, ESC "OR" },   { 0x3e, ESC "OS" },
    { 0x3f, ESC "[15~" }, { 0x40, ESC "[17~" }, { 0x41, ESC "[18~" }, { 0x42, ESC "[19~" },
    { 0x43, ESC "[20~" }, { 0x44, ESC "[21~" }, { 0x57, ESC "[23~" }, { 0x58, ESC "[24~" },
    { 0x47, ESC "[H" },   { 0x48, ESC "[A" },   { 0x49, ESC "[5~" },  { 0x4b, ESC "[D" },
    { 0x4d, ESC "[C" },   { 0x4f, ESC "[F" },   { 0x50, ESC "[B" },   { 0x51, ESC "[6~" },
    { 0x52, ESC "[2~" },  { 0x53, ESC "[3~" },
};

/* True: the key only changes what others mean. */
static bool keyboard_modifier(struct keyboard *k, uint8_t key, bool extended, bool down)
{
    switch (key) {
    case KEY_SHIFT_LEFT:
    case KEY_SHIFT_RIGHT: /* extended: around keys that would be others with Shift */
        if (!extended)
            *(key == KEY_SHIFT_LEFT ? &k->shift_left : &k->shift_right) = down;
        return true;
    case KEY_CONTROL: *(extended ? &k->control_right : &k->control_left) = down; return true;
    case KEY_ALT: k->alt = down; return true;
    case KEY_CAPS_LOCK: k->caps_lock ^= down; return true;
    case KEY_NUM_LOCK: k->num_lock_off ^= down; return true;
    default: return false;
    }
}

static char keyboard_char(const struct keyboard *k, uint8_t key, bool extended)
{
    bool shift = k->shift_left || k->shift_right;
    char c;

    if (key >= KEYPAD_FIRST && key <= KEYPAD_LAST) {
        c = digits[key - KEYPAD_FIRST];
        /* the middle of the pad is 5, or nothing; its operators are the same always */
        return !extended && (c == '-' || c == '+' || shift == k->num_lock_off) ? c : '\0';
    }
    if (key >= sizeof plain - 1)
        return '\0';
    if (extended) /* Enter and / of the key pad; the others type nothing */
        return plain[key] == '\r' || key == KEY_SLASH ? plain[key] : '\0';
    if (plain[key] >= 'a' && plain[key] <= 'z')
        shift ^= k->caps_lock;
    return shift ? shifted[key] : plain[key];
}

/* Control with @ to _ is 0 to 1Fh; with Space 0, with ? 7Fh. */
static char keyboard_control(const struct keyboard *k, char c)
{
    if (!k->control_left && !k->control_right)
        return c;
    if ((c >= '@' && c <= '_') || (c >= 'a' && c <= 'z'))
        return (char)(c & 0x1f);
    return (char)(c == ' ' ? 0 : c == '?' ? 0x7f : c);
}

static size_t keyboard_sequence(uint8_t key, char out[KEY_BYTES_MAX])
{
    for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
        if (sequences[i].code != key)
            continue;
        size_t n = strlen(sequences[i].sequence);

        memcpy(out, sequences[i].sequence, n);
        return n;
    }
    return 0;
}

static size_t keyboard_press(const struct keyboard *k, uint8_t key, bool extended,
                             char out[KEY_BYTES_MAX])
{
    char c = keyboard_char(k, key, extended);
    size_t n = 0;

    if (!c)
        return keyboard_sequence(key, out);
    if (k->alt)
        out[n++] = '\033';
    out[n++] = keyboard_control(k, c);
    return n;
}

size_t keyboard_code(struct keyboard *k, uint8_t code, char out[KEY_BYTES_MAX])
{
    bool extended = k->extended;
    uint8_t key = code & (uint8_t)~RELEASED;

    k->extended = false;
    if (k->skip) {
        k->skip--;
        return 0;
    }
    if (code == PREFIX || code == PREFIX_PAUSE) {
        k->extended = code == PREFIX;
        k->skip = code == PREFIX_PAUSE ? PAUSE_CODES : 0;
        return 0;
    }
    if (keyboard_modifier(k, key, extended, !(code & RELEASED)) || code & RELEASED)
        return 0;
    return keyboard_press(k, key, extended, out);
}
