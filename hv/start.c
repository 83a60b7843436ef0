/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * start.c: the last boot step: defines the guests of trivet.conf and starts those that start by
 * themselves.
 */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/mgmt.h>
#include <hv/start.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <hv/words.h>
#include <stdio.h>
#include <string.h>

#define TALLY_EVERY 200000000ull /* ns */

/* True: it is to start by itself. */
static bool define_one(struct guest_config *g)
{
    struct vm *vm;
    int err = vm_define(g, &vm);

    if (err) {
        log_err("%s: cannot be defined: %s", g->name, error_text(err));
        return false;
    }
    if (!vm_is_for_this_machine(vm))
        return false;
    if (g->bad) {
        vm_leave_out(vm, "an error in trivet.conf, line %u; `config check` shows it", g->bad_line);
        log_err("%s: left out: %s", g->name, vm->why);
        return false;
    }
    vm->waits = g->autostart;
    snprintf(vm->why, sizeof vm->why, "%s", g->autostart ? "waits for its turn" : "autostart = no");
    return g->autostart;
}

/* ---- whose turn it is ---- */

static uint64_t began; /* time_ns() when the first could start */

/* A lower `order` goes first. */
static bool is_first(const struct vm *vm)
{
    for (uint32_t i = 0; i < vm_count(); i++)
        if (vm_by_index(i)->waits && vm_by_index(i)->config->order < vm->config->order)
            return false;
    return true;
}

static void start_give_up(struct vm *vm)
{
    vm->not_started = true;
    vm->waits = false;
    snprintf(vm->why, sizeof vm->why, "after = %s, and that did not start", vm->config->after);
    log_err("%s: did not start: %s", vm->config->name, vm->why);
}

static bool its_turn(struct vm *vm, uint64_t now)
{
    const struct guest_config *g = vm->config;
    const struct vm *other = g->after[0] ? vm_find(g->after) : NULL;
    uint64_t since = other ? other->started_ns : began;

    if (!is_first(vm) || (other && (other->waits || other->state == VM_STARTING)))
        return false;
    if (other && (other->not_started || !other->started_ns)) {
        start_give_up(vm);
        return false;
    }
    return now - since >= g->delay * 1000000000ull;
}

/* Starts those whose turn has come; returns how many still wait. */
static unsigned start_next(void)
{
    unsigned wait = 0;

    for (uint32_t i = 0; i < vm_count(); i++) {
        struct vm *vm = vm_by_index(i);

        if (!vm->waits)
            continue;
        if (!its_turn(vm, time_ns())) {
            wait += vm->waits;
            continue;
        }
        vm->waits = false;
        if (vm_start(vm))
            log_err("%s: did not start: %s", vm->config->name, vm->why);
    }
    return wait;
}

static unsigned define_all(void)
{
    unsigned wait = 0;

    for (unsigned i = 0; i < the_config.nguests; i++)
        wait += define_one(&the_config.guest[i]);
    return wait;
}

/* Once all have started or have not: how many there are. */
static struct event tally;

static void tell_tally(struct event *ev)
{
    unsigned up = 0, failed = 0, out = 0;

    if (start_next()) {
        event_at(ev, time_ns() + TALLY_EVERY);
        return;
    }
    for (uint32_t i = 0; i < vm_count(); i++) {
        const struct vm *vm = vm_by_index(i);

        if (vm->state == VM_STARTING) {
            event_at(ev, time_ns() + TALLY_EVERY);
            return;
        }
        up += vm->state == VM_RUNNING || vm->state == VM_PAUSED;
        failed += vm->not_started || vm->state == VM_CRASHED;
        out += vm->left_out;
    }
    log_info("%u of %u guests running; %u failed, %u left out; `list` says why", up, vm_count(),
             failed, out);
}

int guests_start(void)
{
    unsigned started = define_all();

    assert_cpu0();
    began = time_ns();
    (void)start_next();
    event_init(&tally, tell_tally, 0);
    if (the_config.nguests)
        event_at(&tally, time_ns() + TALLY_EVERY);
    log_info("starting %u of %u guests; `help` lists the commands, `console NAME` shows a guest",
             started, the_config.nguests);
    log_set_console_level(the_config.host.log);
    if (the_config.host.log_time == LOG_TIME_UTC && time_wall_s())
        log_show_utc(time_wall_s() - time_ns() / 1000000000);
    shell_start();
    return 0;
}
