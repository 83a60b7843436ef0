/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * save.c: a guest saved into host memory within one boot, and restored from there. The objects'
 * state is one image (state.c); memory is kept page by page, in blocks of 2 MiB where they are to
 * be had: a page that says which pages follow, and these. Pages of RAM that hold zeros are left
 * out. All work is done in pieces, from events on CPU 0, and the guest pays for it.
 */
#include <hv/guest.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/save.h>
#include <hv/share.h>
#include <hv/state.h>
#include <hv/time.h>
#include <stdio.h>
#include <string.h>

#include "private.h"

#define STEP_PAGES 1024u /* looked at or copied in one event: 4 MiB */
#define BLOCK_PAGES 508u /* numbers that fit into the first page of a block */
#define ROUNDS 4u        /* of copying a guest that runs */
#define ROUND_NS 10000000ull
#define FEW_PAGES 256u /* copied soon while it stands */

/* The first page of a block; the pages themselves follow it. */
struct block {
    struct block *next;
    uint32_t kind; /* enum state_kind */
    uint16_t instance, n;
    uint8_t order, pad[7];
    uint64_t page[BLOCK_PAGES];
    uint64_t spare;
};
static_assert(sizeof(struct block) == PAGE_SIZE, "one page");

struct saved {
    uint8_t *state;
    size_t len;
    uint8_t order; /* of the state's memory */
    struct block *first, *last;
    struct saved_info info;
};

/* ---- memory: Trivet's own, shown by `vm saved` and `memory` ---- */

/* What is promised to guests, and Trivet's reserve, stay. NULL: there is not so much. */
static void *save_take(unsigned order)
{
    uint64_t bytes = PAGE_SIZE << order;
    hpa_t pa;

    if (pmm_promise(bytes))
        return NULL;
    pa = pmm_alloc(order, PMM_SAVED); /* charge: Trivet's own, see above */
    pmm_unpromise(bytes);
    return pa.v ? phys_to_virt(pa) : NULL;
}

static struct block *dead; /* to be zeroed and freed, one in each event */
static struct event bury;

static void give(void *p, unsigned order)
{
    memset(p, 0, PAGE_SIZE << order);
    pmm_free(virt_to_phys(p), order, PMM_SAVED);
}

static void bury_one(struct event *ev)
{
    struct block *b = dead;

    if (!b)
        return;
    dead = b->next;
    give(b, b->order);
    if (dead)
        event_post(ev);
}

/* All that it holds but its own page. */
static void drop_content(struct saved *s)
{
    if (s->last) {
        s->last->next = dead;
        dead = s->first;
    }
    if (!bury.fn)
        event_init(&bury, bury_one, 0);
    event_post(&bury);
    if (s->state)
        give(s->state, s->order);
}

static void drop(struct saved *s)
{
    if (!s)
        return;
    drop_content(s);
    give(s, 0);
}

static_assert(sizeof(struct saved) <= PAGE_SIZE, "drop() gives a page");

static struct block *new_block(struct saved *s, uint32_t kind, uint32_t instance)
{
    static const uint8_t orders[] = { 9, 6, 3 };
    struct block *b = NULL;

    for (unsigned i = 0; i < ARRAY_SIZE(orders) && !b; i++) {
        b = save_take(orders[i]);
        if (b)
            *b = (struct block){ .kind = kind, .instance = (uint16_t)instance, .order = orders[i] };
    }
    if (!b)
        return NULL;
    if (s->last)
        s->last->next = b;
    else
        s->first = b;
    s->last = b;
    s->info.bytes += PAGE_SIZE << b->order;
    return b;
}

static unsigned room(const struct block *b)
{
    return (unsigned)min_u64(BLOCK_PAGES, (1u << b->order) - 1);
}

static uint8_t *page_in(struct block *b, unsigned i) { return (uint8_t *)(b + 1) + i * PAGE_SIZE; }

static int keep_page(struct saved *s, uint32_t kind, uint32_t instance, uint64_t page,
                     const void *from)
{
    struct block *b = s->last;

    if (!b || b->kind != kind || b->instance != instance || b->n == room(b))
        b = new_block(s, kind, instance);
    if (!b)
        return -ENOMEM;
    b->page[b->n] = page;
    memcpy(page_in(b, b->n++), from, PAGE_SIZE);
    s->info.pages++;
    return 0;
}

/* ---- RAM, as pages ---- */

static const void *ram_next(struct vm *vm, uint32_t i, uint64_t *page)
{
    (void)i;
    for (uint32_t n = 0; n < vm->gmem.nslots; n++) {
        const struct memslot *s = &vm->gmem.slot[n];
        uint64_t first = s->base.v / PAGE_SIZE;

        if (s->kind != MEMSLOT_RAM || *page >= first + s->len / PAGE_SIZE)
            continue;
        *page = max_u64(*page, first);
        return gmem_ptr(vm, gpa(*page * PAGE_SIZE), PAGE_SIZE, PROT_R);
    }
    return NULL;
}

