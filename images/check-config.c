/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check-config: reads a trivet.conf with the very reader that Trivet has (hv/conf), on the machine
 * where the stick is made. images/check-config builds and calls it.
 *
 *   check-config CONF [PATH=FILE...]
 *
 * PATH=FILE: a file of the stick and where its bytes are; without any, only the text is checked.
 * Prints each error as CONF:LINE: TEXT. Exit status: 0 no error, 1 errors, 2 it could not be
 * checked.
 */
#include "boot/boot_info.h"
#include <hv/config.h>
#include <hv/config_files.h>
#include <hv/kernel.h>
#include <hv/panic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG_MAX (1u << 20) /* the loader's limit */
#define NO_LIMIT (1ull << 46)

static const char *conf;
static char **files; /* PATH=FILE */
static int nfiles;
static unsigned errors;

_Noreturn void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(2);
}

static void printf_like(2, 3) tell(unsigned line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fprintf(stderr, line ? "%s:%u: " : "%s: ", conf, line);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    errors++;
}

/* The file behind a path of the stick; NULL: it is not there. */
static const char *source_of(const char *path, size_t len)
{
    for (int i = 0; i < nfiles; i++) {
        size_t n = strcspn(files[i], "=");

        if (config_same_file(files[i], n, path, len))
            return files[i] + n + 1;
    }
    return NULL;
}

/* All of it, with a zero behind it; at most `most` bytes. NULL: it cannot be read, or is longer. */
static char *contents(const char *path, size_t most, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *s = f ? malloc(most + 1) : NULL;

    *len = s ? fread(s, 1, most + 1, f) : 0;
    if (f && (ferror(f) || *len > most)) {
        free(s);
        s = NULL;
    }
    if (f)
        fclose(f);
    if (s)
        s[*len] = '\0';
    return s;
}

/* ---- the files ---- */

/* Those that the configuration names, each once. */
static struct named {
    unsigned line;
    char *path;
    size_t len;
} lines[BOOT_FILES_MAX];
static unsigned nlines;

static void remember(unsigned line, const char *path, size_t len)
{
    for (unsigned i = 0; i < nlines; i++)
        if (config_same_file(lines[i].path, lines[i].len, path, len))
            return;
    if (nlines == BOOT_FILES_MAX) {
        tell(line, "%.*s: Trivet loads at most %u files", (int)len, path, BOOT_FILES_MAX);
        return;
    }
    lines[nlines++] = (struct named){ line, strndup(path, len), len };
}

static void on_file(void *ctx, unsigned line, const char *path, size_t len)
{
    const char *source = source_of(path, len);
    struct stat st;

    (void)ctx;
    remember(line, path, len);
    if (nfiles == 0)
        return;
    if (!source)
        tell(line, "%.*s: this file is not given on the command line", (int)len, path);
    else if (stat(source, &st) || !S_ISREG(st.st_mode))
        tell(line, "%.*s: %s cannot be read", (int)len, path, source);
}

/* The line that names a file of the guest's: the first one below its header. */
static unsigned line_of(const struct guest_config *g, const char *path)
{
    for (unsigned i = 0; i < nlines; i++)
        if (lines[i].line > g->line &&
            config_same_file(lines[i].path, lines[i].len, path, strlen(path)))
            return lines[i].line;
    return g->line;
}

/* A disk without a sector is none. */
static void check_disks(const struct guest_config *g)
{
    struct stat st;

    for (unsigned i = 0; i < g->ndisks; i++) {
        const char *path = g->disk[i].path, *source = source_of(path, strlen(path));

        if (g->disk[i].source == DISK_FILE && source && stat(source, &st) == 0 && st.st_size < 512)
            tell(line_of(g, path), "disk %s: %lld bytes: less than a sector", path,
                 (long long)st.st_size);
    }
}

/* What a file's header says, in the words of the guest that will not start. */
static void check_header(const struct guest_config *g, const char *key, const char *path,
                         bool (*problem)(const struct guest_config *, const void *file,
                                         uint64_t len, char *why, size_t n))
{
    const char *source = source_of(path, strlen(path));
    char *file, why[200];
    struct stat st;
    size_t len;

    if (!source || stat(source, &st))
        return;
    file = contents(source, (size_t)st.st_size, &len);
    if (!file)
        return;
    if (problem(g, file, len, why, sizeof why))
        tell(line_of(g, path), "%s %s: %s", key, path, why);
    free(file);
}

static void check_guest(const struct guest_config *g)
{
    check_header(g, "kernel", g->kernel, kernel_problem);
    check_header(g, "firmware", g->firmware, firmware_problem);
    check_disks(g);
}

/* ---- the text ---- */

static void check(const char *text, size_t len)
{
    const struct config_limits limits = { .memory_max = NO_LIMIT, .cpus = MAX_CPUS };
    struct config c;

    if (config_parse(text, len, &limits, &c) < 0)
        panic("not enough memory");
    for (unsigned i = 0; i < c.nerrors; i++)
        tell(c.error[i].line, "%s", c.error[i].text);
    if (c.errors_untold) {
        tell(0, "%u more errors", c.errors_untold);
        errors += c.errors_untold - 1;
    }
    if (c.nguests == 0 && c.nerrors == 0)
        tell(0, "no guest is defined: write a [guest NAME] section");
    config_files(text, CONFIG_ALL_ISAS, on_file, NULL);
    for (unsigned i = 0; i < c.nguests; i++)
        check_guest(&c.guest[i]);
    if (errors == 0)
        printf("%s: %u %s, no error\n", conf, c.nguests, c.nguests == 1 ? "guest" : "guests");
    else
        fprintf(stderr, "%s: %u %s\n", conf, errors, errors == 1 ? "error" : "errors");
    config_free(&c);
}

int main(int argc, char **argv)
{
    size_t len;
    char *text;

    if (argc < 2)
        panic("usage: check-config trivet.conf [PATH=FILE...]");
    conf = argv[1];
    files = argv + 2;
    nfiles = argc - 2;
    text = contents(conf, CONFIG_MAX, &len);
    if (!text)
        panic("%s: cannot be read, or is longer than %u bytes", conf, CONFIG_MAX);
    check(text, len);
    free(text);
    return errors ? 1 : 0;
}
