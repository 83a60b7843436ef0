/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy.c: what becomes of a guest that crashed, reset itself or switched itself off: on_crash,
 * on_reboot and on_poweroff of trivet.conf. Each further end soon after a start is answered later.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/time.h>
#include <hv/vm.h>

#include "private.h"

#define SECOND 1000000000ull
#define SOON (60 * SECOND)     /* an end within this time counts */
#define LONGEST (60 * SECOND)  /* of the waits */
#define AT_ONCE 3              /* so many resets in a row are not waited for */
#define BY_HAND (300 * SECOND) /* how long it may take a guest to do what somebody asked it for */

void vm_by_hand(struct vm *vm)
{
    assert_cpu0();
    vm->by_hand_ns = time_ns();
}

static bool by_hand(const struct vm *vm)
{
    return vm->by_hand_ns && time_ns() - vm->by_hand_ns < BY_HAND;
}

/* How long to wait now: nothing for the first `free` ends in a row, then 1 s, 2 s, 4 s ... */
static uint64_t back_off(struct vm *vm, uint32_t free)
{
    uint32_t n;

    if (time_ns() - vm->started_ns >= SOON)
        vm->ends = 0;
    n = vm->ends++;
    return n < free ? 0 : min_u64(SECOND << min_u64(n - free, 6), LONGEST);
}

enum policy policy_of(const struct vm *vm, uint32_t wishes)
{
    const struct guest_config *c = vm->config;

    if (by_hand(vm))
        return wishes & (VMP_KILL | VMP_EXITED | VMP_OFF) ? POLICY_STOP : POLICY_RESTART;
    return wishes & VMP_KILL                 ? c->on_crash
           : wishes & (VMP_EXITED | VMP_OFF) ? c->on_poweroff
                                             : c->on_reboot;
}

void policy_reset(struct vm *vm)
{
    /* quick ones are counted apart: ten of them are a crash (vm.c) */
    uint64_t wait = by_hand(vm) || vm->quick_resets ? 0 : back_off(vm, AT_ONCE);

    vm->by_hand_ns = 0;
    vm->not_before = wait ? time_ns() + wait : 0;
    if (wait)
        log_warn("%s: it keeps resetting itself: it restarts in %llu s", vm->config->name,
                 (unsigned long long)(wait / SECOND));
}

static void start_again(struct event *ev)
{
    struct vm *vm = container_of(ev, struct vm, again);
    uint32_t ends = vm->ends;

    assert_cpu0();
    if (!vm->again_ns || (vm->state != VM_OFF && vm->state != VM_CRASHED))
        return;
    vm->again_ns = 0;
    if (vm_start(vm))
        log_err("%s: did not start again: %s", vm->config->name, vm->why);
    vm->ends = ends;
}

void policy_init(struct vm *vm) { event_init(&vm->again, start_again, 0); }

void policy_ended(struct vm *vm, bool restart)
{
    uint64_t wait;

    hv_assert(vm->state == VM_OFF || vm->state == VM_CRASHED);
    vm->by_hand_ns = 0;
    if (!restart)
        return;
    wait = back_off(vm, 0);
    log_info("%s: it restarts in %llu s", vm->config->name, (unsigned long long)(wait / SECOND));
    vm->again_ns = time_ns() + wait;
    event_at(&vm->again, vm->again_ns);
}

bool vm_stay_down(struct vm *vm)
{
    bool was = vm->again_ns != 0 || vm->waits;

    assert_cpu0();
    vm->again_ns = 0;
    vm->waits = false;
    return was;
}