static int ram_put(struct vm *vm, uint32_t i, uint64_t page, const void *from)
{
    void *to = page <= UINT64_MAX / PAGE_SIZE
                   ? gmem_ptr(vm, gpa(page * PAGE_SIZE), PAGE_SIZE, PROT_W)
                   : NULL;

    (void)i;
    if (!to)
        return -EINVAL;
    memcpy(to, from, PAGE_SIZE);
    gmem_sync_code(vm, gpa(page * PAGE_SIZE), PAGE_SIZE);
    return 0;
}

static const struct state_pages ram = {
    .name = "RAM", .kind = STATE_RAM, .fresh_is_zero = true, .next = ram_next, .put = ram_put
};

/* The n-th list of pages of a VM; NULL: there is no more. */
static const struct state_pages *pages_of(const struct vm *vm, unsigned n)
{
    const struct state_pages *const *more = vm->guest_ops->pages;

    if (n == 0)
        return &ram;
    for (unsigned i = 1; more && *more; i++, more++)
        if (i == n)
            return *more;
    return NULL;
}

static uint32_t count_of(const struct vm *vm, const struct state_pages *p)
{
    return p->count ? p->count(vm) : 1;
}

/* ---- saving ---- */

static bool save_all_zero(const void *p)
{
    const uint64_t *w = p;

    for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
        if (w[i])
            return false;
    return true;
}

/* > 0: now the pages. */
static int save_state(struct vm *vm, struct saved *s)
{
    int err;

    s->len = state_size(vm);
    s->order = (uint8_t)pmm_order(s->len);
    s->state = save_take(s->order);
    if (!s->state)
        return -ENOMEM;
    s->info.bytes += PAGE_SIZE << s->order;
    s->info.state_bytes = s->len;
    s->info.guest_ns = vm_time_ns(vm);
    err = state_save(vm, s->state, s->len);
    return err ? err : 1;
}

/*
 * The pages of this step that the log tells of. A later copy of a page is put back after an earlier
 * one, so that only a page never copied may be left out for being zeros.
 */
static int save_told(struct vm *vm, struct vm_save *j, const uint64_t *bits)
{
    bool live = j->phase == SAVE_LIVE, first = live && j->round == 0;

    for (unsigned n = 0; n < STEP_PAGES; n++) {
        const void *at;
        int err;

        if (!(bits[n / 64] >> (n & 63) & 1))
            continue;
        at = gmem_ptr(vm, gpa((j->page + n) * PAGE_SIZE), PAGE_SIZE, PROT_R);
        if (!at || (first && save_all_zero(at)))
            continue;
        err = keep_page(j->to, STATE_RAM, 0, j->page + n, at);
        if (err)
            return err;
        j->copied++;
        j->to->info.live_pages += live;
    }
    return 0;
}

/* > 0: there is more to do. */
static int save_logged(struct vm *vm, struct vm_save *j)
{
    uint64_t bits[STEP_PAGES / 64];
    int err;

    if (!ram_next(vm, 0, &j->page))
        return 0;
    gmem_log_take(vm, gpa(j->page * PAGE_SIZE), STEP_PAGES, bits);
    err = save_told(vm, j, bits);
    j->page += STEP_PAGES;
    if (j->phase == SAVE_LIVE && j->round == 0)
        j->looked += STEP_PAGES * PAGE_SIZE;
    return err ? err : 1;
}

/* It writes about as fast as is copied: to go on would be of no use, and take memory. */
static bool too_fast(const struct vm_save *j)
{
    return j->round && j->copied > j->copied_before / 2;
}

/* > 0: there is more to do while it runs. */
static int save_live(struct vm *vm, struct vm_save *j)
{
    int more = save_logged(vm, j);

    if (more < 0 || too_fast(j))
        return more < 0 ? more : 0;
    if (more)
        return more;
    if (j->copied <= FEW_PAGES || j->round + 1 == ROUNDS)
        return 0;
    j->round++;
    j->copied_before = j->copied;
    j->copied = j->page = 0;
    return 1;
}

/* > 0: there is more to do. */
static int save_pages(struct vm *vm, struct vm_save *j)
{
    for (unsigned n = 0; n < STEP_PAGES; n++) {
        const struct state_pages *p = pages_of(vm, j->list);

        if (j->list == 0 && j->logged) {
            int more = save_logged(vm, j);

            if (more == 0)
                j->page = 0, j->list = 1;
            return more < 0 ? more : 1;
        }
        const void *at =
            p && j->instance < count_of(vm, p) ? p->next(vm, j->instance, &j->page) : NULL;
        int err;

        if (!p)
            return 0;
        if (!at) {
            j->page = 0;
            j->list += j->instance + 1 >= count_of(vm, p);
            j->instance = j->instance + 1 >= count_of(vm, p) ? 0 : j->instance + 1;
            continue;
        }
        if (!(p->fresh_is_zero && save_all_zero(at))) {
            err = keep_page(j->to, p->kind, j->instance, j->page, at);
            if (err)
                return err;
        }
        j->page++;
        j->looked += PAGE_SIZE;
    }
    return 1;
}

