/* SPDX-License-Identifier: BSD-2-Clause */
/* complete.c: which words may end the one being typed: commands, guests, keys, a command's own. */
#include "mgmt.h"
#include "session.h"
#include <hv/config.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>

static bool begins(const char *word, const char *part, unsigned len)
{
    return strncmp(word, part, len) == 0;
}

static unsigned complete_command(const char *part, unsigned len, const char **words, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; i < ncommands && n < max; i++) {
        if (begins(commands[i].name, part, len))
            words[n++] = commands[i].name;
    }
    return n;
}

static unsigned complete_argument(const struct command *c, const char *part, unsigned len,
                                  const char **words, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; c->guest && i < vm_count() && n < max; i++) {
        if (begins(vm_by_index(i)->config->name, part, len))
            words[n++] = vm_by_index(i)->config->name;
    }
    for (const char *const *w = c->words; w && *w && n < max; w++) {
        if (begins(*w, part, len))
            words[n++] = *w;
    }
    return n;
}

static unsigned complete_key(const char *part, unsigned len, const char **words, unsigned max)
{
    struct config_key k;
    unsigned n = 0;

    for (unsigned i = 0; config_key(i, &k) && n < max; i++) {
        if (begins(k.name, part, len))
            words[n++] = k.name;
    }
    return n;
}

/* [done, part): what was typed between `help` and the word that is completed. */
static unsigned complete_help(const char *done, const char *part, unsigned len, const char **words,
                              unsigned max)
{
    while (done < part && *done == ' ')
        done++;
    return part - done > 6 && begins(done, "config ", 7) ? complete_key(part, len, words, max)
                                                         : complete_command(part, len, words, max);
}

unsigned shell_complete(void *ctx, const char *buf, unsigned cur, unsigned *start,
                        const char **words, unsigned max)
{
    const struct command *c;
    char name[32];
    unsigned first = 0, end;

    (void)ctx;
    while (first < cur && buf[first] == ' ')
        first++;
    for (end = first; end < cur && buf[end] != ' '; end++)
        ;
    for (*start = cur; *start > first && buf[*start - 1] != ' '; (*start)--)
        ;
    if (*start <= first)
        return complete_command(buf + first, cur - first, words, max);
    snprintf(name, sizeof name, "%.*s", (int)(end - first), buf + first);
    if (strcmp(name, "help") == 0)
        return complete_help(buf + end, buf + *start, cur - *start, words, max);
    c = find_command(name);
    return c ? complete_argument(c, buf + *start, cur - *start, words, max) : 0;
}
