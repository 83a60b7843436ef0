/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only writer of a VM's stage 2 and of its IOMMU tables, so that they cannot differ; the only
 * way to touch guest memory.
 */
#pragma once
#include <hv/assert.h>
#include <hv/nospec.h>
#include <hv/pt.h>
#include <hv/types.h>
#include <hv/view.h>
struct event;
struct vcpu;
struct vm;
#define GMEM_SLOTS 16
enum memslot_kind { MEMSLOT_RAM, MEMSLOT_ROM, MEMSLOT_MMIO };
struct memslot {
    gpa_t base;
    uint64_t len;
    hpa_t host;
    unsigned prot;
    enum memtype type;
    enum memslot_kind kind;
    bool trapped; /* ROM: every access exits, see gmem_rom_trap() */
    bool owned;   /* ROM: gmem_fini() gives its memory back */
};
struct gmem_chunk {
    hpa_t host;
    uint8_t order;
    bool parts; /* only parts of it are RAM */
};
/* Memory in the view. */
struct gmem_range {
    uint8_t *host;
    uint64_t len;
};
/*
 * A run of guest memory that is contiguous in the guest's view (view.h): all that gmem_ptr() looks
 * at.
 */
struct gmem_piece {
    uint64_t gpa, len;
    uint8_t *host;
    unsigned prot;
};
/*
 * The page tables of some of a guest's devices. An IOMMU's driver makes it: pt of the IOMMU's
 * format, empty; gmem alone maps and unmaps there.
 */
struct gmem_domain {
    struct pt pt;
    /* No device uses what it has of [at, at+len) of the tables any more. Called with locks held. */
    void (*flush)(struct gmem_domain *, gpa_t at, uint64_t len);
    bool tell_maps; /* call it for what was mapped while devices were using the tables, too */
    struct gmem_domain *next;
};
struct gmem_log;
struct gmem {
    struct pt s2; /* unused when the backend has no hardware stage 2 */
    /* copy of the largest piece: where nearly every access ends */
    struct gmem_piece main;
    /* the largest gap between pieces below 4 GiB: where the devices are */
    uint64_t hole_at, hole_len;
    /* RAM and ROM, sorted by gpa; change only before the VM runs */
    struct gmem_piece *pieces;
    uint32_t npieces, room_pieces;
    struct memslot slot[GMEM_SLOTS]; /* sorted by base */
    uint32_t nslots;
    /* memory that the VM owns, of whole VIEW_BLOCKs; not in the direct map */
    struct gmem_chunk *chunks;
    uint32_t nchunks, room_chunks;
    /* bytes of it that are not RAM: of blocks of which only parts are */
    uint64_t rests;
    hpa_t part;
    uint64_t part_left; /* such a block, from the next part on */
    struct view view;   /* where Trivet reaches RAM */
    const char *name;
    struct gmem *next; /* for those who ask whose memory it is */
    /* what was not known to hold zeros when the VM got it, until it is zeroed */
    struct gmem_range *dirty;
    uint32_t ndirty, room_dirty;
    bool scrub_all; /* zero all RAM, not just that */
    bool zeroed;    /* nobody writes to it any more, and all RAM holds zeros */
    /* everything before this is zeroed */
    uint32_t scrub_piece;
    uint64_t scrub_off;
    uint64_t ram_bytes;
    struct gmem_domain *domains; /* of devices that the guest has */
    struct gmem_log *log;        /* private to dirty.c; NULL: nothing is logged */
    struct spinlock lock;
};
/* CPU 0. No slots yet; a view; stage-2 tables if the engine has a format for them. -ENOMEM */
int must_check gmem_init(struct vm *);
/* unmaps all, gives RAM back to the direct map and to others. CPU 0; no CPU is in the view */
void gmem_fini(struct vm *);
/*
 * This CPU works for the VM from here on: its RAM is mapped until the CPU goes on to another VM's
 * work, or sleeps. First thing in every event's function that may touch guest memory (debug builds
 * check it in gmem_ptr() and gmem_run(); a miss is a fault, which panics); vcpu_run() does it for
 * exits.
 */
