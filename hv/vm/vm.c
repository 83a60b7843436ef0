/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.c: the life of a VM. Everything here happens on CPU 0's loop, in the VM's lifecycle event, one
 * state at a time; other CPUs only leave a wish in vm->pending and ask the vCPUs to park. A VM's
 * parts are touched only when all its vCPUs are parked or not there.
 */
#include <hv/assert.h>
#include <hv/console.h>
#include <hv/files.h>
#include <hv/guest.h>
#include <hv/heap.h>
#include <hv/kernel.h>
#include <hv/log.h>
#include <hv/notice.h>
#include <hv/pci.h>
#include <hv/share.h>
#include <hv/state.h>
#include <hv/time.h>
#include <hv/words.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

#define SCRUB_STEP (4 * MIB)
/* a guest that resets itself sooner than this after its start ... */
#define QUICK_NS 1000000000ull
#define QUICK_RESETS 10 /* ... so often in a row is not let loose again */

const char *const vm_state_names[] = {
    [VM_OFF] = "off",       [VM_STARTING] = "starting", [VM_RUNNING] = "running",
    [VM_PAUSED] = "paused", [VM_STOPPING] = "stopping", [VM_CRASHED] = "crashed",
};

static uint64_t starts;

static const char *vm_name_of(const struct vm *vm) { return vm->config->name; }

/* ---- wishes: any CPU ---- */

static void ask_to_park(struct vm *vm)
{
    for (uint32_t i = 0; i < vm->nvcpus; i++)
        if (vm->vcpu[i])
            vcpu_request(vm->vcpu[i], REQ_PARK);
}

/*
 * The first reason stays: what follows is its consequence. But the end of a guest is none of a
 * reset that was asked for and has not begun.
 */
static void wish(struct vm *vm, uint32_t what, const char *why)
{
    spin_lock(&vm->lock);
    if (!(vm->pending & (VMP_OFF | VMP_KILL | VMP_EXITED)) &&
        !(what == VMP_RESET && vm->pending & VMP_RESET) && why)
        snprintf(vm->why, sizeof vm->why, "%s", why);
    __atomic_fetch_or(&vm->pending, what, __ATOMIC_SEQ_CST);
    spin_unlock(&vm->lock);
    ask_to_park(vm);
    event_post(&vm->lifecycle);
}

void vm_kill(struct vm *vm, const char *fmt, ...)
{
    char why[sizeof vm->why];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    wish(vm, VMP_KILL, why);
}

void vm_kill_error(struct vm *vm, const struct vcpu *v, const struct vcpu_exit *e, int err)
{
    assert_own_cpu(v);
    hv_assert(e->reason < EXIT_REASONS && err < 0);
    if (vm->why[0])
        wish(vm, VMP_KILL, NULL);
    else
        vm_kill(vm, "vCPU %u at %llx: a %s exit cannot be handled (error %d)", v->id,
                (unsigned long long)v->regs.pc, exit_name(v->vm, e->reason), -err);
}

void vm_request_reset(struct vm *vm, const char *why) { wish(vm, VMP_RESET, why); }

void vm_request_off(struct vm *vm, const char *why) { wish(vm, VMP_OFF, why); }

void vm_exited(struct vm *vm, int code)
{
    char why[48];

    snprintf(why, sizeof why, "debug-exit with code %d", code);
    vm->exit_code = code;
    wish(vm, VMP_EXITED, why);
}

/* ---- time ---- */

uint64_t vm_time_ns(const struct vm *vm)
{
    uint64_t paused = __atomic_load_n(&vm->paused_ns, __ATOMIC_RELAXED);

    return (paused ? paused : time_ns()) + (uint64_t)vm->time_offset_ns;
}

#define NS_PER_S 1000000000ull

/* Seconds and the rest apart, so that nothing overflows below 2^34 Hz. */
uint64_t vm_counter(const struct vm *vm)
{
    uint64_t ns = vm_time_ns(vm);

    return ns / NS_PER_S * vm->clock_hz + ns % NS_PER_S * vm->clock_hz / NS_PER_S;
}

