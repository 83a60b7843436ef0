/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line editor for one terminal: emacs keys, history, search, completion. No output but through
 * `out`; no memory of its own.
 */
#pragma once
#include <hv/types.h>
#define LE_LINE 512
#define LE_HISTORY 32
/* clears the screen, and asks the terminal for its size, which comes as typed bytes (xterm's CSI 18
 * t) */
#define LE_CLEAR "\033[H\033[2J\033[18t"
#define LE_COLS_MIN 40u
#define LE_COLS_MAX 250u
enum le_event { LE_NONE, LE_DONE, LE_INTERRUPT };
struct lineedit {
    void (*out)(void *ctx, const char *, size_t);
    /*
     * Fills words[] with at most `max` completions of the word that ends at buf[cur]; returns their
     * number and where the word starts.
     */
    unsigned (*complete)(void *ctx, const char *buf, unsigned cur, unsigned *start,
                         const char **words, unsigned max);
    void *ctx;
    const char *prompt;
    unsigned cols;
    char buf[LE_LINE];
    unsigned len, cur;
    char kill[LE_LINE];
    char saved[LE_LINE]; /* the line being typed while history is shown */
    char history[LE_HISTORY][LE_LINE];
    unsigned nhistory, hist_pos; /* hist_pos: 0 = the typed line, n = n-th newest */
    char esc[16];
    unsigned esc_len;
    bool searching;
    char search[64];
    unsigned search_len, search_hit;
    bool last_tab, skip_lf;
};
void le_init(struct lineedit *, const char *prompt, unsigned cols,
             void (*out)(void *, const char *, size_t), void *ctx);
/*
 * One typed byte. LE_DONE: le->buf holds the line; call le_start before the next byte.
 * LE_INTERRUPT: Ctrl-C, the line is dropped.
 */
enum le_event le_feed(struct lineedit *, char);
void le_start(struct lineedit *); /* an empty line; shows the prompt */
/* takes prompt and line off the screen, for output above them */
void le_hide(struct lineedit *);
void le_redraw(struct lineedit *);
