/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The objects of a riscv64 machine as an image has them, <hv/state.h>: the table, and the machine
 * with what SBI has begun. Its harts are the engine's.
 */
#include "rv_guest.h"
#include <hv/assert.h>
#include <hv/pci.h>
#include <hv/state.h>

struct rv_guest_state {
    struct rvm_state m;
    uint64_t pc[RVM_HARTS], a1[RVM_HARTS]; /* of a start that its hart has not taken yet */
    uint32_t entries, zero;                /* a bit for each of these */
};
static_assert(sizeof(struct rv_guest_state) == 784, "a saved state");

static size_t rv_state_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct rv_guest_state);
}

static int rv_state_save(struct vm *vm, uint32_t i, void *buf)
{
    struct rv_guest *g = rv_guest_of(vm);
    struct rv_guest_state *s = buf;

    (void)i;
    spin_lock(&g->lock);
    rvm_save(&g->m, &s->m);
    for (unsigned n = 0; n < g->m.harts; n++) {
        if (!g->entry[n].there)
            continue;
        s->entries |= 1u << n;
        s->pc[n] = g->entry[n].pc;
        s->a1[n] = g->entry[n].a1;
    }
    spin_unlock(&g->lock);
    return 0;
}

static bool entries_valid(const struct rv_guest *g, const struct rv_guest_state *s)
{
    if (s->zero || s->entries >> g->m.harts || (s->entries && !g->m.sbi))
        return false;
    for (unsigned n = 0; n < RVM_HARTS; n++)
        if (!(s->entries >> n & 1) ? s->pc[n] || s->a1[n]
                                   : s->m.hart_state[n] != RVM_STARTED || s->pc[n] & 1)
            return false;
    return true;
}

/* Each start is asked of its hart's vCPU. */
static bool entries_asked(const struct vm *vm, const struct rv_guest_state *s)
{
    for (uint32_t n = 0; n < vm->nvcpus; n++)
        if (s->entries >> n & 1 && !(vm->vcpu[n]->requests & REQ_GUEST))
            return false;
    return true;
}

/* More than the first hart: each may write what others run. */
static void tell_others(struct rv_guest *g)
{
    bool others = g->m.harts > 1 && !g->m.sbi;

    for (unsigned n = 1; n < g->m.harts; n++)
        others |= g->m.hart_state[n] == RVM_STARTED;
    for (uint32_t n = 0; n < g->vm->nvcpus; n++)
        rv_shared_of(g->vm->vcpu[n])->others_run = others;
}

static int rv_state_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct rv_guest *g = rv_guest_of(vm);
    const struct rv_guest_state *s = buf;

    (void)i;
    if (!rvm_valid(&g->m, &s->m) || !entries_valid(g, s) || !entries_asked(vm, s))
        return -EINVAL;
    spin_lock(&g->lock);
    rvm_restore(&g->m, &s->m);
    for (unsigned n = 0; n < g->m.harts; n++)
        g->entry[n] = (struct rv_entry){ s->entries >> n & 1, s->pc[n], s->a1[n] };
    g->held = true;
    tell_others(g);
    spin_unlock(&g->lock);
    return 0;
}

static int rv_state_quiesce(struct vm *vm, uint32_t i)
{
    struct rv_guest *g = rv_guest_of(vm);

    assert_cpu0();
    assert_parked(vm);
    (void)i;
    spin_lock(&g->lock);
    g->held = true;
    spin_unlock(&g->lock);
    event_cancel(&g->rx);
    for (uint32_t n = 0; n < vm->nvcpus; n++)
        event_cancel(&rv_vcpu_of(vm->vcpu[n])->timer);
    return 0;
}

/* Who resumes the VM asks each vCPU to look, so a hart that waits sets its timer again. */
static void rv_state_resume(struct vm *vm, uint32_t i)
{
    struct rv_guest *g = rv_guest_of(vm);

    (void)i;
    spin_lock(&g->lock);
    g->held = false;
    spin_unlock(&g->lock);
    event_post(&g->rx);
    rv_look(vm);
}

static const struct state_ops machine_ops = { .name = "machine",
                                              .kind = STATE_RV_MACHINE,
                                              .version = RVM_STATE_VERSION,
                                              .quiesce = rv_state_quiesce,
                                              .size = rv_state_size,
                                              .save = rv_state_save,
                                              .restore = rv_state_restore,
                                              .resume = rv_state_resume };

const struct state_pages *const rv_pages[] = { &vio_disk_pages, NULL };

const struct state_ops *const rv_states[] = { &vio_dev_ops,  &vio_disk_ops, &vpci_bus_ops,
                                              &vpci_dev_ops, &machine_ops,  NULL };