static void explain(struct vm *vm, int err)
{
    struct vm_save *j = &vm->save;

    if (err == -ENOMEM)
        snprintf(j->why, sizeof j->why,
                 "not enough free memory for it; `vm saved` lists what other guests hold");
    else
        snprintf(j->why, sizeof j->why, "%s", vm->why[0] ? vm->why : "it cannot be saved");
}

static void say_saved(const struct vm *vm, const struct vm_save *j)
{
    const struct saved_info *i = &j->to->info;

    log_info(
        "%s: saved: %llu KiB of host memory, in %llu ms; paused for %llu ms: %llu pages copied "
        "while it ran, %llu while it was paused",
        vm->config->name, (unsigned long long)i->bytes / KIB,
        (unsigned long long)(time_ns() - j->began) / 1000000,
        (unsigned long long)i->stood_ns / 1000000, (unsigned long long)i->live_pages,
        (unsigned long long)(i->pages - i->live_pages));
}

/* The guest stands. */
static void end_save(struct vm *vm, int err)
{
    struct vm_save *j = &vm->save;

    gmem_log_stop(vm);
    if (j->resume)
        j->to->info.stood_ns += time_ns() - vm->paused_ns;
    j->under_way = false;
    j->result = err;
    if (err) {
        explain(vm, err);
        drop(j->to);
        log_warn("%s: not saved: %s", vm->config->name, j->why);
    } else {
        j->to->info.saved_ns = time_ns();
        drop(vm->saved);
        vm->saved = j->to;
        say_saved(vm, j);
    }
    j->to = NULL;
    if (j->resume && !j->stay && vm_resume(vm))
        log_err("%s: it stays paused", vm->config->name);
}

/* The guest stands. It goes on while its RAM is copied, if what it writes can be seen. */
static int begin_live(struct vm *vm, struct vm_save *j)
{
    j->phase = SAVE_REST;
    j->logged = !j->stay && !gmem_log_start(vm);
    if (!j->logged)
        return 1;
    j->to->info.stood_ns = time_ns() - vm->paused_ns;
    j->phase = SAVE_LIVE; /* else vm_resume() refuses */
    if (vm_resume(vm))
        j->phase = SAVE_REST;
    return 1;
}

/* The rest waits for the guest to stand, unless somebody has paused it meanwhile. */
static int end_live(struct vm *vm, struct vm_save *j)
{
    j->phase = SAVE_REST;
    j->page = 0;
    j->resume = vm->state == VM_RUNNING;
    if (j->resume)
        hv_assert(!vm_pause(vm));
    return 1;
}

/* Pages that were copied twice took too much: once more, without. Cannot fail. */
static int save_again(struct vm *vm, struct vm_save *j)
{
    drop_content(j->to);
    *j->to = (struct saved){ .info.bytes = PAGE_SIZE,
                             .info.stood_ns = j->to->info.stood_ns,
                             .info.files = vm->files };
    j->logged = false;
    j->list = j->instance = 0;
    j->page = j->looked = 0;
    return j->phase == SAVE_LIVE ? end_live(vm, j) : 1;
}

static int save_step(struct vm *vm, struct vm_save *j)
{
    int more;

    if (j->phase == SAVE_BEGIN)
        return begin_live(vm, j);
    if (j->phase == SAVE_LIVE) {
        more = save_live(vm, j);
        return more < 0 ? save_again(vm, j) : more ? more : end_live(vm, j);
    }
    more = j->to->len ? save_pages(vm, j) : save_state(vm, j->to);
    return more == -ENOMEM && j->logged ? save_again(vm, j) : more;
}

static void save_event(struct event *ev)
{
    struct vm *vm = container_of(ev, struct vm, save.ev);
    struct vm_save *j = &vm->save;
    bool stands = vm->state == VM_PAUSED, runs = vm->state == VM_RUNNING && j->phase == SAVE_LIVE;
    uint64_t from;
    int more;

    if (!j->under_way || !(stands || runs) || share_wait(vm, ev))
        return;
    if (dead && j->phase == SAVE_REST && !j->logged) { /* memory comes free: one block in each event
                                                        */
        event_post(ev);
        return;
    }
    from = time_ns();
    gmem_enter(&vm->gmem);
    more = save_step(vm, j);
    share_pay(vm, from);
    if (more > 0 && j->phase == SAVE_LIVE && j->page == 0 && j->round)
        event_at(ev, time_ns() + ROUND_NS); /* gmem_log_take() */
    else if (more > 0 && j->phase == SAVE_LIVE)
        event_put_off(ev); /* the guest first */
    else if (more > 0)
        event_post(ev);
    else
        end_save(vm, more);
}

