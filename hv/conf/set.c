/* SPDX-License-Identifier: BSD-2-Clause */
/* set.c: one key of a guest anew, by the reader of trivet.conf. */
#include "parse.h"
#include <hv/assert.h>
#include <hv/words.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct key *guest_key(const char *name)
{
    const struct section *s = &config_sections[SECTION_GUEST];

    for (size_t i = 0; i < s->n; i++)
        if (strcasecmp(s->keys[i].name, name) == 0)
            return &s->keys[i];
    return NULL;
}

static int unknown(const char *key, char *why, size_t n)
{
    const struct section *s = &config_sections[SECTION_GUEST];
    const char *names[64], *near;
    size_t count = 0;

    for (; count < s->n && count < ARRAY_SIZE(names); count++)
        names[count] = s->keys[count].name;
    near = nearest_word(key, names, count);
    snprintf(why, n, "a guest has no key `%.40s`%s%s%s", key, near ? "; did you mean `" : "",
             near ? near : "; `help config` lists them", near ? "`?" : "");
    return -EINVAL;
}

int config_set(const struct config_limits *limits, struct guest_config *g, const char *key,
               const char *value, char *why, size_t n)
{
    struct config out = { .error = NULL };
    struct guest_config *copy;
    struct parse p = { .limits = limits, .out = &out, .name = key, .value = value };
    const struct key *k = guest_key(key);

    hv_assert(limits && g && key && value && why);
    if (!k)
        return unknown(key, why, n);
    if (k->repeats) {
        snprintf(why, n, "`%s` may be given several times: it is changed in trivet.conf", k->name);
        return -EINVAL;
    }
    copy = malloc(sizeof *copy); /* charge: the configuration is Trivet's own */
    out.error = calloc(MAX_ERRORS, sizeof *out.error); /* charge: the same */
    if (!copy || !out.error) {
        free(copy);
        free(out.error);
        snprintf(why, n, "out of memory");
        return -ENOMEM;
    }
    *copy = *g;
    p.guest = copy;
    k->set(&p, k, (char *)copy + k->offset);
    copy->bad = g->bad;
    copy->bad_line = g->bad_line;
    if (out.nerrors)
        snprintf(why, n, "%s", out.error[0].text);
    else
        *g = *copy;
    free(copy);
    free(out.error);
    return out.nerrors ? -EINVAL : 0;
}
