/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hardware task switches, for engines that leave them to us. Intel SDM vol 3 §7.3; what the CPU
 * has checked before the exit: §25.4.2.
 *
 * Until the old task is saved, a fault belongs to it and nothing has changed. From then on it
 * belongs to the new task. An event that is being delivered through a task gate is in v->event.
 */
#include "segment.h"
#include <hv/assert.h>
#include <string.h>

#define FLAGS_NT (1ull << 14)
#define FLAGS_TASK 0x3f7fd5ull /* what a TSS may set, VM among them */
#define DR6_BT (1ull << 15)
#define DR7_LOCAL 0x155ull /* L0 to L3, LE */

/*
 * The two layouts, figures 7-2 and 7-10: registers from `regs` on lie one behind the other, in the
 * order of `image`.
 */
struct layout {
    uint8_t size, width, regs, words, ldt;
}; /* words: of the image */
static const struct layout layouts[2] = { { 0x2c, 2, 0x0e, 14, 0x2a },
                                          { 0x68, 4, 0x20, 16, 0x60 } };
enum {
    IMAGE_PC,
    IMAGE_FLAGS,
    IMAGE_GPR,
    IMAGE_SEG = IMAGE_GPR + 8,
    IMAGE_WORDS = IMAGE_SEG + 6,
    TSS_CR3 = 0x1c,
    TSS_T = 0x64
};

struct switching {
    struct x86_tables s;
    enum task_how how;
    struct vcpu_event event; /* what came through the gate */
    const struct layout *old, *new;
    struct x86_desc tss; /* the new one */
    uint32_t image[IMAGE_WORDS], link, cr3, ldt;
    bool trap;
};

/* ---- before: the new TSS is looked at, the old task is saved ---- */

static int find_tss(struct switching *t, uint16_t sel)
{
    struct x86_desc *d = &t->tss;
    unsigned bad = t->how == TASK_CALL || t->how == TASK_JMP ? X86_GP : X86_TS, type;

    if ((sel & 4) != 0 || (sel & ~3u) == 0)
        return x86_tables_fault(&t->s, bad, sel);
    if (x86_desc_find(&t->s, sel, bad, d) != 0)
        return -EFAULT;
    type = d->attr & 0x1f; /* with S */
    if ((type & ~(8u | TYPE_BUSY)) != 1 || ((type & TYPE_BUSY) != 0) != (t->how == TASK_IRET))
        return x86_tables_fault(&t->s, bad, sel);
    if ((d->attr & ATTR_P) == 0)
        return x86_tables_fault(&t->s, X86_NP, sel);
    t->new = &layouts[type >> 3];
    return d->limit + 1u < t->new->size && d->limit != UINT32_MAX
               ? x86_tables_fault(&t->s, X86_TS, sel)
               : 0;
}

static uint32_t word_at(const uint8_t *tss, unsigned off, unsigned width)
{
    uint32_t w = 0;

    memcpy(&w, tss + off, width);
    return w;
}

static int read_new(struct switching *t)
{
    const struct layout *l = t->new;
    uint8_t tss[0x68];

    if (x86_tables_copy(&t->s, t->tss.base, tss, l->size, 0) != 0)
        return -EFAULT;
    for (unsigned i = 0; i < l->words; i++)
        t->image[i] = word_at(tss, l->regs + i * l->width, l->width);
    t->ldt = word_at(tss, l->ldt, 2);
    t->cr3 = l->width == 4 ? word_at(tss, TSS_CR3, 4) : 0;
    t->trap = l->width == 4 && (tss[TSS_T] & 1) != 0;
    return 0;
}

