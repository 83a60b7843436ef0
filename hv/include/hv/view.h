/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A view is Trivet's address space with the RAM of one guest in it, at one window whose addresses
 * are the guest's plus a constant. A CPU is in the view of the guest whose exits or devices it
 * works on; the direct map has no guest's RAM. So what has gone astray in Trivet reaches the RAM of
 * one guest at most, and that of none where no guest is worked for.
 */
#pragma once
#include <hv/event.h>
#include <hv/percpu.h>
#include <hv/pt.h>
#include <hv/types.h>
struct vm;
/*
 * what leaves the direct map and returns to it: its pages are of this size, so that none is ever
 * split
 */
#define VIEW_BLOCK (2 * MIB)
struct view {
    /*
     * shares the tables of Trivet's own root; below the window, between RAM and behind it nothing
     * is mapped
     */
    struct pt pt;
    uint64_t root;            /* what the CPU's register takes; 0: not there */
    struct view_round *round; /* private to view.c, as is vm, which pays */
    struct vm *vm;
};

/*
 * This CPU works for that guest from here on. NULL: for none. Costs a comparison nearly always. Not
 * from handlers of NMIs.
 */
static inline void view_enter(struct percpu *c, const struct view *);
/* A guest that starts: a view without RAM. CPU 0. -ENOMEM, -ENOSPC. */
int must_check view_init(struct view *, struct vm *);
void view_fini(struct view *); /* CPU 0; no CPU is in it */
/*
 * Every CPU, in an event: leaves the view, and forgets what left the direct map before. Then `then`
 * is posted. CPU 0; one at a time.
 */
void view_settle(struct view *, struct event *then);
bool view_settled(const struct view *); /* none is under way */

/* ---- implemented by arch/ ---- */

/*
 * Whether this CPU reaches what view_map() mapped: what debug builds ask when guest memory is used.
 */
bool view_is_here(const struct view *);
/* this CPU's address space; view_enter() is what calls it. NULL: Trivet's own */
void view_load(const struct view *);
void view_forget(void); /* this CPU keeps no translation */
/* CPU 0, of view_init(): tables and root. id: below MAX_VMS, of one view at a time. -ENOMEM */
int must_check view_make(struct view *, uint32_t id, pt_pay *, void *payer);
void view_unmake(struct view *); /* CPU 0, of view_fini() */
/*
 * CPU 0. Maps a guest's RAM, never executable. Before a CPU is in the view. *where: there. -ENOMEM;
 * -EINVAL: beyond the window.
 */
int must_check view_map(struct view *, gpa_t, hpa_t, uint64_t len, uint8_t **where);
/*
 * `len` bytes of Trivet's own memory as code that runs in this view only, at the view's n-th place
 * of VIEW_CODE bytes: executable there, never writable; it is written through the direct map. As
 * view_map(), and until view_unmake(). -ENOTSUP: not on this host.
 */
#define VIEW_CODE (64 * MIB)
int must_check view_map_code(struct view *, unsigned n, hpa_t, uint64_t len, uint8_t **where);
/* Where this byte of the view, or of the direct map, is in memory. False: nothing is there. */
bool view_phys(const struct view *, const void *, hpa_t *);
/*
 * Whole blocks, of VIEW_BLOCK. Taken out: CPUs may know them until view_settle() is through. Both
 * need no memory.
 */
void view_take_direct(hpa_t, uint64_t len);
void view_give_direct(hpa_t, uint64_t len);

static inline void view_enter(struct percpu *c, const struct view *w)
{
    if (__builtin_expect(c->view != w, 0)) {
        c->view = w;
        view_load(w);
    }
}
