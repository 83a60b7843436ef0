/* SPDX-License-Identifier: BSD-2-Clause */
/* view.c: the life of a view, apart from its tables; how every CPU leaves it. */
#include <hv/assert.h>
#include <hv/panic.h>
#include <hv/view.h>
#include <hv/vm.h>

struct view_round {
    const struct view *view;
    struct event *then;
    uint32_t left; /* CPUs that have not run their part; atomic */
    uint32_t n;
    struct part {
        struct event event;
        struct view_round *round;
    } part[];
};

static void settle_here(struct event *ev)
{
    struct view_round *r = container_of(ev, struct part, event)->round;
    struct event *then = r->then; /* r may be gone when the last CPU has counted */
    struct percpu *c = this_cpu();

    hv_assert(ev->cpu == this_cpu()->id && r->left > 0);
    if (c->view == r->view)
        view_enter(c, NULL);
    view_forget();
    if (__atomic_sub_fetch(&r->left, 1, __ATOMIC_ACQ_REL) == 0)
        event_post(then);
}

static size_t view_size_of(uint32_t n)
{
    return sizeof(struct view_round) + n * sizeof(struct part);
}

int view_init(struct view *w, struct vm *vm)
{
    struct view_round *r = vm_alloc(vm, view_size_of(cpu_count));
    int err;

    assert_cpu0();
    hv_assert(vm->id < MAX_VMS);
    *w = (struct view){ .round = r, .vm = vm };
    if (!r)
        return -ENOMEM;
    *r = (struct view_round){ .view = w, .n = cpu_count };
    for (uint32_t i = 0; i < r->n; i++) {
        event_init(&r->part[i].event, settle_here, i);
        r->part[i].round = r;
    }
    err = view_make(w, vm->id, charge_tables, vm);
    if (err)
        view_fini(w);
    return err;
}

void view_settle(struct view *w, struct event *then)
{
    struct view_round *r = w->round;

    assert_cpu0();
    hv_assert(then);
    hv_assert(view_settled(w));
    r->then = then;
    __atomic_store_n(&r->left, r->n, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < r->n; i++)
        event_post(&r->part[i].event);
}

bool view_settled(const struct view *w)
{
    hv_assert(w->round);
    return __atomic_load_n(&w->round->left, __ATOMIC_ACQUIRE) == 0;
}

void view_fini(struct view *w)
{
    assert_cpu0();
    hv_assert(this_cpu()->view != w);
    if (!w->round)
        return;
    for (uint32_t i = 0; i < w->round->n; i++)
        event_kill(&w->round->part[i].event);
    view_unmake(w);
    vm_free(w->vm, w->round, view_size_of(w->round->n));
    *w = (struct view){ .root = 0 };
}
