/* SPDX-License-Identifier: BSD-2-Clause */
/* The command `log`: this run's, and the one before. */
#include "mgmt.h"
#include "out.h"
#include <hv/config.h>
#include <hv/kept.h>
#include <hv/log.h>
#include <hv/store_log.h>
#include <string.h>

#define LOG_SHOWN 100

static const char *const level_words[] = { "err", "warn", "info", "debug" };
static const struct column line_cols[] = { { "line", "", UNIT_NONE, false } };

static int log_level_of(const char *word)
{
    for (int i = 0; i <= LOG_DEBUG; i++) {
        if (strcmp(level_words[i], word) == 0)
            return i;
    }
    return strcmp(word, "all") == 0 ? LOG_DEBUG : -1;
}

/* `log level debug`: until the machine's end; trivet.conf stays as it is. */
static void log_level(struct out *o, const char *word)
{
    int level = log_level_of(word);

    if (level < 0) {
        out_error_code(o, OUT_USAGE, "unknown log level `%.20s`; give err, warn, info or debug",
                       word);
        return;
    }
    the_config.host.log = (enum log_level)level;
    log_set_console_level(the_config.host.log);
    out_text(o, "level", "Shown from now on", "%s", level_words[level]);
    out_line(o, "not saved: `log = %s` under [host] in trivet.conf keeps it", level_words[level]);
}

void log_newest_rows(struct out *o, enum log_level level, uint64_t from, uint32_t most)
{
    char text[256];
    uint64_t seq = from;
    uint32_t count = 0;

    while (log_read(&seq, level, text, sizeof text))
        count++;
    for (seq = from; log_read(&seq, level, text, sizeof text);) {
        if (count > most) {
            count--;
            continue;
        }
        out_row(o);
        out_cell(o, text);
    }
}

/* ---- the run before ---- */

static void from_memory(struct out *o)
{
    char text[300];
    unsigned level;
    uint64_t seq = 0;

    while (kept_previous(&seq, &level, text, sizeof text)) {
        out_row(o);
        out_cell(o, text);
    }
}

static void from_volume(struct out *o)
{
    uint32_t len, n;
    const char *s = store_log_previous(&len);
    char line[300];

    for (; s && len; s += n, len -= n) {
        const char *end = memchr(s, '\n', len);
        uint32_t shown = end ? (uint32_t)(end - s) : len;

        n = shown + (end != NULL);
        shown = min_u32(shown, sizeof line - 1);
        memcpy(line, s, shown);
        line[shown] = '\0';
        out_row(o);
        out_cell(o, line);
    }
}

static void log_previous(struct out *o)
{
    char why[KEPT_LINE], first[4];
    unsigned level;
    uint64_t seq = 0;
    uint32_t len;
    bool memory = kept_previous(&seq, &level, first, sizeof first);
    bool volume = !memory && store_log_previous(&len);

    out_text(o, "source", "Kept in", "%s", memory ? "memory" : volume ? "state volume" : "none");
    if (kept_reason(why, sizeof why))
        out_text(o, "panic", "Ended so", "%s", why);
    else
        out_null(o, "panic");
    out_list(o, "lines", line_cols, 1);
    if (memory)
        from_memory(o);
    else
        from_volume(o);
    out_list_end(o);
    if (!memory && !volume)
        out_line(o, "Nothing is known of a run before: it is the first, or its memory is lost (a "
                    "power cut), and the state volume has nothing of it.");
}

void cmd_log(struct out *o, unsigned argc, char **argv)
{
    int level = argc == 2 ? log_level_of(argv[1]) : LOG_DEBUG;
    bool all = argc == 2 && strcmp(argv[1], "all") == 0;

    if (argc > 1 && strcmp(argv[1], "level") == 0) {
        log_level(o, argc > 2 ? argv[2] : level_words[the_config.host.log]);
        return;
    }
    if (argc == 2 && strcmp(argv[1], "--previous") == 0) {
        log_previous(o);
        return;
    }
    if (argc > 2)
        level = -1;
    if (level < 0) {
        out_error_code(o, OUT_USAGE,
                       "unknown log level `%.20s`; give err, warn, info, debug, all or "
                       "--previous",
                       argv[1]);
        return;
    }
    out_list(o, "lines", line_cols, 1);
    log_newest_rows(o, (enum log_level)level, 0, all ? UINT32_MAX : LOG_SHOWN);
    out_list_end(o);
}