uint64_t vm_counter_to_ns(const struct vm *vm, uint64_t count)
{
    uint64_t hz = vm->clock_hz, s = count / hz;

    if (s >= UINT64_MAX / NS_PER_S)
        return UINT64_MAX;
    return s * NS_PER_S + (count % hz * NS_PER_S + hz - 1) / hz;
}

uint64_t vm_time_to_host(const struct vm *vm, uint64_t guest_ns)
{
    uint64_t host = guest_ns - (uint64_t)vm->time_offset_ns;
    bool beyond = vm->time_offset_ns < 0 && host < guest_ns;

    return guest_ns == UINT64_MAX || beyond ? UINT64_MAX : host;
}

/* ---- building ---- */

/* vCPUs no longer run: they leave the scheduler before anything that they might touch goes away. */
static void unmake_machine(struct vm *vm)
{
    uint32_t n = vm->nvcpus;

    assert_cpu0();
    assert_parked(vm);
    for (uint32_t i = 0; i < n; i++)
        sched_remove(vm->vcpu[i]);
    vm->guest_ops->destroy(vm);
    vm->nvcpus = 0;
    for (uint32_t i = 0; i < n; i++) {
        vcpu_destroy(vm->vcpu[i]);
        vm->vcpu[i] = NULL;
    }
    if (vm->guest_ops->vintc->vm_fini)
        vm->guest_ops->vintc->vm_fini(vm);
    io_fini(vm);
    random_forget(&vm->random);
}

static int make_vcpus(struct vm *vm)
{
    hv_assert(vm->config->vcpus > 0 && vm->config->vcpus <= MAX_VCPUS);
    for (uint32_t i = 0; i < vm->config->vcpus; i++) {
        int err = vcpu_create(vm, i, &vm->vcpu[i]);

        if (err)
            return err;
        vm->nvcpus = i + 1;
    }
    return 0;
}

/* Everything but memory: also what a reset makes anew. */
static int make_machine(struct vm *vm)
{
    const struct vintc_ops *ic = vm->guest_ops->vintc;
    int err = io_init(vm);

    hv_assert(vm->nvcpus == 0);
    if (err)
        return err;
    err = ic->vm_init ? ic->vm_init(vm) : 0;
    if (err) {
        io_fini(vm);
        return err;
    }
    err = make_vcpus(vm);
    if (!err)
        err = vm->guest_ops->build(vm, vm->config);
    if (err)
        unmake_machine(vm);
    return err;
}

/* The guest is off: memory, and what outlives a reset (RAM disks). */
static void drop_memory(struct vm *vm)
{
    hv_assert(vm->nvcpus == 0);
    while (vm->guest_ops->release(vm))
        ;
    vm->ops->vm_fini(vm);
    gmem_fini(vm);
    charge_end(vm);
}

static int get_memory(struct vm *vm)
{
    int err = charge_begin(vm);

    hv_assert(vm->nvcpus == 0);
    if (err)
        return err;
    err = gmem_init(vm);
    if (err) {
        charge_end(vm);
        return err;
    }
    err = vm->ops->vm_init(vm);
    if (err) {
        gmem_fini(vm);
        charge_end(vm);
        return err;
    }
    err = vm->guest_ops->ram_layout(vm, vm->config);
    if (err)
        drop_memory(vm);
    return err;
}

static void vm_set_state(struct vm *vm, enum vm_state s)
{
    assert_cpu0();
    hv_assert(s <= VM_CRASHED);
    if (vm->state == s)
        return;
    __atomic_store_n(&vm->state, s, __ATOMIC_RELEASE);
    notice_post(NOTICE_GUEST_STATE, vm_name_of(vm), vm_state_names[s], vm->why);
}

static void no_reason(struct vm *vm, int err)
{
    if (!vm->why[0] && !charge_explain(vm))
        snprintf(vm->why, sizeof vm->why, "%s",
                 err == -ENOMEM ? "not enough free memory" : "its machine could not be made");
}