static int save_old(struct switching *t, unsigned len)
{
    struct vcpu *v = t->s.v;
    uint64_t attr = x86_get(v, X86_SEG_ATTR + X86_TR), flags = v->regs.flags;
    uint8_t out[IMAGE_WORDS * 4];
    uint32_t image[IMAGE_WORDS];
    const struct layout *l = t->old = &layouts[attr >> 3 & 1];

    if (x86_get(v, X86_SEG_LIMIT + X86_TR) + 1 < l->ldt)
        return x86_tables_fault(&t->s, X86_TS, (uint16_t)x86_get(v, X86_SEG_SEL + X86_TR));
    if (t->how == TASK_IRET)
        flags &= ~FLAGS_NT;
    if (t->how == TASK_GATE && t->event.type == VEV_EXCEPTION && t->event.vector != X86_DB)
        flags |= FLAGS_RF; /* a fault: the instruction runs again */
    image[IMAGE_PC] = (uint32_t)v->regs.pc + len;
    image[IMAGE_FLAGS] = (uint32_t)flags;
    for (unsigned i = 0; i < 8; i++)
        image[IMAGE_GPR + i] = (uint32_t)v->regs.gpr[i];
    for (unsigned i = 0; IMAGE_SEG + i < l->words; i++)
        image[IMAGE_SEG + i] = (uint32_t)x86_get(v, X86_SEG_SEL + i);
    for (unsigned i = 0; i < l->words; i++)
        memcpy(out + i * l->width, &image[i], l->width);
    return x86_tables_copy(&t->s, x86_get(v, X86_SEG_BASE + X86_TR) + l->regs, out,
                           (unsigned)l->words * l->width, PF_W);
}

/* Busy bits and the link, table 7-2. */
static int chain(struct switching *t)
{
    uint16_t old = (uint16_t)x86_get(t->s.v, X86_SEG_SEL + X86_TR);
    struct x86_desc d = { .at = (uint32_t)(x86_get(t->s.v, X86_GDTR_BASE) + (old & ~7u)) };

    if (t->how == TASK_CALL || t->how == TASK_GATE) {
        t->image[IMAGE_FLAGS] |= FLAGS_NT;
        if (x86_tables_copy(&t->s, t->tss.base, &old, sizeof old, PF_W) != 0)
            return -EFAULT;
    } else if (x86_desc_set_type(&t->s, &d, 0, TYPE_BUSY) != 0) {
        return -EFAULT;
    }
    return t->how == TASK_IRET ? 0 : x86_desc_set_type(&t->s, &t->tss, TYPE_BUSY, 0);
}

/* ---- after: the new task's state ---- */

/* 0, or a fault of the new task: its page tables are none. */
static int load_registers(struct switching *t)
{
    struct vcpu *v = t->s.v;
    struct x86_desc tr = t->tss;

    v->event.type = VEV_NONE; /* delivered: the new task is its handler */
    tr.attr |= TYPE_BUSY;
    x86_desc_load(&t->s, X86_TR, &tr);
    x86_set(v, X86_CR0, x86_get(v, X86_CR0) | CR0_TS);
    x86_set(v, X86_DR7, x86_get(v, X86_DR7) & ~DR7_LOCAL);
    v->regs.pc = t->image[IMAGE_PC];
    v->regs.flags = (t->image[IMAGE_FLAGS] & FLAGS_TASK) | FLAGS_FIXED;
    for (unsigned i = 0; i < 8; i++)
        v->regs.gpr[i] = t->image[IMAGE_GPR + i];
    if (t->new->width == 4 && (t->s.m.cr0 & CR0_PG) != 0 && x86_write_cr(v, X86_CR3, t->cr3) != 0)
        return x86_tables_fault(&t->s, X86_GP, 0);
    x86_mode_get(v, &t->s.m);
    return 0;
}