void save_init(struct vm *vm) { event_init(&vm->save.ev, save_event, 0); }

void save_paused(struct vm *vm)
{
    if (vm->save.under_way)
        event_post(&vm->save.ev);
}

void save_stop(struct vm *vm)
{
    struct vm_save *j = &vm->save;

    if (!j->under_way)
        return;
    event_cancel(&j->ev);
    gmem_log_stop(vm);
    drop(j->to);
    j->to = NULL;
    j->under_way = false;
    j->result = -EIO;
    snprintf(j->why, sizeof j->why, "it ended while it was saved");
}

int vm_save(struct vm *vm)
{
    struct vm_save *j = &vm->save;
    bool running = vm->state == VM_RUNNING;

    if (j->under_way || (!running && vm->state != VM_PAUSED))
        return -EBUSY;
    if (vm->config->npassthrough)
        return -EPERM; /* what is in its devices nobody can read */
    j->to = save_take(0);
    if (!j->to)
        return -ENOMEM;
    *j->to = (struct saved){ .info.bytes = PAGE_SIZE, .info.files = vm->files };
    j->under_way = true;
    j->resume = running;
    j->stay = __atomic_load_n(&vm->pending, __ATOMIC_RELAXED) & VMP_PAUSE; /* not a stand yet */
    j->logged = false;
    j->phase = running ? SAVE_BEGIN : SAVE_REST;
    j->began = time_ns();
    j->list = j->instance = 0;
    j->page = j->looked = j->copied = j->copied_before = 0;
    j->round = 0;
    j->result = 0;
    j->why[0] = '\0';
    if (!running)
        event_post(&j->ev);
    return running ? vm_pause(vm) : 0;
}

int vm_pause_to_stay(struct vm *vm)
{
    const struct vm_save *j = &vm->save;

    assert_cpu0();
    vm->save.stay = true;
    return vm->state == VM_PAUSED && j->under_way && j->resume ? 0 : vm_pause(vm);
}

/* ---- restoring: vm.c calls this when the machine is built ---- */

void restore_begin(struct vm *vm)
{
    vm->restore.block = vm->saved->first;
    vm->restore.at = 0;
    vm->restore.phase = RESTORE_SCRUB;
    gmem_scrub_again(vm);
}

static int save_put_page(struct vm *vm, struct block *b, unsigned n)
{
    const struct state_pages *p;

    for (unsigned i = 0; (p = pages_of(vm, i)); i++)
        if (p->kind == b->kind)
            break;
    if (!p || b->instance >= count_of(vm, p))
        return -EINVAL;
    return p->put(vm, b->instance, b->page[n], page_in(b, n));
}

static int restore_pages(struct vm *vm)
{
    for (unsigned n = 0; n < STEP_PAGES; n++) {
        struct block *b = vm->restore.block;
        int err;

        if (!b)
            return 0;
        if (vm->restore.at == b->n) {
            vm->restore.block = b->next;
            vm->restore.at = 0;
            continue;
        }
        err = save_put_page(vm, b, vm->restore.at++);
        if (err) {
            snprintf(vm->why, sizeof vm->why, "its saved memory does not fit this machine: %s",
                     err == -ENOSPC ? "the disks' changes are above their limit" : "bad page");
            return err;
        }
    }
    return 1;
}

int restore_step(struct vm *vm)
{
    int more;

    if (vm->restore.phase == RESTORE_SCRUB) {
        if (!gmem_scrub(vm, STEP_PAGES * PAGE_SIZE))
            vm->restore.phase = RESTORE_PAGES;
        return 1;
    }
    more = restore_pages(vm);
    return more ? more : state_restore(vm, vm->saved->state, vm->saved->len);
}

int vm_restore(struct vm *vm)
{
    int err = vm->saved ? vm_start_with(vm, vm->saved->info.files) : -ENOENT;

    if (!err)
        vm->restore.phase = RESTORE_BUILD;
    return err;
}

/* ---- what is held ---- */

bool vm_saved(const struct vm *vm, struct saved_info *out)
{
    if (vm->saved && out)
        *out = vm->saved->info;
    return vm->saved != NULL;
}

int vm_drop(struct vm *vm)
{
    if (!vm->saved)
        return -ENOENT;
    if (vm->restore.phase)
        return -EBUSY;
    drop(vm->saved);
    vm->saved = NULL;
    vm_go_if_removed(vm);
    return 0;
}
