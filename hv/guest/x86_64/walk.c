/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest page tables: linear to guest-physical addresses, as the CPU would (APM vol 2 §5), and the
 * fetch of instructions through them. Protection keys are not offered to guests.
 */
#include "x86.h"
#include <hv/assert.h>
#include <string.h>

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_NX (1ull << 63)
#define ADDR_MASK 0x000ffffffffff000ull
#define MODE_CR0 (CR0_PG | CR0_PE)
#define MODE_CR4 (CR4_PSE | CR4_PAE | CR4_LA57)

/*
 * One walk: the entries read, so that their accessed bits can be set once the whole walk has
 * succeeded.
 */
struct walk {
    struct vcpu *v;
    const struct x86_mode *m;
    uint64_t va, gpa;
    /* PTE_W | PTE_U that every level grants; PTE_NX if any level forbids */
    uint64_t rights;
    unsigned n, width, shift; /* entries read, bytes of an entry, log2 of the page found */
    uint64_t at[5], was[5];   /* guest-physical places and values */
    const void *host[5];
};

static bool read_entry(struct walk *w, uint64_t at)
{
    const void *p = gmem_ptr(w->v->vm, gpa(at), w->width, PROT_R);

    if (p == NULL)
        return false;
    w->at[w->n] = at;
    w->host[w->n] = p;
    w->was[w->n] = w->width == 8 ? __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED)
                                 : __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
    w->n++;
    return true;
}

/*
 * A PDPTE of PAE paging. The CPU has looked at it when CR3 was loaded, and some hosts set bit 5 (A)
 * in it since.
 */
#define PDPTE_RESERVED (0x7ffull << 52 | PTE_NX | 0x1c6)
#define PAE_RESERVED (0x7ffull << 52)

/*
 * Bits that are reserved at every level: address bits beyond the guest's CPUID, NX without
 * EFER.NXE, 62:52 of PAE's.
 */
static uint64_t always_reserved(const struct walk *w)
{
    uint64_t r = ADDR_MASK & ~((1ull << x86_phys_bits(w->v)) - 1);

    if ((w->m->efer & EFER_NXE) == 0)
        r |= PTE_NX;
    return r | ((w->m->efer & EFER_LMA) == 0 ? PAE_RESERVED : 0);
}

/* A 4 MiB page: bits 20:13 are address bits 39:32, as far as there are any. */
static uint64_t pse36_reserved(const struct walk *w)
{
    uint64_t address = 0xff & ((1ull << (x86_phys_bits(w->v) - 32)) - 1);

    return (~address & 0x1ff) << 13;
}

/* APM vol 2 section 5.3 and 5.4, SDM vol 3 section 4.4 and 4.5: the figures of the entries. */
static bool reserved_bits(const struct walk *w, uint64_t pte, unsigned level, bool leaf)
{
    if (w->width == 4)
        return leaf && level == 1 && (pte & pse36_reserved(w)) != 0;
    if ((pte & always_reserved(w)) != 0)
        return true;
    if (level == 2 && (w->m->efer & EFER_LMA) == 0)
        return (pte & PDPTE_RESERVED) != 0;
    if (leaf && level > 0)
        return (pte & ((1ull << (12 + 9 * level)) - 1) & ADDR_MASK & ~0x1000ull) != 0;
    return level >= 3 && (pte & PTE_PS) != 0;
}

static bool is_leaf(const struct walk *w, uint64_t pte, unsigned level)
{
    if (level == 0)
        return true;
    if ((pte & PTE_PS) == 0)
        return false;
    if (w->width == 4)
        return (w->m->cr4 & CR4_PSE) != 0;
    return level == 1 || (level == 2 && (w->m->efer & EFER_LMA) != 0);
}

static void take_rights(struct walk *w, uint64_t pte, unsigned level)
{
    if (w->width == 8 && level == 2 && (w->m->efer & EFER_LMA) == 0)
        return;
    w->rights &= pte | ~(PTE_W | PTE_U);
    if (w->width == 8)
        w->rights |= pte & PTE_NX;
}

static void leaf_address(struct walk *w, uint64_t pte)
{
    uint64_t mask = (1ull << w->shift) - 1, base = pte & ADDR_MASK & ~mask;

    if (w->width == 4 && w->shift == 22)
        base = (pte & 0xffc00000) | (pte >> 13 & 0xff) << 32; /* PSE-36 */
    w->gpa = base | (w->va & mask);
}

/*
 * Reads the tables down to the leaf. 0, or -EFAULT with the error code's P and RSVD bits in *error.
 */
