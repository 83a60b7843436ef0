/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.c: the tables of the views, and the direct map without guests' RAM. The direct map has pages
 * of 2 MiB, and guests get whole ones (VIEW_BLOCK): none is split or joined while CPUs use it, and
 * its tables stay, so that giving memory back cannot fail.
 */
#include <arch/common.h>
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/gmem.h>
#include <hv/panic.h>
#include <hv/view.h>
#include <stdio.h>

int view_make(struct view *w, uint32_t id, pt_pay *pay, void *payer)
{
    int err = pt_init(&w->pt, mmu_view_format(), pay, payer);

    assert_cpu0();
    hv_assert(id < MAX_VMS);
    if (err)
        return err;
    pt_share(&w->pt, &mmu_host);
    w->root = mmu_view_root(w->pt.root, id);
    return 0;
}

void view_unmake(struct view *w)
{
    assert_cpu0();
    if (!w->root)
        return;
    pt_unshare(&w->pt, &mmu_host);
    pt_fini(&w->pt);
    w->root = 0;
}

int view_map(struct view *w, gpa_t at, hpa_t pa, uint64_t len, uint8_t **where)
{
    assert_cpu0();
    if (!range_within(at.v, len, 0, MMU_VIEW_SIZE))
        return -EINVAL;
    *where = (uint8_t *)(MMU_VIEW_BASE + at.v);
    return pt_map(&w->pt, gpa(MMU_VIEW_BASE + at.v), pa, len, PROT_RW, MEM_WB);
}

int view_map_code(struct view *w, unsigned n, hpa_t pa, uint64_t len, uint8_t **where)
{
    uint64_t at = MMU_VIEW_BASE + MMU_VIEW_SIZE + n * VIEW_CODE;

    assert_cpu0();
    hv_assert(n < MAX_VCPUS && len <= VIEW_CODE);
    *where = (uint8_t *)at;
    return pt_map(&w->pt, gpa(at), pa, len, PROT_R | PROT_X, MEM_WB);
}

bool view_phys(const struct view *w, const void *at, hpa_t *out)
{
    unsigned prot;

    return pt_lookup(&w->pt, gpa((uint64_t)at & MMU_VA_MASK), out, &prot);
}

bool view_is_here(const struct view *w) { return this_cpu()->view == w && w->root; }

static uint64_t direct(hpa_t pa) { return mmu_layout.direct + pa.v; }

static void must(int err, const char *what, hpa_t pa)
{
    if (err)
        panic("memory at %#llx cannot be %s the direct map: error %d", (unsigned long long)pa.v,
              what, -err);
}

void view_take_direct(hpa_t pa, uint64_t len)
{
    hv_assert(((pa.v | len) & (VIEW_BLOCK - 1)) == 0);
    must(pt_unmap(&mmu_host, gpa(direct(pa) & MMU_VA_MASK), len), "taken out of", pa);
}

void view_give_direct(hpa_t pa, uint64_t len)
{
    hv_assert(((pa.v | len) & (VIEW_BLOCK - 1)) == 0);
    must(mmu_map(direct(pa), pa.v, len, PROT_RW, MEM_WB), "put back into", pa);
}

const char *mmu_explain(uint64_t va)
{
    static char text[96];
    const struct view *w = this_cpu()->view;
    const char *owner = va >= mmu_layout.direct ? gmem_owner(hpa(va - mmu_layout.direct)) : NULL;

    text[0] = '\0';
    if (owner)
        snprintf(text, sizeof text, ": guest %s's RAM is not mapped here", owner);
    else if (va - MMU_VIEW_BASE < MMU_VIEW_SIZE && w)
        snprintf(text, sizeof text, ": guest %s has no RAM at %#llx", gmem_name(w),
                 (unsigned long long)(va - MMU_VIEW_BASE));
    else if (va - MMU_VIEW_BASE < MMU_VIEW_SIZE)
        snprintf(text, sizeof text, ": no guest's RAM is mapped here");
    return text;
}
