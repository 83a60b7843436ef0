/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text console on a framebuffer, drawn into plain memory with a font of which each glyph is its
 * own character's number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hv/types.h>

static uint64_t moved; /* bytes that fb.c set or copied */

static void *counted_set(void *to, int c, size_t n)
{
    moved += n;
    return memset(to, c, n);
}

static void *__attribute__((unused)) counted_move(void *to, const void *from, size_t n)
{
    moved += n;
    return memmove(to, from, n);
}

#define memset counted_set
#define memmove counted_move
#include "drivers/fb/fb.c"
#undef memset
#undef memmove

/* In one section, so that the end lies behind the beginning. */
uint8_t test_font[4 + 256 * 16];
__asm__(".globl fb_font, fb_font_end\n.set fb_font, test_font\n.set fb_font_end, test_font + 4100");

static const struct host_console *screen;
static uint64_t now;
static unsigned posted, again;
static uint64_t at;
static uint32_t *pixels;
static struct boot_info bi;

void host_console_register(const struct host_console *h) { screen = h; }
void spin_lock(struct spinlock *l) { assert_int_equal(l->next++, 0); }
void spin_unlock(struct spinlock *l) { assert_int_equal(l->next--, 1); }
void lock_assert_held(const struct spinlock *l) { assert_int_equal(l->next, 1); }
uint64_t time_ns(void) { return now; }
void event_init(struct event *ev, void (*fn)(struct event *), uint32_t cpu)
{
    *ev = (struct event){ .fn = fn, .cpu = (uint16_t)cpu };
}
void event_post(struct event *ev)
{
    assert_ptr_equal(ev, &draw_event);
    posted++;
}
void event_at(struct event *ev, uint64_t ns)
{
    assert_ptr_equal(ev, &draw_event);
    at = ns;
}
void event_put_off(struct event *ev)
{
    assert_ptr_equal(ev, &draw_event);
    again++;
}
void hv_log(enum log_level level, const char *fmt, ...) { (void)level, (void)fmt; }

/* What a cell shows: each of its lines is the character's number. */
static char cell(uint32_t row, uint32_t col)
{
    uint32_t stride = bi.fb.pitch / 4;
    const uint32_t *line = pixels + (size_t)row * CELL_H * stride + (size_t)col * CELL_W;
    char c = 0;

    for (uint32_t x = 0; x < CELL_W; x++)
        c = (char)(c << 1 | (line[x] != 0));
    return c;
}

static void shows(uint32_t row, const char *s)
{
    for (uint32_t i = 0; s[i]; i++)
        assert_int_equal(cell(row, i), s[i]);
    assert_int_equal(cell(row, (uint32_t)strlen(s)), ' ');
}

static bool begin(struct boot_fb mode)
{
    memset(&fb, 0, sizeof fb);
    free(pixels);
    pixels = calloc(1, mode.size);
    bi.fb = mode;
    bi.fb.base = (uint64_t)pixels;
    screen = NULL;
    posted = again = 0;
    at = drawn = 0;
    now = 1;
    for (size_t c = 0; c < FONT_GLYPHS; c++)
        memset(test_font + 4 + c * CELL_H, (int)c, CELL_H);
    return fb_early(&bi);
}

/* 40 columns and 5 rows, and a line of pixels is wider than what it shows. */
static const struct boot_fb small = {
    .size = 400 * 4 * 80, .width = 320, .height = 80, .pitch = 400 * 4, .format = BOOT_FB_BGRX
};

static void say(const char *s) { fb_write_sync(s, strlen(s)); }

static void test_text(void **state)
{
    (void)state;
    assert_true(begin(small));
    assert_non_null(screen);
    say("one\r\ntwo\r\nthree\r\nfour\r\nfive");
    shows(0, "one");
    shows(4, "five");
    say("\r\nsix");
    shows(0, "two");
    shows(4, "six");
}

static void test_long_lines_go_on_below(void **state)
{
    (void)state;
    assert_true(begin(small));
    say("0123456789012345678901234567890123456789x");
    assert_int_equal(cell(0, 39), '9');
    shows(1, "x");
}

/* Places beyond the screen are its edge. */
static void test_far_away(void **state)
{
    (void)state;
    assert_true(begin(small));
    say("\033[999;999Hx"); /* the last cell: the text goes up by a row */
    assert_int_equal(cell(3, 39), 'x');
    say("\033[999;1Hy");
    assert_int_equal(cell(4, 0), 'y');
    say("\033[0;0Hz");
    assert_int_equal(cell(0, 0), 'z');
}