/* vm_start() and a reset end here. */
static void let_run(struct vm *vm)
{
    char size[16];

    hv_assert(vm->state == VM_STARTING && vm->nvcpus > 0);
    vm_set_state(vm, VM_RUNNING);
    vm->started_ns = time_ns();
    log_info("%s: running, %u vCPU%s, %s", vm_name_of(vm), vm->nvcpus, vm->nvcpus == 1 ? "" : "s",
             format_size(vm->config->memory, size, sizeof size));
    log_debug("%s: started in %llu us, of that %llu us to zero its memory", vm_name_of(vm),
              (unsigned long long)(vm->started_ns - vm->asked_ns) / 1000,
              (unsigned long long)vm->scrub_ns / 1000);
    vm->scrub_ns = 0;
    /* mostly the first alone, which starts the others: so it is last */
    for (uint32_t i = vm->nvcpus; i-- > 0;)
        if (vm->vcpu[i]->mp == MP_RUNNABLE)
            sched_wake(vm->vcpu[i]);
}

/* The same for one that was saved. It is paused until here: its clock stands at what was saved. */
static void let_go_on(struct vm *vm)
{
    vm->restore.phase = RESTORE_NO;
    vm->started_ns = time_ns();
    vm->scrub_ns = 0;
    vm_set_state(vm, VM_PAUSED);
    log_info("%s: restored in %llu ms", vm_name_of(vm),
             (unsigned long long)(vm->started_ns - vm->asked_ns) / 1000000);
    if (vm_resume(vm))
        log_err("%s: it stays paused", vm_name_of(vm));
}

static void begin_empty(struct vm *vm, enum vm_state then);

static void not_started(struct vm *vm, int err)
{
    no_reason(vm, err);
    vm->not_started = true;
    begin_empty(vm, VM_OFF);
}

static int build_step(struct vm *vm)
{
    int more;

    if (vm->restore.phase > RESTORE_BUILD)
        return restore_step(vm);
    more = vm->guest_ops->build_more ? vm->guest_ops->build_more(vm) : 0;
    if (more || !vm->restore.phase)
        return more;
    restore_begin(vm);
    return 1;
}

/* What takes long goes on in the next event. */
static void build_more(struct vm *vm)
{
    uint64_t from = time_ns();
    int more = build_step(vm);

    hv_assert(vm->state == VM_STARTING);
    share_pay(vm, from);
    vm->building = more > 0;
    if (more > 0) {
        if (more != BUILD_WAITS)
            event_post(&vm->lifecycle);
    } else if (more < 0) {
        unmake_machine(vm);
        not_started(vm, more);
    } else if (vm->restore.phase) {
        let_go_on(vm);
    } else {
        let_run(vm);
    }
}

static void build(struct vm *vm)
{
    int err;

    hv_assert(vm->state == VM_STARTING);
    vm->time_offset_ns = -(int64_t)time_ns();
    err = make_machine(vm);
    if (err)
        not_started(vm, err);
    else
        build_more(vm);
}

static const struct vcpu_ops *engine_of(const struct vm *vm, enum isa *isa)
{
    uint64_t len = 0;
    const void *file = file_find(vm->config->kernel, &len);

    *isa = guest_isa(vm->config, file, len);
    if (*isa == ISA_COUNT)
        *isa = engine_default_isa();
    return engine_for(*isa, 0);
}

const char *vm_why(const struct vm *vm, char *buf, size_t len)
{
    uint64_t now = time_ns(), again = vm->again_ns > now ? vm->again_ns - now : 0;
    int n = snprintf(buf, len, "%s%s",
                     vm->left_out                             ? "left out: "
                     : vm->held && vm->state == VM_PAUSED     ? "held: "
                     : vm->not_started && vm->state == VM_OFF ? "did not start: "
                                                              : "",
                     vm->why);
    if (vm->again_ns && n >= 0 && (size_t)n < len)
        n += snprintf(buf + n, len - (size_t)n, "%sstarts again in %llu s", n ? "; " : "",
                      (unsigned long long)again / 1000000000u + 1);
    if ((vm->removed || vm->next || vm->files_wait) && n >= 0 && (size_t)n < len)
        snprintf(buf + n, len - (size_t)n, "%s%s", n ? "; " : "",
                 vm->removed ? "removed from trivet.conf: it goes when it is off"
                             : "a change waits for its next start");
    return buf;
}

void vm_leave_out(struct vm *vm, const char *fmt, ...)
{
    va_list ap;

    assert_cpu0();
    hv_assert(vm->state == VM_OFF);
    vm->left_out = true;
    va_start(ap, fmt);
    vsnprintf(vm->why, sizeof vm->why, fmt, ap);
    va_end(ap);
}

