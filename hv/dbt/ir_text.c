/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A unit as text and back. One instruction is a line:
 *
 *   %5 = add.i64 %3 %4
 *   %6 = load.i64 %5 size=3 imm=8
 *   branch %5 %6 lt label=2
 *
 * A number behind % is the value's own: the reader checks it.
 */
#include <hv/ir.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const ir_types[IR_TYPES] = { "void", "i32", "i64", "f32", "f64" };
static const char *const ir_conds[IR_CONDS] = { "eq", "ne",  "lt",  "le",  "gt",
                                                "ge", "ltu", "leu", "gtu", "geu" };

struct ir_out {
    char *text;
    unsigned room, used;
};

static void printf_like(2, 3) ir_out(struct ir_out *o, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(o->text + o->used, o->room - o->used, format, ap);
    va_end(ap);
    if (n > 0)
        o->used += (unsigned)min_u64((uint64_t)n, o->room - o->used - 1);
}

static bool ir_has_label(unsigned op) { return op == IR_LABEL || op == IR_JUMP || op == IR_BRANCH; }

unsigned ir_print(const struct ir_unit *u, unsigned at, char *text, unsigned room)
{
    const struct ir_ins *i = &u->ins[at];
    struct ir_out o = { text, room, 0 };
    const uint16_t args[] = { i->a, i->b, i->c };
    bool compares = i->op == IR_CMP || i->op == IR_FCMP || i->op == IR_BRANCH;

    if (i->type != IR_VOID)
        ir_out(&o, "%%%u = %s.%s", at, ir_info[i->op].name, ir_types[i->type]);
    else
        ir_out(&o, "%s", ir_info[i->op].name);
    for (unsigned k = 0; k < 3; k++)
        if (args[k])
            ir_out(&o, " %%%u", args[k]);
    if (compares && i->cond < IR_CONDS)
        ir_out(&o, " %s", ir_conds[i->cond]);
    else if (i->cond)
        ir_out(&o, " cond=%u", i->cond);
    if (i->size)
        ir_out(&o, " size=%u", i->size);
    if (ir_has_label(i->op))
        ir_out(&o, " label=%u", i->label);
    if (i->imm)
        ir_out(&o, " imm=%lld", (long long)i->imm);
    return o.used;
}

static unsigned ir_find(const char *word, const char *const *names, unsigned n)
{
    for (unsigned k = 0; k < n; k++)
        if (!strcmp(word, names[k]))
            return k;
    return n;
}

static bool ir_read_op(struct ir_ins *i, char *word)
{
    char *dot = strchr(word, '.');

    if (dot) {
        *dot = 0;
        i->type = (uint8_t)ir_find(dot + 1, ir_types, IR_TYPES);
    }
    for (i->op = 0; i->op < IR_OPS; i->op++)
        if (!strcmp(word, ir_info[i->op].name))
            return i->type < IR_TYPES;
    return false;
}

static bool ir_read_word(struct ir_ins *i, unsigned *args, const char *word)
{
    uint16_t *const arg[] = { &i->a, &i->b, &i->c };
    unsigned cond;

    if (word[0] == '%') {
        if (*args == 3)
            return false;
        *arg[(*args)++] = (uint16_t)strtoul(word + 1, NULL, 10);
    } else if (!strncmp(word, "imm=", 4)) {
        i->imm = (int64_t)strtoll(word + 4, NULL, 0);
    } else if (!strncmp(word, "size=", 5)) {
        i->size = (uint8_t)strtoul(word + 5, NULL, 10);
    } else if (!strncmp(word, "cond=", 5)) {
        i->cond = (uint8_t)strtoul(word + 5, NULL, 10);
    } else if (!strncmp(word, "label=", 6)) {
        i->label = (uint16_t)strtoul(word + 6, NULL, 10);
    } else if ((cond = ir_find(word, ir_conds, IR_CONDS)) < IR_CONDS) {
        i->cond = (uint8_t)cond;
    } else {
        return false;
    }
    return true;
}

/* One line of at most 200 bytes, without its end. */
static bool ir_read_line(struct ir_unit *u, char *line)
{
    struct ir_ins i = { 0 };
    unsigned args = 0, first = 1;
    char *rest = line, *word;

    while ((word = strtok_r(rest, " ", &rest))) {
        if (first && word[0] == '%') {
            if (strtoul(word + 1, NULL, 10) != u->n)
                return false;
            word = strtok_r(rest, " ", &rest);
            if (!word || strcmp(word, "=") != 0)
                return false;
            continue;
        }
        if (first ? !ir_read_op(&i, word) : !ir_read_word(&i, &args, word))
            return false;
        first = 0;
    }
    if (first)
        return true; /* an empty line */
    if (ir_has_label(i.op) && i.label < IR_MAX_LABELS && i.label >= u->labels)
        u->labels = (uint16_t)(i.label + 1);
    ir_add(u, i);
    return !u->full;
}

int ir_parse(struct ir_unit *u, const char *text, unsigned *line)
{
    u->n = u->labels = 0;
    u->full = false;
    for (*line = 1; *text; ++*line) {
        size_t n = strcspn(text, "\n");
        char copy[200];
        if (n >= sizeof copy)
            return -EINVAL;
        memcpy(copy, text, n);
        copy[n] = 0;
        if (!ir_read_line(u, copy))
            return -EINVAL;
        text += n + (text[n] == '\n');
    }
    return 0;
}
