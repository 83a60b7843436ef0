/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keep.c: the variables in the state volume. `shadow` is the flash as it was at one instant: an
 * update takes into it, under the lock, what has changed since the last one, and writes it from
 * there. So what is on the disk is always what the flash held at some moment.
 *
 * A vCPU that gives the flash back to reads after it has changed it waits until the change is on
 * the disk: no write that the guest knows of is lost by a power cut. Updates come in bursts, then
 * one each PACE_NS.
 */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/guest.h>
#include <hv/log.h>
#include <hv/share.h>
#include <hv/store_volume.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>
#include "uefi.h"

#define PACE_NS 50000000ull
#define BURST 512u
#define WORDS (STORE_OBJECT_PAGES / 64)

static const char *keep_guest(const struct uefi *u) { return u->vm->config->name; }
static struct uefi *uefi_of_op(struct store_op *op)
{
    return container_of(op, struct uefi, keep.op);
}

static bool keep_any(const uint64_t *map)
{
    uint64_t all = 0;

    for (unsigned i = 0; i < WORDS; i++)
        all |= map[i];
    return all != 0;
}

static void mark(struct uefi *u, uint32_t off, uint32_t len)
{
    for (uint32_t p = off / PAGE_SIZE; p <= (off + len - 1) / PAGE_SIZE; p++)
        u->keep.dirty[p / 64] |= 1ull << (p % 64);
    u->keep.unsaved = true;
}

/* ---- who waits ---- */

void keep_wait(struct uefi *u)
{
    assert_held(&u->lock);
    if (u->keep.unsaved && u->keep.kept && !u->keep.failed)
        vcpu_wait();
}

/* Under the lock, nothing is unsaved: a vCPU that writes again from now on waits anew. */
static void stop_waits(struct uefi *u)
{
    for (uint32_t i = 0; i < u->vm->nvcpus; i++)
        vcpu_wait_end(u->vm->vcpu[i]);
}

static void let_all_go_on(struct uefi *u)
{
    for (uint32_t i = 0; i < u->vm->nvcpus; i++)
        vcpu_request(u->vm->vcpu[i], REQ_IRQ);
    event_post(&u->vm->lifecycle);
}

/* ---- updates ---- */

static void keep_changed(struct cfi_flash *f, uint32_t off, uint32_t len)
{
    struct uefi *u = container_of(f, struct uefi, vars);

    assert_held(&u->lock);
    mark(u, off, len);
    event_post(&u->keep.work);
}

static void keep_put_page(struct store_op *op, uint32_t page, uint8_t *bytes)
{
    memcpy(bytes, uefi_of_op(op)->keep.shadow + (size_t)page * PAGE_SIZE, PAGE_SIZE);
}

static void put_done(struct store_op *op, int status)
{
    struct uefi *u = uefi_of_op(op);
    struct uefi_keep *k = &u->keep;
    bool go_on;

    share_pay(u->vm, time_ns() - store_op_ns(op));
    spin_lock(&u->lock);
    for (unsigned i = 0; status && i < WORDS; i++)
        k->dirty[i] |= k->going[i];
    k->unsaved = keep_any(k->dirty);
    go_on = status || !k->unsaved;
    k->failed = status != 0;
    k->busy = false;
    if (go_on)
        stop_waits(u);
    spin_unlock(&u->lock);
    if (status && !k->told)
        vm_log(u->vm, LOG_ERR,
               "its UEFI variables cannot be saved: error %d; they may be forgotten", -status);
    k->told = status != 0;
    u->vm->variables = status ? VARIABLES_FORGOTTEN : VARIABLES_KEPT;
    if (go_on)
        let_all_go_on(u);
    else
        event_post(&k->work);
}

/* What has changed goes into the shadow, at one instant. False: nothing. */
static bool snapshot(struct uefi *u)
{
    struct uefi_keep *k = &u->keep;
    bool some;

    spin_lock(&u->lock);
    some = keep_any(k->dirty);
    for (uint32_t p = 0; some && p < u->vars.len / PAGE_SIZE; p++)
        if (k->dirty[p / 64] >> (p % 64) & 1)
            memcpy(k->shadow + (size_t)p * PAGE_SIZE, u->vars.data + (size_t)p * PAGE_SIZE,
                   PAGE_SIZE);
    memcpy(k->going, k->dirty, sizeof k->going);
    memset(k->dirty, 0, sizeof k->dirty);
    k->busy = some;
    spin_unlock(&u->lock);
    return some;
}

static void keep_work(struct event *ev)
{
    struct uefi *u = container_of(ev, struct uefi, keep.work);
    struct uefi_keep *k = &u->keep;
    uint64_t now = time_ns(), from = now > BURST * PACE_NS ? now - BURST * PACE_NS : 0;

    if (k->busy || !k->loaded || k->partial)
        return; /* the end of that comes back here */
    if (k->next_ns > now && !k->hurry) {
        event_at(ev, k->next_ns);
        return;
    }
    if (share_wait(u->vm, ev) || !snapshot(u))
        return;
    share_pay(u->vm, now);
    k->hurry = false;
    k->next_ns = max_u64(k->next_ns, from) + PACE_NS;
    k->op = (struct store_op){ .kind = STORE_PUT,
                               .len = u->vars.len,
                               .changed = k->going,
                               .page = keep_put_page,
                               .done = put_done };
    memcpy(k->op.name, k->name, sizeof k->op.name);
    store_volume_submit(&k->op);
}

