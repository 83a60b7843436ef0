/* SPDX-License-Identifier: BSD-2-Clause */
/* Words and numbers of the command line. */
#include <guest.h>

static const char *find_word(const char *word)
{
    size_t n = strlen(word);
    for (const char *p = boot.cmdline; *p; p++) {
        bool starts = p == boot.cmdline || p[-1] == ' ';
        if (starts && !strncmp(p, word, n) && (p[n] == 0 || p[n] == ' ' || p[n] == '='))
            return p + n;
    }
    return NULL;
}

bool cmdline_has(const char *word) { return find_word(word) != NULL; }

uint64_t cmdline_num(const char *key, uint64_t def)
{
    const char *p = find_word(key);
    if (!p || *p != '=')
        return def;
    uint64_t v = 0, base = 10;
    p++;
    if (p[0] == '0' && p[1] == 'x') {
        base = 16;
        p += 2;
    }
    for (;; p++) {
        unsigned d = *p >= '0' && *p <= '9'   ? (unsigned)(*p - '0')
                     : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a' + 10)
                                              : 99;
        if (d >= base)
            return v;
        v = v * base + d;
    }
}