static int load_ldt(struct switching *t)
{
    struct x86_desc d = { .sel = (uint16_t)t->ldt };
    uint16_t sel = d.sel;

    x86_desc_load(&t->s, X86_LDTR, &d); /* not usable */
    if ((sel & ~3u) == 0)
        return 0;
    if ((sel & 4) != 0)
        return x86_tables_fault(&t->s, X86_TS, sel);
    if (x86_desc_find(&t->s, sel, X86_TS, &d) != 0)
        return -EFAULT;
    if ((d.attr & 0x1f) != 2 || (d.attr & ATTR_P) == 0)
        return x86_tables_fault(&t->s, X86_TS, sel);
    x86_desc_load(&t->s, X86_LDTR, &d);
    return 0;
}

static void load_v86(struct switching *t)
{
    for (unsigned i = X86_ES; i <= X86_GS; i++) {
        uint16_t sel = (uint16_t)t->image[IMAGE_SEG + i];

        x86_set_segment(t->s.v, i, (struct x86_segment){ sel, (uint64_t)sel << 4, 0xffff, 0x0f3 });
    }
}

/* §7.3, step 15, and table 7-1: the checks of CS and SS. */
static int find_cs(struct switching *t, struct x86_desc *d)
{
    uint16_t sel = (uint16_t)t->image[IMAGE_SEG + X86_CS];
    unsigned rpl = sel & 3;

    if ((sel & ~3u) == 0)
        return x86_tables_fault(&t->s, X86_TS, sel);
    if (x86_desc_find(&t->s, sel, X86_TS, d) != 0)
        return -EFAULT;
    if (!x86_desc_is_code(d) ||
        (x86_desc_conforming(d) ? x86_desc_dpl(d) > rpl : x86_desc_dpl(d) != rpl))
        return x86_tables_fault(&t->s, X86_TS, sel);
    return (d->attr & ATTR_P) == 0 ? x86_tables_fault(&t->s, X86_NP, sel) : 0;
}

static int find_ss(struct switching *t, struct x86_desc *d)
{
    uint16_t sel = (uint16_t)t->image[IMAGE_SEG + X86_SS];
    unsigned cpl = t->image[IMAGE_SEG + X86_CS] & 3;

    if ((sel & ~3u) == 0)
        return x86_tables_fault(&t->s, X86_TS, sel);
    if (x86_desc_find(&t->s, sel, X86_TS, d) != 0)
        return -EFAULT;
    if (!x86_desc_is_data(d) || (d->attr & 2) == 0 || x86_desc_dpl(d) != cpl || (sel & 3u) != cpl)
        return x86_tables_fault(&t->s, X86_TS, sel);
    return (d->attr & ATTR_P) == 0 ? x86_tables_fault(&t->s, X86_SS_FAULT, sel) : 0;
}

/*
 * Loaded as a CPU does when it knows nothing good of them: flat, of the level that the new CS asks
 * for.
 */
static void load_dummies(struct switching *t)
{
    uint16_t cs = (uint16_t)t->image[IMAGE_SEG + X86_CS], level = (uint16_t)((cs & 3u) << 5);

    x86_set_segment(t->s.v, X86_CS, (struct x86_segment){ cs, 0, UINT32_MAX, 0xc9b | level });
    x86_set_segment(t->s.v, X86_SS,
                    (struct x86_segment){ (uint16_t)t->image[IMAGE_SEG + X86_SS], 0, UINT32_MAX,
                                          0xc93 | level });
    for (unsigned i = X86_ES; i <= X86_GS; i += i == X86_ES ? 3 : 1)
        x86_set_segment(t->s.v, i,
                        (struct x86_segment){ (uint16_t)t->image[IMAGE_SEG + i], 0, 0, 0 });
}