static int descend(struct walk *w, uint32_t *error)
{
    bool lma = (w->m->efer & EFER_LMA) != 0, pae = (w->m->cr4 & CR4_PAE) != 0;
    unsigned level = lma   ? ((w->m->cr4 & CR4_LA57) != 0 ? 4 : 3)
                     : pae ? 2
                           : 1,
             bits = pae || lma ? 9 : 10;
    uint64_t table = w->m->cr3 & (lma ? ADDR_MASK : pae ? 0xffffffe0 : 0xfffff000), pte;

    w->width = bits == 9 ? 8 : 4;
    w->rights = PTE_W | PTE_U;
    for (;; level--) {
        w->shift = 12 + bits * level;
        if (!read_entry(w, table + (w->va >> w->shift & ((1u << bits) - 1)) * w->width)) {
            *error = PF_P | PF_RSVD; /* tables outside RAM: what is there has reserved bits set */
            return -EFAULT;
        }
        pte = w->was[w->n - 1];
        *error = 0;
        if ((pte & PTE_P) == 0)
            return -EFAULT;
        *error = PF_P | PF_RSVD;
        if (reserved_bits(w, pte, level, is_leaf(w, pte, level)))
            return -EFAULT;
        take_rights(w, pte, level);
        if (is_leaf(w, pte, level))
            break;
        table = pte & ADDR_MASK;
    }
    leaf_address(w, pte);
    return 0;
}

static bool allowed(const struct walk *w, uint32_t access)
{
    bool user_page = (w->rights & PTE_U) != 0, writable = (w->rights & PTE_W) != 0;

    if ((access & PF_I) != 0 && (w->rights & PTE_NX) != 0)
        return false;
    if ((access & PF_U) != 0)
        return user_page && ((access & PF_W) == 0 || writable);
    if (user_page && (access & PF_I) != 0 && (w->m->cr4 & CR4_SMEP) != 0)
        return false;
    if (user_page && (access & PF_I) == 0 && (w->m->cr4 & CR4_SMAP) != 0 &&
        (w->v->regs.flags & FLAGS_AC) == 0)
        return false;
    return (access & PF_W) == 0 || writable || (w->m->cr0 & CR0_WP) == 0;
}

/*
 * Sets A in every entry, and D in the leaf of a write, by compare-and-exchange: another vCPU may be
 * changing them.
 */