static inline void gmem_enter(const struct gmem *g) { view_enter(this_cpu(), &g->view); }
/*
 * Between gmem_add_ram() and the first gmem_enter(), and between the last use and gmem_fini():
 * every CPU leaves the view, and forgets that the memory was in the direct map. Goes on in events;
 * then `then` is posted. CPU 0.
 */
void gmem_settle(struct vm *, struct event *then);
bool gmem_settled(const struct vm *); /* none is under way */
/*
 * Gives the VM `len` bytes of RAM at base, in the largest chunks available (1 GiB, 2 MiB, 4 KiB).
 * Not yet scrubbed: see gmem_scrub(). CPU 0, before the VM runs. -ENOMEM (some is always left to
 * Trivet itself): gmem_fini() gives back what was got. -EEXIST: overlaps a slot. -ENOSPC: no slot
 * is left. -EINVAL: not whole pages.
 */
int must_check gmem_add_ram(struct vm *, gpa_t base, uint64_t len);
/*
 * Zeroes up to `budget` bytes of RAM that was not zeroed yet; true while more remains. CPU 0, in
 * the VM's view, from events: before a vCPU was woken, or when none is left.
 */
bool gmem_scrub(struct vm *, uint64_t budget);
/* CPU 0, no vCPU runs: all RAM counts as not zeroed again, for a reset or the VM's end. */
void gmem_scrub_again(struct vm *);
/*
 * CPU 0, the VM's end, after gmem_scrub() said false: what gmem_fini() gives back is known to hold
 * zeros.
 */
void gmem_set_zeroed(struct vm *);
/*
 * An MMIO or ROM slot of memory that somebody else owns. Any CPU; ROM only before the VM runs.
 * -EINVAL: of RAM, or not whole pages. -EEXIST: overlaps a slot. -ENOSPC: no slot is left. -ENOMEM.
 */
int must_check gmem_map(struct vm *, const struct memslot *);
/*
 * ROM of zeroed pages that the guest pays for. What Trivet tells the guest in it, it writes by the
 * pointer that gmem_ptr(..., PROT_R) gives. CPU 0, before the VM runs. -ENOMEM; else as gmem_map().
 */
int must_check gmem_add_rom(struct vm *, gpa_t base, uint64_t len);
/* of MMIO slots: domains, stage 2, flush all, reap. -EINVAL: cuts a slot, or RAM. -ENOENT: none */
int must_check gmem_unmap(struct vm *, gpa_t, uint64_t len);
/*
 * ROM that is mapped at base, while the guest runs, from an exit or an event: trapped: each access
 * exits (a flash that is being programmed); else reads and fetches reach the memory again. Its
 * place among the slots stays. -ENOENT: no ROM begins there. -ENOMEM: it stays trapped. -EINVAL:
 * not whole pages.
 */
int must_check gmem_rom_trap(struct vm *, gpa_t base, bool trapped);
/*
 * From here on, until it is detached, the domain's devices reach all that the guest reaches.
 * -ENOMEM; -EBUSY: the guest's writes are being logged, and a device's would not be seen; -EFAULT,
 * -EINVAL: the domain cannot map what the guest has. CPU 0.
 */
int must_check gmem_attach(struct vm *, struct gmem_domain *);
/* Its devices reach nothing, when this returns. CPU 0; before gmem_fini(). */
void gmem_detach(struct vm *, struct gmem_domain *);
#define LOGGED_MAX (1 * GIB)
/*
 * Logs which pages of RAM are written to, until gmem_log_stop(). Both: CPU 0, the VM is parked.
 * -ENOTSUP: the engine has
 * no stage 2. -E2BIG: its RAM is above LOGGED_MAX, of which each page may be an entry of its own,
 * and all are looked at in one go. -EBUSY: it is being logged, or a device writes by itself.
 * -ENOMEM.
 */
int must_check gmem_log_start(struct vm *);
void gmem_log_stop(struct vm *);
/*
 * Bit n: page n from `from` on was written to since it was asked for last (or since the start: all
 * of RAM was). What Trivet wrote is told of twice: ask no more often than every 10 ms while the
 * guest runs. Read the pages after this call. Returns their number. CPU 0.
 */