static int load_data(struct switching *t, unsigned seg)
{
    uint16_t sel = (uint16_t)t->image[IMAGE_SEG + seg];
    unsigned rpl = sel & 3u, cpl = t->image[IMAGE_SEG + X86_CS] & 3;
    struct x86_desc d;

    if ((sel & ~3u) == 0)
        return 0;
    if (x86_desc_find(&t->s, sel, X86_TS, &d) != 0)
        return -EFAULT;
    if (!x86_desc_is_data(&d) && !(x86_desc_is_code(&d) && (d.attr & 2) != 0))
        return x86_tables_fault(&t->s, X86_TS, sel);
    if (!x86_desc_conforming(&d) && (x86_desc_dpl(&d) < cpl || x86_desc_dpl(&d) < rpl))
        return x86_tables_fault(&t->s, X86_TS, sel);
    if ((d.attr & ATTR_P) == 0)
        return x86_tables_fault(&t->s, X86_NP, sel);
    if (x86_desc_set_type(&t->s, &d, 1, 0) != 0) /* accessed */
        return -EFAULT;
    d.attr |= 1;
    x86_desc_load(&t->s, seg, &d);
    return 0;
}

static int load_segments(struct switching *t)
{
    struct x86_desc cs, ss;

    load_dummies(t);
    if (load_ldt(t) != 0 || find_cs(t, &cs) != 0 || find_ss(t, &ss) != 0)
        return -EFAULT;
    if (x86_desc_set_type(&t->s, &cs, 1, 0) != 0 || x86_desc_set_type(&t->s, &ss, 1, 0) != 0)
        return -EFAULT;
    cs.attr |= 1;
    ss.attr |= 1;
    x86_desc_load(&t->s, X86_CS, &cs);
    x86_desc_load(&t->s, X86_SS, &ss);
    for (unsigned i = X86_ES; i <= X86_GS; i += i == X86_ES ? 3 : 1)
        if (load_data(t, i) != 0)
            return -EFAULT;
    return (uint32_t)t->s.v->regs.pc > cs.limit ? x86_tables_fault(&t->s, X86_GP, 0) : 0;
}

/* The error code goes onto the new stack, as wide as the new TSS. */
static int push_error(struct switching *t)
{
    struct vcpu *v = t->s.v;
    bool wide = (x86_get(v, X86_SEG_ATTR + X86_SS) & 1 << 10) != 0;
    uint64_t mask = wide ? UINT32_MAX : 0xffff, sp = v->regs.gpr[X86_RSP];
    uint32_t error = t->event.error, user = x86_get(v, X86_CPL) == 3 ? PF_U : 0;

    sp = (sp & ~mask) | ((sp - t->new->width) & mask);
    if (x86_tables_copy(&t->s, x86_get(v, X86_SEG_BASE + X86_SS) + (sp & mask), &error,
                        t->new->width, PF_W | user) != 0)
        return -EFAULT;
    v->regs.gpr[X86_RSP] = sp;
    return 0;
}

static int enter_new(struct switching *t)
{
    if (load_registers(t) != 0)
        return -EFAULT;
    if ((t->s.v->regs.flags & FLAGS_VM) != 0) {
        load_v86(t);
        if (load_ldt(t) != 0)
            return -EFAULT;
    } else if (load_segments(t) != 0) {
        return -EFAULT;
    }
    if (t->how == TASK_GATE && t->event.type == VEV_EXCEPTION && t->event.has_error &&
        push_error(t) != 0)
        return -EFAULT;
    if (t->trap) {
        x86_set(t->s.v, X86_DR6, x86_get(t->s.v, X86_DR6) | DR6_BT);
        x86_raise(t->s.v, X86_DB, 0);
    }
    return 0;
}

/* Faults are reflected: the guest always goes on. */
int x86_task_switch(struct vcpu *v, struct vcpu_exit *e)
{
    struct switching t = { .s = { .v = v }, .how = e->isa[1], .event = v->event };

    assert_own_cpu(v);
    t.s.ext = t.how == TASK_GATE && v->event.type != VEV_NONE;
    x86_mode_get(v, &t.s.m);
    if (find_tss(&t, (uint16_t)e->isa[0]) == 0 && read_new(&t) == 0 &&
        save_old(&t, e->insn_len) == 0 && chain(&t) == 0)
        (void)enter_new(&t);
    return 0;
}