static int set_accessed(struct walk *w, uint32_t access)
{
    for (unsigned i = 0; i < w->n; i++) {
        bool leaf = i + 1 == w->n, pdpte = w->width == 8 && (w->m->efer & EFER_LMA) == 0 && i == 0;
        uint64_t want =
            w->was[i] | (pdpte ? 0 : PTE_A) | (leaf && (access & PF_W) != 0 ? PTE_D : 0);
        void *p;
        bool done;

        if (want == w->was[i])
            continue;
        p = gmem_ptr(w->v->vm, gpa(w->at[i]), w->width, PROT_RW);
        if (p == NULL)
            /* read-only memory keeps its bits */
            continue;
        if (w->width == 8) {
            done = __atomic_compare_exchange_n((uint64_t *)p, &w->was[i], want, false,
                                               __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        } else {
            uint32_t old = (uint32_t)w->was[i];

            done = __atomic_compare_exchange_n((uint32_t *)p, &old, (uint32_t)want, false,
                                               __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        }
        if (!done)
            return -EAGAIN;
        w->was[i] = want;
    }
    return 0;
}

static int walk(struct walk *w, uint32_t access, uint32_t *error)
{
    bool nx = (w->m->efer & EFER_NXE) != 0 && (w->m->cr4 & CR4_PAE) != 0;
    uint32_t code = (access & (PF_W | PF_U)) |
                    ((access & PF_I) != 0 && (nx || (w->m->cr4 & CR4_SMEP) != 0) ? PF_I : 0);
    int err = descend(w, error);

    *error |= code;
    if (err != 0)
        return err;
    *error = code | PF_P;
    if (!allowed(w, access))
        return -EFAULT;
    return set_accessed(w, access);
}

int x86_walk(struct vcpu *v, const struct x86_mode *m, uint64_t va, uint32_t rights, uint64_t *out,
             uint32_t *error)
{
    struct walk w = { .v = v, .m = m, .va = va };
    int err;

    debug_assert_own_cpu(v);
    if ((m->efer & EFER_LMA) == 0)
        va = w.va = (uint32_t)va;
    if ((m->cr0 & CR0_PG) == 0) {
        *out = va;
        return 0;
    }
    err = walk(&w, rights, error);
    *out = w.gpa;
    return err;
}

static uint64_t mode_key(const struct x86_mode *m)
{
    return (m->cr0 & MODE_CR0) | (m->cr4 & MODE_CR4) << 32 | (m->efer & (EFER_LMA | EFER_NXE)) << 8;
}

static struct x86_fetch_cache *fetch_slot(struct vcpu *v, const struct x86_mode *m, uint64_t page)
{
    return &x86_of(v)->fetch[(page >> PAGE_SHIFT ^ m->cr3 >> PAGE_SHIFT) % X86_FETCH_SLOTS];
}

/* The page's bytes, when every table entry that led to it still holds what it held. */
static const uint8_t *cached_page(const struct x86_fetch_cache *c, const struct x86_mode *m,
                                  uint64_t page)
{
    if (c->host == NULL || c->page != page || c->cr3 != m->cr3 || c->mode != mode_key(m))
        return NULL;
    for (unsigned i = 0; i < c->entries; i++) {
        uint64_t now = c->width == 8 ? *(const volatile uint64_t *)c->entry[i].at
                                     : *(const volatile uint32_t *)c->entry[i].at;

        if (now != c->entry[i].was)
            return NULL;
    }
    return c->host;
}

bool x86_fetch_fast(struct vcpu *v, const struct x86_mode *m, uint64_t va, uint8_t buf[16])
{
    uint64_t off = va & (PAGE_SIZE - 1);
    const uint8_t *p;

    if (off > PAGE_SIZE - 16 || (m->efer & EFER_LMA) == 0)
        return false;
    p = cached_page(fetch_slot(v, m, va - off), m, va - off);
    if (p == NULL)
        return false;
    memcpy(buf, p + off, 16);
    return true;
}

/* The CPU has fetched from this page just now, so rights need no second look. */
static const uint8_t *fetch_page(struct vcpu *v, const struct x86_mode *m, uint64_t page, int *err,
                                 uint32_t *error)
{
    struct x86_fetch_cache *c = fetch_slot(v, m, page);
    struct walk w = { .v = v, .m = m, .va = page, .gpa = page };

    c->host = NULL;
    c->serial = 0;
    *err = (m->cr0 & CR0_PG) != 0 ? descend(&w, error) : 0;
    if (*err != 0) {
        *error |= m->cpl == 3 ? PF_U : 0;
        return NULL;
    }
    *err = -ENXIO;
    c->host = gmem_ptr(v->vm, gpa(w.gpa), PAGE_SIZE, PROT_R);
    c->page = page;
    c->cr3 = m->cr3;
    c->mode = mode_key(m);
    c->entries = (uint8_t)w.n;
    c->width = (uint8_t)w.width;
    for (unsigned i = 0; i < ARRAY_SIZE(c->entry); i++) {
        c->entry[i].was = i < w.n ? w.was[i] : 0;
        c->entry[i].at = i < w.n ? w.host[i] : &c->entry[i].was;
    }
    if (c->host != NULL)
        c->serial = ++x86_of(v)->fetch_serial;
    return c->host;
}

const struct x86_fetch_cache *x86_fetch_slot(struct vcpu *v, const struct x86_mode *m, uint64_t va)
{
    struct x86_fetch_cache *c;
    uint32_t error = 0;
    int err = 0;

    va &= ~(uint64_t)(PAGE_SIZE - 1);
    c = fetch_slot(v, m, va);
    return cached_page(c, m, va) != NULL || fetch_page(v, m, va, &err, &error) != NULL ? c : NULL;
}

int x86_fetch(struct vcpu *v, const struct x86_mode *m, uint64_t va, uint8_t *buf, unsigned want,
              uint32_t *error)
{
    const uint8_t *p;
    uint64_t off;
    unsigned n;
    int err = 0;

    debug_assert_own_cpu(v);
    debug_assert(want > 0 && want <= 15);
    if ((m->efer & EFER_LMA) == 0)
        va = (uint32_t)va;
    off = va & (PAGE_SIZE - 1);
    n = want < PAGE_SIZE - off ? want : (unsigned)(PAGE_SIZE - off);
    p = cached_page(fetch_slot(v, m, va - off), m, va - off);
    if (p == NULL)
        p = fetch_page(v, m, va - off, &err, error);
    if (p == NULL)
        return err;
    memcpy(buf, p + off, n);
    return (int)n;
}