uint64_t gmem_log_take(struct vm *, gpa_t from, uint64_t pages, uint64_t *bits);
/*
 * From an exit for an access to RAM: true: it was to a page that is being logged; the guest may go
 * on.
 */
bool gmem_log_exit(struct vcpu *, gpa_t);
void gmem_log_wrote(struct vm *, const void *host, uint64_t len);
/* What RAM of this piece may be mapped with: not to be written unseen. Under g->lock. */
unsigned gmem_log_prot(const struct gmem *, const struct gmem_piece *);
/*
 * For a caller that keeps a pointer which gmem_ptr() or gmem_run() gave beyond the exit or event in
 * which it asked for it: after each write to it.
 */
#define gmem_wrote(vm, host, len) \
    (__builtin_expect((vm)->gmem.log != NULL, 0) ? gmem_log_wrote(vm, host, len) : (void)0)
/*
 * Where the engine's format maps large leaves without PROT_X (EPT, iTLB multihit): the 2 MiB around
 * a page of RAM or ROM that may be executed are mapped by executable 4 KiB leaves from now on. The
 * caller flushes its own TLB. -EFAULT: no such page. Errors as of pt_protect(). From an exit.
 */
int must_check gmem_make_exec(struct vm *, gpa_t);
/*
 * Pointer into the VM's view, which this CPU has entered, to guest RAM [gpa, gpa+len). It stays the
 * same while the VM has its memory. NULL unless it lies within one contiguous piece of RAM with the
 * wanted rights. Any CPU, exit path.
 */
void *gmem_ptr(struct vm *, gpa_t, uint64_t len, unsigned prot);
/* The same, without a call where the memory is in the largest piece: for the shortest paths. */
void *gmem_ptr_elsewhere(const struct gmem *, uint64_t at, uint64_t len, unsigned prot);
static inline void *gmem_ptr_in(const struct gmem *g, gpa_t at, uint64_t len, unsigned prot)
{
    const struct gmem_piece *p = &g->main;

    if (DEBUG_LOCKS || !range_within(at.v, len, p->gpa, p->len) || prot & ~p->prot)
        return gmem_ptr_elsewhere(g, at.v, len, prot);
    return p->host + index_nospec(at.v - p->gpa, p->len);
}
/*
 * Quick, for exits: true: no piece is there, so gmem_ptr() gives NULL. False: it has to be asked.
 */
static inline bool gmem_in_hole(const struct gmem *g, gpa_t at)
{
    return at.v - g->hole_at < g->hole_len;
}
/* Longest contiguous run at gpa, at most *len, stored in *len; NULL when gpa is not RAM. */
void *gmem_run(struct vm *, gpa_t, uint64_t *len, unsigned prot);
/*
 * Where memory at a pointer that gmem_ptr() or gmem_run() gave is, for the host's devices: *at, and
 * in *len how many of the *len bytes are there without a gap. -EFAULT: nothing is. It stays there
 * while the VM has its memory.
 */
int must_check gmem_phys(struct vm *, const void *host, uint64_t *len, hpa_t *at);
/*
 * Copies that may cross chunks. 0 or -EFAULT (nothing is guaranteed about a partly copied range).
 */
int must_check gmem_read(struct vm *, gpa_t, void *dst, uint64_t len);
int must_check gmem_write(struct vm *, gpa_t, const void *src, uint64_t len);
int must_check gmem_zero(struct vm *, gpa_t, uint64_t len);
/*
 * Any context, for a panic: the name of the guest that owns this memory, or of the view's; NULL:
 * none.
 */
const char *gmem_owner(hpa_t);
const char *gmem_name(const struct view *);
/*
 * What was written to [gpa, gpa+len) may be executed, on any CPU: instruction fetches see it even
 * where they do not look into data caches. Not RAM: skipped.
 */
void gmem_sync_code(struct vm *, gpa_t, uint64_t len);
/* implemented by arch/: the same for our own view of it */
void arch_sync_code(const void *, uint64_t len);
