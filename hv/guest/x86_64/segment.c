/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors and the loading of segment registers. APM vol 2 section 4.5 to 4.10; the names of
 * faults are the manuals'. */
#include "segment.h"
#include <string.h>

#define TRIES 100u

static uint64_t linear(const struct x86_tables *t, uint64_t va)
{
    return (t->m.efer & EFER_LMA) != 0 ? va : (uint32_t)va;
}

static int translate(struct x86_tables *t, uint64_t va, uint32_t rights, uint64_t *pa)
{
    uint32_t error = 0;
    int err = -EAGAIN;

    for (unsigned i = 0; err == -EAGAIN && i < TRIES; i++)
        err = x86_walk(t->v, &t->m, va, rights, pa, &error);
    if (err == 0)
        return 0;
    x86_raise_pf(t->v, va, err == -EFAULT ? error : 0);
    return -EFAULT;
}

int x86_tables_copy(struct x86_tables *t, uint64_t va, void *buf, unsigned len, uint32_t rights)
{
    uint8_t *b = buf;

    while (len != 0) {
        unsigned room = (unsigned)(PAGE_SIZE - (va & (PAGE_SIZE - 1))), n = len < room ? len : room;
        uint64_t pa;
        void *p;

        if (translate(t, linear(t, va), rights, &pa) != 0)
            return -EFAULT;
        p = gmem_ptr(t->v->vm, gpa(pa), n, (rights & PF_W) != 0 ? PROT_RW : PROT_R);
        if ((rights & PF_W) != 0 && p != NULL)
            memcpy(p, b, n);
        else if ((rights & PF_W) == 0 && p != NULL)
            memcpy(b, p, n);
        else if ((rights & PF_W) == 0)
            memset(b, 0xff, n);
        va += n, b += n, len -= n;
    }
    return 0;
}

int x86_tables_fault(const struct x86_tables *t, unsigned vector, uint16_t sel)
{
    x86_raise(t->v, vector, (sel & ~3u) | t->ext);
    return -EFAULT;
}

int x86_desc_find(struct x86_tables *t, uint16_t sel, unsigned vector, struct x86_desc *d)
{
    bool local = (sel & 4) != 0;
    uint64_t base = x86_get(t->v, local ? X86_SEG_BASE + X86_LDTR : X86_GDTR_BASE);
    uint64_t limit = x86_get(t->v, local ? X86_SEG_LIMIT + X86_LDTR : X86_GDTR_LIMIT), raw;

    if ((local && (x86_get(t->v, X86_SEG_ATTR + X86_LDTR) & ATTR_P) == 0) || (sel | 7u) > limit)
        return x86_tables_fault(t, vector, sel);
    d->at = linear(t, base + (sel & ~7u));
    if (x86_tables_copy(t, d->at, &raw, sizeof raw, 0) != 0)
        return -EFAULT;
    d->sel = sel;
    d->base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000);
    d->attr = (uint16_t)((raw >> 40 & 0xff) | (raw >> 44 & 0xf00));
    d->limit = (uint32_t)((raw & 0xffff) | (raw >> 32 & 0xf0000));
    if (d->attr & 1 << 11)
        d->limit = d->limit << 12 | 0xfff;
    return 0;
}

int x86_desc_find_system(struct x86_tables *t, uint16_t sel, unsigned vector, struct x86_desc *d)
{
    uint32_t high;

    if (x86_desc_find(t, sel, vector, d) != 0)
        return -EFAULT;
    if ((t->m.efer & EFER_LMA) == 0)
        return 0;
    if ((sel | 15u) > x86_get(t->v, X86_GDTR_LIMIT))
        return x86_tables_fault(t, vector, sel);
    if (x86_tables_copy(t, d->at + 8, &high, sizeof high, 0) != 0)
        return -EFAULT;
    d->base |= (uint64_t)high << 32;
    return 0;
}

int x86_desc_set_type(struct x86_tables *t, const struct x86_desc *d, unsigned set, unsigned clear)
{
    uint8_t b;

    if (x86_tables_copy(t, d->at + 5, &b, 1, 0) != 0)
        return -EFAULT;
    if (((b | set) & ~clear) == b)
        return 0;
    b = (uint8_t)((b | set) & ~clear);
    return x86_tables_copy(t, d->at + 5, &b, 1, PF_W);
}

void x86_desc_load(struct x86_tables *t, unsigned seg, const struct x86_desc *d)
{
    x86_set_segment(t->v, seg, (struct x86_segment){ d->sel, d->base, d->limit, d->attr });
}

static bool real_mode(const struct x86_tables *t)
{
    return (t->m.cr0 & CR0_PE) == 0 || (t->v->regs.flags & FLAGS_VM) != 0;
}

/* Real mode changes selector and base only: limits and rights stay as they are. */
static void load_real(struct x86_tables *t, unsigned seg, uint16_t sel)
{
    x86_set(t->v, X86_SEG_SEL + seg, sel);
    x86_set(t->v, X86_SEG_BASE + seg, (uint64_t)sel << 4);
}

static int check_ss(struct x86_tables *t, const struct x86_desc *d)
{
    if (!x86_desc_is_data(d) || (d->attr & 2) == 0 || x86_desc_dpl(d) != t->m.cpl ||
        (d->sel & 3u) != t->m.cpl)
        return x86_tables_fault(t, X86_GP, d->sel);
    return (d->attr & ATTR_P) == 0 ? x86_tables_fault(t, X86_SS_FAULT, d->sel) : 0;
}