/* The first steps, which need no waiting. */
static int begin_start(struct vm *vm)
{
    enum isa isa;
    int err;

    vm->ops = engine_of(vm, &isa);
    vm->guest_ops = guest_ops_for(isa);
    if (!vm->ops || !vm->guest_ops) {
        snprintf(vm->why, sizeof vm->why, "no engine on this machine runs its instruction set");
        return -ENOTSUP;
    }
    vm->clock_hz = vm->ops->clock_hz ? vm->ops->clock_hz() : time_cycles_hz();
    err = vm_check_files(vm);
    if (err)
        return err;
    err = get_memory(vm);
    if (err)
        no_reason(vm, err);
    return err;
}

int vm_start(struct vm *vm) { return vm_start_with(vm, files_generation()); }

int vm_start_with(struct vm *vm, uint64_t files)
{
    int err;

    assert_cpu0();
    if (vm->state != VM_OFF && vm->state != VM_CRASHED)
        return -EBUSY;
    if (vm->removed)
        snprintf(vm->why, sizeof vm->why, "trivet.conf names it no more");
    if (vm->left_out || vm->removed)
        return -ENOTSUP;
    vm_set_state(vm, VM_OFF);
    vm_take_change(vm);
    vm->why[0] = '\0';
    vm->exit_code = -1;
    vm->pending = vm->resets = vm->quick_resets = vm->ends = 0;
    vm->by_hand_ns = vm->not_before = vm->again_ns = 0;
    vm->held = vm->waits = false;
    vm->last_reset[0] = '\0';
    vm->not_started = vm->left = vm->scrubbed = false;
    vm->start_number = ++starts;
    vm->asked_ns = time_ns();
    vm->paused_ns = 0;
    vm->files = files;
    vm->files_wait = files != files_generation() && vm->files_wait;
    files_look_at(files);
    err = begin_start(vm);
    files_look_at(FILES_NEWEST);
    vm->not_started = err != 0;
    if (err)
        return err;
    vm_set_state(vm, VM_STARTING);
    gmem_settle(vm, &vm->lifecycle);
    return 0;
}

/* ---- the lifecycle event ---- */

static bool all_parked(const struct vm *vm)
{
    for (uint32_t i = 0; i < vm->nvcpus; i++)
        if (!(__atomic_load_n(&vm->vcpu[i]->requests, __ATOMIC_ACQUIRE) & REQ_PARKED))
            return false;
    return true;
}

/*
 * Memory is zeroed for one start after the other, so that the first guest soon runs. NULL: no start
 * has memory to zero. A reset is in nobody's way.
 */
static struct vm *next_to_scrub(void)
{
    struct vm *first = NULL;

    for (uint32_t i = 0; i < vm_count(); i++) {
        struct vm *vm = vm_by_index(i);

        if (vm->state == VM_STARTING && !vm->scrubbed &&
            (!first || vm->start_number < first->start_number))
            first = vm;
    }
    return first;
}

static void scrub_next(void)
{
    struct vm *next = next_to_scrub();

    if (next)
        event_post(&next->lifecycle);
}

static void scrub_done(struct vm *vm)
{
    if (vm->scrubbed)
        return;
    vm->scrubbed = true;
    scrub_next();
}

static bool scrub(struct vm *vm)
{
    uint64_t from = time_ns();
    bool more = gmem_scrub(vm, SCRUB_STEP);

    hv_assert(vm->state == VM_STARTING && vm->nvcpus == 0);
    vm->scrub_ns += time_ns() - from;
    share_pay(vm, from);
    return more;
}

static void end_empty(struct vm *vm)
{
    hv_assert(vm->left && vm->nvcpus == 0);
    drop_memory(vm);
    vm->emptying = false;
    vm_set_state(vm, vm->end_state);
    if (vm->not_started || vm->end_state == VM_CRASHED)
        log_err("%s: %s: %s", vm_name_of(vm), vm->not_started ? "did not start" : "crashed",
                vm->why);
    else
        log_info("%s: off: %s", vm_name_of(vm), vm->why[0] ? vm->why : "switched off");
    policy_ended(vm, vm->end_restarts && !vm->not_started && !vm->removed);
    vm_go_if_removed(vm);
    files_drop(vm_oldest_files());
}

