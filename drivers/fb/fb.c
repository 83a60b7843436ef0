/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fb.c: a text console on the firmware's framebuffer. The text is kept as characters; scrolling
 * redraws only the cells that differ, because the framebuffer is slow to write and much slower to
 * read.
 */
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/console.h>
#include <hv/log.h>
#include <stdio.h>
#include <string.h>

#include "boot/boot_info.h"
#include "fb.h"

#define COLS_MAX 240u
#define ROWS_MAX 100u
#define CELL_W 8u
#define CELL_H 16u
#define INK 0x00d0d0d0u /* grey: the same in RGBX and BGRX */
#define PAPER 0x00000000u
#define FONT_GLYPHS 256u

/* font.S: a PC Screen Font, version 1: 4 bytes of header, then 16 bytes for each glyph. */
extern const uint8_t fb_font[], fb_font_end[];

static struct {
    struct boot_fb info;
    volatile uint32_t *pixels; /* NULL until fb_init() */
    uint32_t cols, rows, col, row;
    uint8_t escape; /* 1: after ESC, 2: inside ESC [ */
    char name[40];
} fb;
static char text[ROWS_MAX][COLS_MAX], shown[ROWS_MAX][COLS_MAX];

static void draw_cell(uint32_t row, uint32_t col, char c)
{
    const uint8_t *glyph = fb_font + 4 + (size_t)(uint8_t)c * CELL_H;
    volatile uint32_t *at =
        fb.pixels + (size_t)row * CELL_H * (fb.info.pitch / 4) + (size_t)col * CELL_W;

    for (uint32_t y = 0; y < CELL_H; y++, at += fb.info.pitch / 4)
        for (uint32_t x = 0; x < CELL_W; x++)
            at[x] = glyph[y] & (0x80u >> x) ? INK : PAPER;
}

static void redraw(void)
{
    for (uint32_t r = 0; r < fb.rows && fb.pixels; r++) {
        for (uint32_t c = 0; c < fb.cols; c++) {
            if (text[r][c] != shown[r][c]) {
                draw_cell(r, c, text[r][c]);
                shown[r][c] = text[r][c];
            }
        }
    }
}

static void newline(void)
{
    fb.col = 0;
    if (fb.row + 1 < fb.rows) {
        fb.row++;
        return;
    }
    memmove(text[0], text[1], (fb.rows - 1) * sizeof text[0]);
    memset(text[fb.rows - 1], ' ', sizeof text[0]);
}

/* Terminal sequences are swallowed: this screen has no colours and nobody types on it. */
static bool in_escape(char c)
{
    if (fb.escape == 0)
        fb.escape = c == 0x1b;
    else if (fb.escape == 1)
        fb.escape = c == '[' ? 2 : 0;
    else if (c >= 0x40)
        fb.escape = 0;
    else
        return true;
    return fb.escape != 0 || c == 0x1b || c >= 0x7f;
}

static void put(char c)
{
    bool was = fb.escape != 0;

    if (in_escape(c) || was)
        return;
    if (c == '\n') {
        newline();
    } else if (c == '\r') {
        fb.col = 0;
    } else if (c == '\b') {
        fb.col -= fb.col > 0;
    } else if ((uint8_t)c >= ' ') {
        text[fb.row][fb.col] = c;
        if (++fb.col == fb.cols)
            newline();
    }
}

static void write_sync(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(s[i]);
    redraw();
}

static size_t write(const char *s, size_t n)
{
    write_sync(s, n);
    return n;
}

/* With a serial line at hand the screen stays as it is until a panic. */
static size_t write_nothing(const char *s, size_t n)
{
    (void)s;
    return n;
}

static const struct host_console line = { .name = "framebuffer",
                                          .write = write,
                                          .write_sync = write_sync };
static const struct host_console panic_line = { .name = "framebuffer",
                                                .write = write_nothing,
                                                .write_sync = write_sync };

bool fb_early(const struct boot_info *bi, bool log)
{
    const struct boot_fb *f = &bi->fb;
    uint64_t need = (uint64_t)f->pitch * f->height;

    if (f->format == BOOT_FB_NONE || f->width < 80 * CELL_W || f->height < 10 * CELL_H ||
        f->pitch / 4 < f->width || need > f->size ||
        /* cppcheck-suppress comparePointers ; both ends of one thing, by the linker */
        fb_font_end - fb_font < 4 + (long)(FONT_GLYPHS * CELL_H))
        return false;
    fb.info = *f;
    fb.cols = f->width / CELL_W < COLS_MAX ? f->width / CELL_W : COLS_MAX;
    fb.rows = f->height / CELL_H < ROWS_MAX ? f->height / CELL_H : ROWS_MAX;
    memset(text, ' ', sizeof text);
    memset(shown, 0, sizeof shown);
    snprintf(fb.name, sizeof fb.name, "framebuffer %ux%u", f->width, f->height);
    if (log)
        log_set_sink(write_sync);
    return true;
}

int fb_init(bool log)
{
    assert_cpu0();
    fb.pixels = mmu_map_framebuffer(hpa(fb.info.base), (uint64_t)fb.info.pitch * fb.info.height);
    if (!fb.pixels)
        return -ENOMEM;
    if (log)
        redraw();
    host_console_register(log ? &line : &panic_line);
    return 0;
}

const char *fb_name(void) { return fb.name; }