/* What the line editor writes: back, erase to the end, home and clear; the rest is swallowed. */
static void test_control_sequences(void **state)
{
    (void)state;
    assert_true(begin(small));
    say("abcdef\033[3Dx\033[K");
    shows(0, "abcx");
    say("\r\033[2Cy");
    shows(0, "abyx");
    say("\033[0;1mz\033[99999999999999999999C!");
    assert_int_equal(cell(0, 39), '!');
    say("\033[H\033[2Jq");
    shows(0, "q");
    say("\033[5;40Hw\033[1;2;3;4Hv\033[999Du");
    shows(4 - 1, ""); /* the last cell of the last row made it scroll */
    assert_int_equal(cell(0, 0), 'u');
    say("\033[7J\033[1K\033(t");
    assert_int_equal(cell(0, 1), 't');
}

/* Any bytes: what is written stays within the screen (ASan looks on). */
static void test_any_bytes(void **state)
{
    uint32_t seed = 1;

    (void)state;
    assert_true(begin(small));
    for (int i = 0; i < 20000; i++) {
        static const char likely[] = "\033[0129;HKJCD\r\n\b";
        char c;

        seed = seed * 1103515245 + 12345;
        c = seed >> 31 ? likely[(seed >> 16) % (sizeof likely - 1)] : (char)(seed >> 16);
        fb_write_sync(&c, 1);
        assert_true(fb.row < fb.rows && fb.col < fb.cols);
    }
}

static void test_drawn_by_an_event_in_pieces(void **state)
{
    static const struct boot_fb big = { .size = 1280 * 4 * 800,
                                        .width = 1280,
                                        .height = 800,
                                        .pitch = 1280 * 4,
                                        .format = BOOT_FB_RGBX };
    char line[160];

    (void)state;
    assert_true(begin(big));
    assert_int_equal(fb_init(), 0);
    say("x"); /* the first drawing of all cells is over */
    memset(line, 'a', sizeof line);
    for (int i = 0; i < 4; i++)
        assert_int_equal(screen->write(line, sizeof line), sizeof line);
    assert_true(posted > 0);
    assert_int_equal(cell(0, 1), ' ');
    draw_now(&draw_event);
    assert_int_equal(again, 1); /* 640 cells: more than one event draws */
    assert_int_equal(cell(0, 1), 'a');
    assert_int_equal(cell(3, 159), ' ');
    draw_now(&draw_event);
    assert_int_equal(again, 1);
    assert_int_equal(cell(3, 159), 'a');
    screen->write("z", 1); /* too soon for another frame */
    draw_now(&draw_event);
    assert_int_equal(at, now + FRAME_NS);
    now = at;
    draw_now(&draw_event);
    assert_int_equal(cell(4, 1), 'z');
}

/* A guest's output is in one piece, whatever it is: none of it costs a screenful a byte. */
static void test_output_costs_little(void **state)
{
    static const struct boot_fb wide = { .size = 1920 * 4 * 1600,
                                         .width = 1920,
                                         .height = 1600,
                                         .pitch = 1920 * 4,
                                         .format = BOOT_FB_BGRX };
    static const char *const kinds[] = {
        "\n", "x\n", "\033[2J", "x\033[2J", "\033[K", "x\r\033[K\n"
    };
    static char out[65536];

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        assert_true(begin(wide));
        assert_int_equal(fb_init(), 0);
        for (size_t i = 0; i < sizeof out; i++)
            out[i] = kinds[k][i % strlen(kinds[k])];
        moved = 0;
        assert_int_equal(fb_write(out, sizeof out), sizeof out);
        assert_in_range(moved, 0, sizeof out * 128);
    }
    fb_write("K\033[2J\033[1;1Hend", 14); /* the last one was cut within a sequence */
    fb_write_sync("", 0);
    shows(0, "end");
    for (uint32_t row = 1; row < 100; row++)
        shows(row, "");
}

/* Modes that firmware gets wrong: what the memory can show, or nothing. */
static void test_modes(void **state)
{
    struct boot_fb m = small;

    (void)state;
    m.height = 8000; /* a mode higher than its memory: fewer rows */
    assert_true(begin(m));
    assert_int_equal(fb.rows, 5);
    m = small, m.format = BOOT_FB_MASK;
    assert_true(begin(m));
    say("\x7f");
    assert_int_equal(pixels[1], 0xffffffff);
    m = small, m.format = BOOT_FB_NONE;
    assert_false(begin(m));
    m = small, m.pitch = 300 * 4; /* narrower than the mode */
    assert_false(begin(m));
    m = small, m.pitch = 0;
    assert_false(begin(m));
    m = small, m.size = 400 * 4 * 79; /* not even five rows */
    assert_false(begin(m));
    say("nothing");
    assert_null(screen);
    assert_int_equal(fb_init(), -ENODEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_long_lines_go_on_below),
        cmocka_unit_test(test_control_sequences),
        cmocka_unit_test(test_far_away),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_drawn_by_an_event_in_pieces),
        cmocka_unit_test(test_output_costs_little),
        cmocka_unit_test(test_modes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