/*
 * In pieces: its RAM is zeroed, and the RAM disks' memory given back. Then every CPU leaves its
 * view.
 */
static void vm_empty(struct vm *vm)
{
    uint64_t from = time_ns();
    bool more;

    hv_assert(vm->nvcpus == 0);
    if (vm->left) {
        if (gmem_settled(vm))
            end_empty(vm);
        return;
    }
    if (share_wait(vm, &vm->lifecycle))
        return;
    gmem_enter(&vm->gmem);
    more = gmem_scrub(vm, SCRUB_STEP) || vm->guest_ops->release(vm);
    share_pay(vm, from);
    if (more) {
        event_post(&vm->lifecycle);
        return;
    }
    gmem_set_zeroed(vm);
    vm->left = true;
    gmem_settle(vm, &vm->lifecycle);
}

static void begin_empty(struct vm *vm, enum vm_state then)
{
    hv_assert(vm->nvcpus == 0);
    vm->emptying = true;
    vm->held = false;
    vm->restore.phase = RESTORE_NO;
    vm->end_state = then;
    gmem_scrub_again(vm);
    vm_set_state(vm, VM_STOPPING);
    scrub_next();
    vm_empty(vm);
}

static void on_starting(struct vm *vm)
{
    if (!gmem_settled(vm))
        return;
    gmem_enter(&vm->gmem);
    if (vm->pending & ~(uint32_t)VMP_PAUSE) {
        if (vm->building && vm->guest_ops->quiesce(vm))
            return;
        if (vm->building)
            unmake_machine(vm);
        vm->building = false;
        begin_empty(vm, VM_OFF);
    } else if (time_ns() < vm->not_before) {
        event_at(&vm->lifecycle, vm->not_before);
    } else if ((!vm->scrubbed && vm != next_to_scrub()) || share_wait(vm, &vm->lifecycle)) {
        return;
    } else if (vm->building) {
        build_more(vm);
    } else if (scrub(vm)) {
        event_post(&vm->lifecycle);
    } else {
        scrub_done(vm);
        build(vm);
    }
}

static void vm_end(struct vm *vm, uint32_t wishes)
{
    vm->end_restarts =
        wishes & (VMP_KILL | VMP_EXITED | VMP_OFF) && policy_of(vm, wishes) == POLICY_RESTART;
    save_stop(vm);
    unmake_machine(vm);
    begin_empty(vm, wishes & VMP_KILL ? VM_CRASHED : VM_OFF);
}

/* A guest that does nothing but reset would keep CPU 0 busy with it. */
static bool resets_too_often(struct vm *vm)
{
    vm->quick_resets = time_ns() - vm->started_ns < QUICK_NS ? vm->quick_resets + 1 : 0;
    return vm->quick_resets > QUICK_RESETS;
}

static void vm_reset(struct vm *vm)
{
    if (resets_too_often(vm)) {
        char why[sizeof vm->why];

        snprintf(why, sizeof why, "it keeps resetting itself: %.48s", vm->why);
        snprintf(vm->why, sizeof vm->why, "%s", why);
        vm_end(vm, VMP_KILL);
        return;
    }
    log_info("%s: reset: %s", vm_name_of(vm), vm->why[0] ? vm->why : "asked for");
    memcpy(vm->last_reset, vm->why, sizeof vm->last_reset);
    policy_reset(vm);
    vm->held = false;
    vm->resets++;
    save_stop(vm);
    vm->asked_ns = time_ns();
    unmake_machine(vm);
    vm->why[0] = '\0';
    vm->paused_ns = 0;
    gmem_scrub_again(vm);
    vm_set_state(vm, VM_STARTING);
    event_post(&vm->lifecycle);
}

/* It stands still as it is: what it did can be looked at. */
static void hold(struct vm *vm)
{
    assert_parked(vm);
    save_stop(vm);
    vm->held = true;
    if (!vm->paused_ns)
        vm->paused_ns = time_ns();
    vm_set_state(vm, VM_PAUSED);
    log_warn("%s: held: %s", vm_name_of(vm), vm->why[0] ? vm->why : "switched off");
}

