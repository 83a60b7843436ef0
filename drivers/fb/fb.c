/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fb.c: a text console on the firmware's framebuffer. The text is kept as characters; drawing is
 * done apart and redraws only the cells that differ, because the framebuffer is slow to write and
 * much slower to read. Until events run, and in a panic, drawing is done at once.
 */
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/console.h>
#include <hv/event.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/time.h>
#include <stdio.h>
#include <string.h>

#include "boot/boot_info.h"
#include "fb.h"

#define COLS_MAX 240u
#define ROWS_MAX 100u
#define COLS_MIN 40u
#define ROWS_MIN 5u
#define CELL_W 8u
#define CELL_H 16u
#define INK 0x00d0d0d0u /* grey: the same in either order of the colours */
#define INK_MASK 0xffffffffu
#define PAPER 0x00000000u
#define FONT_GLYPHS 256u
#define FRAME_NS 20000000ull /* between drawings: what scrolls by faster is not drawn */
#define FRAME_CELLS 512u     /* drawn by one event: 256 KiB of pixels */
#define PARAMS 2u

/* font.S: a PC Screen Font, version 1: 4 bytes of header, then 16 bytes for each glyph. */
extern const uint8_t fb_font[], fb_font_end[];

enum fb_escape { FB_TEXT, FB_ESC, FB_CSI };

static struct {
    struct boot_fb info;
    volatile uint32_t *pixels; /* NULL: no screen */
    uint32_t ink;
    uint32_t cols, rows, col, row;
    uint32_t top;        /* the row of `text` that is the screen's first */
    bool used[ROWS_MAX]; /* rows of `text` that may not be blank */
    enum fb_escape escape;
    uint32_t param[PARAMS], nparams; /* of the control sequence that has begun */
    bool deferred;                   /* drawn by the event */
    uint64_t next_frame;             /* time_ns() from which the event draws again */
    char name[40];
} fb;
static char text[ROWS_MAX][COLS_MAX], shown[ROWS_MAX][COLS_MAX];
static uint32_t drawn; /* the cell where the next piece of drawing begins: row * cols + col */
static struct event draw_event;
static struct spinlock fb_lock = SPINLOCK_INIT(LOCK_SCREEN);

/* Which row of `text` that is: what scrolls does not move. */
static uint32_t fb_at(uint32_t row) { return (fb.top + row) % fb.rows; }

/* ---- drawing ---- */

static void draw_cell(uint32_t row, uint32_t col, char c)
{
    const uint8_t *glyph = fb_font + 4 + (size_t)(uint8_t)c * CELL_H;
    volatile uint32_t *at =
        fb.pixels + (size_t)row * CELL_H * (fb.info.pitch / 4) + (size_t)col * CELL_W;

    for (uint32_t y = 0; y < CELL_H; y++, at += fb.info.pitch / 4)
        for (uint32_t x = 0; x < CELL_W; x++)
            at[x] = glyph[y] & (0x80u >> x) ? fb.ink : PAPER;
}

/* Goes round the screen once, or until `limit` cells were drawn: false then, there is more. */
static bool draw(uint32_t limit)
{
    uint32_t cells = fb.rows * fb.cols;

    assert_held(&fb_lock);
    for (uint32_t i = 0; i < cells; i++, drawn = (drawn + 1) % cells) {
        uint32_t r = drawn / fb.cols, c = drawn % fb.cols;

        char now = text[fb_at(r)][c];

        if (now == shown[r][c])
            continue;
        if (!limit--)
            return false;
        draw_cell(r, c, now);
        shown[r][c] = now;
    }
    return true;
}

/* Posted whenever the text changes; draws once a frame, and the rest in pieces. */
static void draw_now(struct event *ev)
{
    uint64_t now = time_ns();

    if (now < fb.next_frame) {
        event_at(ev, fb.next_frame);
        return;
    }
    spin_lock(&fb_lock);
    bool all = draw(FRAME_CELLS);
    spin_unlock(&fb_lock);
    if (all)
        fb.next_frame = now + FRAME_NS;
    else
        event_put_off(ev);
}

/* ---- what the line editor writes: control sequences of ECMA-48 §8.3 ---- */

/* A guest's console may be here: of 64 KiB that it writes at once, no byte may cost a screenful. */
static void fb_blank(uint32_t row)
{
    uint32_t at = fb_at(row);

    if (fb.used[at])
        memset(text[at], ' ', sizeof text[at]);
    fb.used[at] = false;
}

static void newline(void)
{
    fb.col = 0;
    if (fb.row + 1 < fb.rows) {
        fb.row++;
        return;
    }
    fb.top = fb_at(1);
    fb_blank(fb.rows - 1);
}

static uint32_t at_least_1(uint32_t n) { return n ? n : 1; }

static void cursor_back(uint32_t n, uint32_t unused)
{
    (void)unused;
    fb.col -= (uint32_t)min_u64(at_least_1(n), fb.col);
}

static void cursor_forward(uint32_t n, uint32_t unused)
{
    (void)unused;
    fb.col = (uint32_t)min_u64((uint64_t)fb.col + at_least_1(n), fb.cols - 1);
}