/* ---- at the start ---- */

static void keep_get_page(struct store_op *op, uint32_t page, uint8_t *bytes)
{
    memcpy(uefi_of_op(op)->keep.shadow + (size_t)page * PAGE_SIZE, bytes, PAGE_SIZE);
}

/* What cannot be read stays on the disk: perhaps the disk reads it another time. */
static void say_new(const struct uefi *u, int status)
{
    if (status == -EFBIG)
        log_warn("%s: its stored UEFI variables are of another firmware: it starts with new ones",
                 keep_guest(u));
    else if (status != -ENOENT)
        log_err("%s: its UEFI variables cannot be read (error %d): it starts with new ones, which "
                "are lost when it stops",
                keep_guest(u), -status);
}

static void get_done(struct store_op *op, int status)
{
    struct uefi *u = uefi_of_op(op);

    share_pay(u->vm, time_ns() - store_op_ns(op));
    if (status == 0 && op->len != u->vars.len)
        status = -EFBIG;
    spin_lock(&u->lock);
    u->keep.kept = status == 0 || status == -ENOENT || status == -EFBIG;
    if (status == 0)
        memcpy(u->vars.data, u->keep.shadow, u->vars.len);
    else if (u->keep.kept)
        mark(u, 0, u->vars.len);
    u->vars.changed = u->keep.kept ? keep_changed : NULL;
    u->keep.busy = false;
    u->keep.loaded = true;
    spin_unlock(&u->lock);
    u->vm->variables = u->keep.kept ? VARIABLES_KEPT : VARIABLES_FORGOTTEN;
    if (status)
        say_new(u, status);
    if (u->keep.unsaved)
        event_post(&u->keep.work);
    event_post(&u->vm->lifecycle);
}

static void say_forgotten(const struct uefi *u)
{
    const char *why = "the state volume is damaged, or cannot be read";

    if (u->vars.len > STORE_OBJECT_MAX)
        why = "they are too large for the state volume";
    else if (store_volume_usable())
        why = "there is no memory for keeping them";
    else
        (void)store_volume(&why);
    log_warn("%s: its UEFI variables are lost when it stops: %s", keep_guest(u), why);
}

void keep_start(struct uefi *u)
{
    struct uefi_keep *k = &u->keep;

    assert_cpu0();
    if (k->asked)
        return;
    k->asked = true;
    event_init(&k->work, keep_work, 0);
    if (store_volume_usable() && u->vars.len <= STORE_OBJECT_MAX)
        k->shadow = vm_alloc(u->vm, u->vars.len);
    if (!k->shadow) {
        say_forgotten(u);
        k->loaded = true;
        u->vm->variables = VARIABLES_FORGOTTEN;
        return;
    }
    snprintf(k->name, sizeof k->name, "%s/%s", u->vm->config->secure_boot ? "uefi-secure" : "uefi",
             keep_guest(u));
    k->busy = true;
    k->op = (struct store_op){
        .kind = STORE_GET, .len = u->vars.len, .page = keep_get_page, .done = get_done
    };
    memcpy(k->op.name, k->name, sizeof k->op.name);
    store_volume_submit(&k->op);
}

void keep_page(struct uefi *u, uint64_t page)
{
    spin_lock(&u->lock);
    u->keep.partial = true;
    if (u->vars.changed)
        keep_changed(&u->vars, (uint32_t)(page * PAGE_SIZE), PAGE_SIZE);
    spin_unlock(&u->lock);
}

void keep_restored(struct uefi *u)
{
    u->keep.partial = false;
    if (u->keep.asked)
        event_post(&u->keep.work);
}

int uefi_build_more(struct vm *vm) { return vm->uefi->keep.loaded ? 0 : BUILD_WAITS; }

/* What could not be saved does not keep the guest from its end. */
int uefi_quiesce(struct vm *vm)
{
    struct uefi *u = vm->uefi;
    bool wait;

    if (u && shot_give_up(u))
        return -EINPROGRESS;
    if (!u || !u->keep.asked)
        return 0;
    spin_lock(&u->lock);
    wait = u->keep.busy || (u->keep.unsaved && u->keep.kept && !u->keep.failed && !u->keep.partial);
    spin_unlock(&u->lock);
    if (!wait)
        return 0;
    u->keep.hurry = true;
    event_post(&u->keep.work);
    return -EINPROGRESS;
}

bool uefi_busy(const struct vm *vm) { return vm->uefi && (vm->uefi->keep.busy || vm->uefi->shot); }

void keep_end(struct uefi *u)
{
    hv_assert(!u->keep.busy);
    if (u->keep.asked)
        event_kill(&u->keep.work);
    vm_free(u->vm, u->keep.shadow, u->vars.len);
}
