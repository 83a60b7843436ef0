/* SPDX-License-Identifier: BSD-2-Clause */
/* Words that people type, in the configuration and at the console. */
#include <hv/assert.h>
#include <hv/words.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Decimal digits at *s; advances *s past them. */
static int digits(const char **s, uint64_t *out)
{
    uint64_t v = 0;

    if (**s < '0' || **s > '9')
        return -EINVAL;
    for (; **s >= '0' && **s <= '9'; (*s)++) {
        if (v > (UINT64_MAX - 9) / 10)
            return -ERANGE;
        v = v * 10 + (uint64_t)(**s - '0');
    }
    *out = v;
    return 0;
}

int parse_size(const char *s, uint64_t *out)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {
        { "", 0 },     { "B", 0 },   { "K", 10 },   { "KB", 10 },  { "KiB", 10 },
        { "M", 20 },   { "MB", 20 }, { "MiB", 20 }, { "G", 30 },   { "GB", 30 },
        { "GiB", 30 }, { "T", 40 },  { "TB", 40 },  { "TiB", 40 },
    };
    uint64_t v;
    int err = digits(&s, &v);

    hv_assert(s && out);
    if (err)
        return err;
    while (*s == ' ')
        s++;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcasecmp(s, units[i].name) != 0)
            continue;
        if (units[i].shift && v >> (64 - units[i].shift))
            return -ERANGE;
        *out = v << units[i].shift;
        return 0;
    }
    return -EINVAL;
}

int parse_number(const char *s, uint64_t lo, uint64_t hi, uint64_t *out)
{
    uint64_t v;
    int err = digits(&s, &v);

    hv_assert(s && out && lo <= hi);
    if (err || *s)
        return err ? err : -EINVAL;
    if (v < lo || v > hi)
        return -ERANGE;
    *out = v;
    return 0;
}

int parse_bool(const char *s, bool *out)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        { "yes", true }, { "on", true },   { "true", true },   { "1", true },
        { "no", false }, { "off", false }, { "false", false }, { "0", false },
    };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcasecmp(s, words[i].word) == 0) {
            *out = words[i].value;
            return 0;
        }
    }
    return -EINVAL;
}

int parse_cpu_list(const char *s, unsigned limit, struct cpuset *out)
{
    struct cpuset set = { { 0 } };
    uint64_t first, last;
    int err;

    hv_assert(limit > 0 && limit <= MAX_CPUS);
    for (;;) {
        err = digits(&s, &first);
        if (err)
            return err;
        last = first;
        if (*s == '-') {
            s++;
            err = digits(&s, &last);
            if (err)
                return err;
        }
        if (first > last)
            return -EINVAL;
        if (last >= limit)
            return -ERANGE;
        for (uint64_t cpu = first; cpu <= last; cpu++)
            cpuset_add(&set, (uint32_t)cpu);
        if (*s == '\0')
            break;
        if (*s++ != ',')
            return -EINVAL;
        while (*s == ' ')
            s++;
    }
    *out = set;
    return 0;
}

const char *format_cpus(const struct cpuset *set, char *buf, size_t len)
{
    unsigned word = CPUSET_WORDS - 1;
    size_t n;

    while (word && !set->w[word])
        word--;
    n = (size_t)snprintf(buf, len, "%#llx", (unsigned long long)set->w[word]);
    while (word-- && n < len)
        n += (size_t)snprintf(buf + n, len - n, "%016llx", (unsigned long long)set->w[word]);
    return buf;
}

#define WORD_MAX 24

/* Levenshtein distance of two words of at most WORD_MAX letters; more when either is longer. */
static unsigned distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    uint8_t row[WORD_MAX + 1];

    if (na > WORD_MAX || nb > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= nb; j++)
        row[j] = (uint8_t)j;
    for (size_t i = 1; i <= na; i++) {
        uint8_t diagonal = row[0];

        row[0] = (uint8_t)i;
        for (size_t j = 1; j <= nb; j++) {
            uint8_t best = (uint8_t)(diagonal + (a[i - 1] != b[j - 1]));

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = (uint8_t)(row[j] + 1);
            if (row[j - 1] + 1 < best)
                best = (uint8_t)(row[j - 1] + 1);
            row[j] = best;
        }
    }
    return row[nb];
}

const char *nearest_word(const char *s, const char *const *words, size_t n)
{
    const char *best = NULL;
    unsigned best_d = strlen(s) < 4 ? 2 : 3; /* distances below this are near */

    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(s, words[i]);

        if (d < best_d) {
            best = words[i];
            best_d = d;
        }
    }
    for (size_t i = 0; !best && strlen(s) >= 2 && i < n; i++) {
        if (strncasecmp(s, words[i], strlen(s)) == 0)
            best = words[i];
    }
    return best;
}

const char *format_size(uint64_t bytes, char *buf, size_t len)
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    unsigned u = 0;
    uint64_t whole = bytes, rest = 0;

    hv_assert(buf && len > 0);
    while (whole >= 1024 && u + 1 < ARRAY_SIZE(unit)) {
        rest = whole % 1024;
        whole /= 1024;
        u++;
    }
    if (u == 0 || rest * 10 / 1024 == 0 || whole >= 100)
        snprintf(buf, len, "%llu %s", (unsigned long long)whole, unit[u]);
    else
        snprintf(buf, len, "%llu.%llu %s", (unsigned long long)whole,
                 (unsigned long long)(rest * 10 / 1024), unit[u]);
    return buf;
}

const char *format_ns(uint64_t ns, char *buf, size_t len)
{
    unsigned long long s = ns / 1000000000u, ms = ns / 1000000u % 1000;

    hv_assert(buf && len > 0);
    if (ns < 10000000u)
        snprintf(buf, len, "%llu us", (unsigned long long)ns / 1000);
    else if (s < 60)
        snprintf(buf, len, "%llu.%03llu s", s, ms);
    else if (s < 86400)
        snprintf(buf, len, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, len, "%llu d %02llu:%02llu:%02llu", s / 86400, s / 3600 % 24, s / 60 % 60,
                 s % 60);
    return buf;
}

const char *error_text(int err)
{
    static const struct {
        int err;
        const char *text;
    } texts[] = {
        { ENOMEM, "not enough memory" },
        { ENOENT, "not found" },
        { EBUSY, "busy" },
        { EINVAL, "not valid" },
        { ENOSPC, "no room is left" },
        { EEXIST, "exists already" },
        { ENOTSUP, "not supported" },
        { EIO, "input or output failed" },
        { EFAULT, "a bad address" },
        { ERANGE, "out of range" },
        { EPROTO, "a broken protocol" },
        { ENOEXEC, "not a kernel that Trivet knows" },
        { E2BIG, "too large" },
        { EAGAIN, "not now" },
        { ENODEV, "no such device" },
        { ETIMEDOUT, "no answer in time" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (texts[i].err == err || texts[i].err == -err)
            return texts[i].text;
    }
    return "failed for an unnamed reason";
}