static void cursor_to(uint32_t row, uint32_t col)
{
    fb.row = (uint32_t)min_u64(at_least_1(row), fb.rows) - 1;
    fb.col = (uint32_t)min_u64(at_least_1(col), fb.cols) - 1;
}

/* Only what the line editor asks for: 0, to the end of the line. */
static void erase_line(uint32_t how, uint32_t unused)
{
    (void)unused;
    if (!how)
        memset(&text[fb_at(fb.row)][fb.col], ' ', fb.cols - fb.col);
}

static void erase_screen(uint32_t how, uint32_t unused)
{
    (void)unused;
    for (uint32_t row = 0; how == 2 && row < fb.rows; row++)
        fb_blank(row);
}

static const struct {
    char final;
    void (*fn)(uint32_t, uint32_t);
} sequences[] = {
    { 'C', cursor_forward }, { 'D', cursor_back }, { 'H', cursor_to },
    { 'J', erase_screen },   { 'K', erase_line },
};

/* Others are swallowed. */
static void end_sequence(char final)
{
    fb.escape = FB_TEXT;
    for (size_t i = 0; i < ARRAY_SIZE(sequences); i++)
        if (sequences[i].final == final)
            sequences[i].fn(fb.param[0], fb.param[1]);
}

static void in_sequence(char c)
{
    if (c >= '0' && c <= '9') {
        if (fb.nparams < PARAMS && fb.param[fb.nparams] < 1000)
            fb.param[fb.nparams] = fb.param[fb.nparams] * 10 + (uint32_t)(c - '0');
    } else if (c == ';') {
        fb.nparams++;
    } else if (c >= 0x40) {
        end_sequence(c);
    }
}

static void in_escape(char c)
{
    if (fb.escape == FB_CSI) {
        in_sequence(c);
        return;
    }
    fb.escape = c == '[' ? FB_CSI : FB_TEXT;
    fb.nparams = 0;
    memset(fb.param, 0, sizeof fb.param);
}

static void fb_put(char c)
{
    if (fb.escape) {
        in_escape(c);
    } else if (c == 0x1b) {
        fb.escape = FB_ESC;
    } else if (c == '\n') {
        newline();
    } else if (c == '\r') {
        fb.col = 0;
    } else if (c == '\b') {
        fb.col -= fb.col > 0;
    } else if ((uint8_t)c >= ' ') {
        text[fb_at(fb.row)][fb.col] = c;
        fb.used[fb_at(fb.row)] = true;
        if (++fb.col == fb.cols)
            newline();
    }
}

/* ---- the host's line ---- */

void fb_write_sync(const char *s, size_t n)
{
    if (!fb.pixels)
        return;
    spin_lock(&fb_lock);
    for (size_t i = 0; i < n; i++)
        fb_put(s[i]);
    (void)draw(UINT32_MAX);
    spin_unlock(&fb_lock);
}

static size_t fb_write(const char *s, size_t n)
{
    if (!fb.deferred) {
        fb_write_sync(s, n);
        return n;
    }
    spin_lock(&fb_lock);
    for (size_t i = 0; i < n; i++)
        fb_put(s[i]);
    spin_unlock(&fb_lock);
    event_post(&draw_event); /* the console holds locks that event_at() may not be called under */
    return n;
}

static const struct host_console fb_line = { .name = "framebuffer",
                                             .write = fb_write,
                                             .write_sync = fb_write_sync };

/* As many rows as the memory that is there can show, whatever the mode says. */
static bool fb_fit(const struct boot_fb *f)
{
    uint64_t lines = f->pitch ? min_u64(f->height, f->size / f->pitch) : 0;

    fb.cols = (uint32_t)min_u64(f->width / CELL_W, COLS_MAX);
    fb.rows = (uint32_t)min_u64(lines / CELL_H, ROWS_MAX);
    return f->format != BOOT_FB_NONE && f->pitch % 4 == 0 && f->pitch / 4 >= f->width &&
           fb.cols >= COLS_MIN && fb.rows >= ROWS_MIN;
}

bool fb_early(const struct boot_info *bi)
{
    /* cppcheck-suppress comparePointers ; both ends of one thing, by the linker */
    if (fb_font_end - fb_font < 4 + (long)(FONT_GLYPHS * CELL_H) || !fb_fit(&bi->fb))
        return false;
    fb.info = bi->fb;
    fb.ink = fb.info.format == BOOT_FB_MASK ? INK_MASK : INK;
    memset(text, ' ', sizeof text);
    memset(shown, 0, sizeof shown);
    snprintf(fb.name, sizeof fb.name, "framebuffer %ux%u", fb.info.width, fb.info.height);
    fb.pixels = phys_to_virt(hpa(fb.info.base));
    host_console_register(&fb_line); /* a panic reaches it from now on */
    return true;
}

int fb_init(void)
{
    assert_cpu0();
    if (!fb.pixels)
        return -ENODEV;
    log_info("screen: %s, %u columns, %u rows", fb.name, fb.cols, fb.rows);
    event_init(&draw_event, draw_now, 0);
    fb.deferred = true;
    return 0;
}

const char *fb_name(void) { return fb.name; }