static int check_data(struct x86_tables *t, const struct x86_desc *d)
{
    unsigned rpl = d->sel & 3u;

    if (!x86_desc_is_data(d) && !(x86_desc_is_code(d) && (d->attr & 2) != 0))
        return x86_tables_fault(t, X86_GP, d->sel);
    if (!x86_desc_conforming(d) && (x86_desc_dpl(d) < t->m.cpl || x86_desc_dpl(d) < rpl))
        return x86_tables_fault(t, X86_GP, d->sel);
    return (d->attr & ATTR_P) == 0 ? x86_tables_fault(t, X86_NP, d->sel) : 0;
}

/* SS may be null in 64-bit mode below CPL 3, with RPL equal to CPL. */
static int load_null(struct x86_tables *t, unsigned seg, uint16_t sel)
{
    struct x86_desc d = { .sel = sel };

    if (seg == X86_SS && (t->m.bits != 64 || t->m.cpl == 3 || (sel & 3u) != t->m.cpl))
        return x86_tables_fault(t, X86_GP, 0);
    if (seg == X86_SS)
        d.attr = (uint16_t)(t->m.cpl << 5);
    x86_desc_load(t, seg, &d);
    return 0;
}

static int load_data(struct x86_tables *t, unsigned seg, uint16_t sel)
{
    struct x86_desc d;

    if ((sel & ~3u) == 0)
        return load_null(t, seg, sel);
    if (x86_desc_find(t, sel, X86_GP, &d) != 0)
        return -EFAULT;
    if ((seg == X86_SS ? check_ss(t, &d) : check_data(t, &d)) != 0 ||
        x86_desc_set_type(t, &d, 1, 0) != 0)
        return -EFAULT;
    d.attr |= 1;
    x86_desc_load(t, seg, &d);
    return 0;
}

/* LDT: type 2. TSS: an available one, which becomes busy; 16-bit ones do not exist in long mode. */
static bool right_system_type(const struct x86_tables *t, unsigned seg, const struct x86_desc *d)
{
    unsigned type = d->attr & 0x1f;

    if (seg == X86_LDTR)
        return type == 2;
    return type == 9 || (type == 1 && (t->m.efer & EFER_LMA) == 0);
}

static int load_system(struct x86_tables *t, unsigned seg, uint16_t sel)
{
    struct x86_desc d = { .sel = sel };

    if ((sel & ~3u) == 0 && seg == X86_LDTR) {
        x86_desc_load(t, seg, &d);
        return 0;
    }
    if ((sel & ~3u) == 0 || (sel & 4) != 0)
        return x86_tables_fault(t, X86_GP, sel);
    if (x86_desc_find_system(t, sel, X86_GP, &d) != 0)
        return -EFAULT;
    if (!right_system_type(t, seg, &d))
        return x86_tables_fault(t, X86_GP, sel);
    if ((d.attr & ATTR_P) == 0)
        return x86_tables_fault(t, X86_NP, sel);
    if (seg == X86_TR) {
        if (x86_desc_set_type(t, &d, TYPE_BUSY, 0) != 0)
            return -EFAULT;
        d.attr |= TYPE_BUSY;
    }
    x86_desc_load(t, seg, &d);
    return 0;
}

int x86_segment_load(struct vcpu *v, unsigned seg, uint16_t sel)
{
    struct x86_tables t = { .v = v };

    x86_mode_get(v, &t.m);
    if (seg >= X86_LDTR)
        return load_system(&t, seg, sel);
    if (!real_mode(&t))
        return load_data(&t, seg, sel);
    load_real(&t, seg, sel);
    return 0;
}

static int far_real(struct x86_tables *t, uint16_t sel, uint64_t off, struct x86_desc *d)
{
    *d = (struct x86_desc){ .sel = sel,
                            .base = (uint64_t)sel << 4,
                            .limit = (uint32_t)x86_get(t->v, X86_SEG_LIMIT + X86_CS),
                            .attr = (uint16_t)x86_get(t->v, X86_SEG_ATTR + X86_CS) };
    return off > d->limit ? x86_tables_fault(t, X86_GP, 0) : 0;
}

static int check_code(struct x86_tables *t, const struct x86_desc *d)
{
    unsigned dpl = x86_desc_dpl(d), rpl = d->sel & 3u, cpl = t->m.cpl;

    if (x86_desc_conforming(d) ? dpl > cpl : rpl > cpl || dpl != cpl)
        return x86_tables_fault(t, X86_GP, d->sel);
    if ((t->m.efer & EFER_LMA) != 0 && (d->attr & ATTR_L) != 0 && (d->attr & ATTR_D) != 0)
        return x86_tables_fault(t, X86_GP, d->sel);
    return (d->attr & ATTR_P) == 0 ? x86_tables_fault(t, X86_NP, d->sel) : 0;
}

int x86_segment_far(struct x86_tables *t, uint16_t sel, uint64_t off, struct x86_desc *d)
{
    bool is64;

    if (real_mode(t))
        return far_real(t, sel, off, d);
    if ((sel & ~3u) == 0)
        return x86_tables_fault(t, X86_GP, 0);
    if (x86_desc_find(t, sel, X86_GP, d) != 0)
        return -EFAULT;
    if ((d->attr & ATTR_S) == 0)
        return -ENOTSUP;
    if (!x86_desc_is_code(d))
        return x86_tables_fault(t, X86_GP, sel);
    if (check_code(t, d) != 0)
        return -EFAULT;
    is64 = (t->m.efer & EFER_LMA) != 0 && (d->attr & ATTR_L) != 0;
    if (is64 ? !x86_canonical(&t->m, off) : off > d->limit)
        return x86_tables_fault(t, X86_GP, 0);
    if (x86_desc_set_type(t, d, 1, 0) != 0)
        return -EFAULT;
    d->attr |= 1;
    d->sel = (uint16_t)((sel & ~3u) | t->m.cpl);
    return 0;
}