/* What ends a guest, or resets it, and what the policy makes of it. */
static void on_wishes(struct vm *vm, uint32_t wishes)
{
    enum policy policy = policy_of(vm, wishes);

    if (policy == POLICY_HOLD)
        hold(vm);
    else if (wishes & (VMP_KILL | VMP_EXITED | VMP_OFF) || policy == POLICY_STOP)
        vm_end(vm, wishes);
    else
        vm_reset(vm);
}

static void pause_now(struct vm *vm)
{
    assert_parked(vm);
    vm->paused_ns = time_ns();
    vm_set_state(vm, VM_PAUSED);
    log_info("%s: paused", vm_name_of(vm));
    save_paused(vm);
}

static void on_up(struct vm *vm)
{
    uint32_t wishes = __atomic_load_n(&vm->pending, __ATOMIC_SEQ_CST);

    if (vm->emptying) {
        vm_empty(vm);
        return;
    }
    if (!wishes)
        return;
    gmem_enter(&vm->gmem);
    ask_to_park(vm); /* those that a resume has just let go */
    /* A device whose reset goes on, or that has not come to a stand, still uses guest memory. */
    if (!all_parked(vm) ||
        (wishes & ~(uint32_t)VMP_PAUSE ? vm->guest_ops->quiesce(vm) : state_quiesce(vm))) {
        if ((wishes & (VMP_KILL | VMP_EXITED | VMP_OFF)) && vm->state != VM_STOPPING)
            vm_set_state(vm, VM_STOPPING);
        return;
    }
    __atomic_fetch_and(&vm->pending, ~wishes, __ATOMIC_SEQ_CST);
    if (wishes & (VMP_KILL | VMP_EXITED | VMP_OFF | VMP_RESET))
        on_wishes(vm, wishes);
    else if (vm->state == VM_RUNNING)
        pause_now(vm);
}

static void on_down(struct vm *vm) { vm->pending = 0; }

void vm_lifecycle(struct event *ev)
{
    static void (*const table[])(struct vm *) = {
        [VM_OFF] = on_down,  [VM_STARTING] = on_starting, [VM_RUNNING] = on_up,
        [VM_PAUSED] = on_up, [VM_STOPPING] = on_up,       [VM_CRASHED] = on_down,
    };
    struct vm *vm = container_of(ev, struct vm, lifecycle);

    assert_cpu0();
    hv_assert(vm->state < ARRAY_SIZE(table));
    files_look_at(vm->files);
    table[vm->state](vm);
    files_look_at(FILES_NEWEST);
}

/* ---- pause and resume ---- */

int vm_pause(struct vm *vm)
{
    assert_cpu0();
    if (vm->state != VM_RUNNING)
        return -EBUSY;
    wish(vm, VMP_PAUSE, NULL);
    return 0;
}

int vm_resume(struct vm *vm)
{
    assert_cpu0();
    if (vm->state != VM_PAUSED || vm->held || (vm->save.under_way && vm->save.phase != SAVE_LIVE))
        return -EBUSY;
    assert_parked(vm);
    gmem_enter(&vm->gmem);
    vm->stopped_ns = vm->paused_ns;
    vm->resumed_ns = time_ns();
    vm->time_offset_ns -= (int64_t)(vm->resumed_ns - vm->paused_ns);
    vm->paused_ns = 0;
    vm->save.stay = false;
    if (vm->guest_ops->resumed)
        vm->guest_ops->resumed(vm);
    state_resume(vm);
    vm_set_state(vm, VM_RUNNING);
    for (uint32_t i = 0; i < vm->nvcpus; i++) {
        __atomic_fetch_and(&vm->vcpu[i]->requests, ~(uint32_t)(REQ_PARK | REQ_PARKED),
                           __ATOMIC_SEQ_CST);
        vcpu_request(vm->vcpu[i], REQ_IRQ);
    }
    log_info("%s: resumed", vm_name_of(vm));
    event_post(&vm->lifecycle); /* a wish that came while it was paused */
    return 0;
}

int vm_power_button(struct vm *vm)
{
    assert_cpu0();
    if (vm->state != VM_RUNNING || !vm->guest_ops->power_button)
        return -ENOTSUP;
    return vm->guest_ops->power_button(vm);
}
