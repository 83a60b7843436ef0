/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about one guest, and the list of all. */
#include "mgmt.h"
#include "out.h"
#include <hv/assert.h>
#include <hv/console.h>
#include <hv/drivers.h>
#include <hv/power.h>
#include <hv/store_log.h>
#include <hv/store_volume.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <hv/words.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUTTON_TIMEOUT (30 * SECOND)
#define START_TIMEOUT (60 * SECOND)
#define BOOTING (30 * SECOND) /* a guest may still be on its way to listen to its button */

static const char *vms_name_of(const struct vm *vm) { return vm->config->name; }

static uint64_t run_time(const struct vm *vm)
{
    uint64_t ns = 0;

    for (uint32_t i = 0; i < vm->nvcpus; i++)
        ns += vm->vcpu[i] ? sched_ran_ns(vm->vcpu[i]) : 0;
    return ns;
}

static bool is_up(const struct vm *vm) { return vm->state != VM_OFF && vm->state != VM_CRASHED; }

void cmd_list(struct out *o, unsigned argc, char **argv)
{
    static const struct column cols[] = {
        { "name", "Guest", UNIT_NONE, false },    { "state", "State", UNIT_NONE, false },
        { "vcpus", "vCPUs", UNIT_NONE, true },    { "memory_bytes", "Memory", UNIT_BYTES, true },
        { "uptime_ns", "Up for", UNIT_NS, true }, { "cpu_ns", "CPU time", UNIT_NS, true },
        { "why", "", UNIT_NONE, false },
    };

    (void)argc;
    (void)argv;
    out_list(o, "guests", cols, ARRAY_SIZE(cols));
    for (uint32_t i = 0; i < vm_count(); i++) {
        const struct vm *vm = vm_by_index(i);
        char why[240];

        out_row(o);
        out_cell(o, vms_name_of(vm));
        out_cell(o, vm_state_names[vm->state]);
        out_cell_number(o, vm->config->vcpus);
        out_cell_number(o, vm->config->memory);
        out_cell_number(o, is_up(vm) ? vm_time_ns(vm) : 0);
        out_cell_number(o, run_time(vm));
        out_cell(o, vm_why(vm, why, sizeof why));
    }
    out_list_end(o);
    if (vm_count() == 0)
        out_line(o, "No guest is defined: write a [guest NAME] section into trivet.conf.");
}

/* People see no line where there is nothing to say; programs always find the field. */
static void text_or_nothing(struct out *o, const char *key, const char *label, const char *s)
{
    if (o->json || s[0])
        out_text(o, key, label, "%s", s);
}

static bool has_variables(const struct guest_config *g)
{
    return g->firmware[0] && g->isa != ISA_RISCV64; /* nothing of that is UEFI's */
}

/* The variables of a guest's firmware outlive its stop. */
static bool variables_are_kept(const struct vm *vm)
{
    return vm->variables == VARIABLES_NOT_ASKED ? store_volume_usable()
                                                : vm->variables == VARIABLES_KEPT;
}

static void info_files(struct out *o, const struct vm *vm)
{
    const struct guest_config *g = vm->config;

    text_or_nothing(o, "kernel", "Kernel", g->kernel);
    if (o->json || g->firmware[0])
        out_text(o, "firmware", "Firmware", "%s%s", g->firmware,
                 o->json || !has_variables(g) ? ""
                 : variables_are_kept(vm)     ? " (its variables are kept in the state volume)"
                 : store_volume_usable()      ? " (its variables are lost at stop: `log` says why)"
                                         : " (its variables are lost at stop: no state volume)");
    if (o->json) /* null: there are none */
        has_variables(g) ? out_number(o, "variables_kept", "", variables_are_kept(vm), UNIT_BOOL)
                         : out_null(o, "variables_kept");
    text_or_nothing(o, "initrd", "Initrd", g->initrd);
    text_or_nothing(o, "cmdline", "Command line", g->cmdline);
    if (!o->json) { /* JSON has them as lists below */
        for (unsigned i = 0; i < g->nmodules; i++)
            out_text(o, "", "Module", "%s %s", g->module[i].path, g->module[i].args);
        for (unsigned i = 0; i < g->ndisks; i++)
            out_text(o, "", "Disk", "%s%s%s", disk_prefix(g->disk[i].source), g->disk[i].path,
                     g->disk[i].ro ? " (read-only)" : "");
    }
}

static void info_lists(struct out *o, const struct guest_config *g)
{
    static const struct column modules[] = { { "path", "", UNIT_NONE, false },
                                             { "args", "", UNIT_NONE, false } };
    static const struct column disks[] = { { "path", "", UNIT_NONE, false },
                                           { "read_only", "", UNIT_BOOL, false } };

    if (!o->json)
        return;
    out_list(o, "modules", modules, ARRAY_SIZE(modules));
    for (unsigned i = 0; i < g->nmodules; i++) {
        out_row(o);
        out_cell(o, g->module[i].path);
        out_cell(o, g->module[i].args);
    }
    out_list_end(o);
    out_list(o, "disks", disks, ARRAY_SIZE(disks));
    for (unsigned i = 0; i < g->ndisks; i++) {
        char text[PATH_LEN + 16];

        snprintf(text, sizeof text, "%s%s", disk_prefix(g->disk[i].source), g->disk[i].path);
        out_row(o);
        out_cell(o, text);
        out_cell_number(o, g->disk[i].ro);
    }
    out_list_end(o);
}

void cmd_info(struct out *o, unsigned argc, char **argv)
{
    const struct vm *vm = vm_find(argv[1]);
    const struct guest_config *g = vm->config;
    char why[240], cpus[CPUS_TEXT];

    (void)argc;
    out_text(o, "name", "Guest", "%s", g->name);
    out_text(o, "state", "State", "%s", vm_state_names[vm->state]);
    text_or_nothing(o, "why", "Why", vm_why(vm, why, sizeof why));
    text_or_nothing(o, "unsaved", "Set, not saved", vm->unsaved);
    info_files(o, vm);
    out_number(o, "vcpus", "vCPUs", g->vcpus, UNIT_NONE);
    out_number(o, "weight", "Weight", g->weight, UNIT_NONE);
    if (!cpuset_is_empty(&g->cpus) || o->json)
        out_text(o, "cpu_mask", "On CPUs (mask)", "%s", format_cpus(&g->cpus, cpus, sizeof cpus));
    out_number(o, "memory_bytes", "Memory", g->memory, UNIT_BYTES);
    out_number(o, "hv_bytes", "Trivet's own", vm->charge[CHARGE_OVERHEAD].used, UNIT_BYTES);
    out_number(o, "hv_limit_bytes", "  at most", charge_limit(vm, CHARGE_OVERHEAD), UNIT_BYTES);
    out_number(o, "disk_bytes", "Disks' changes", vm->charge[CHARGE_DISK].used, UNIT_BYTES);
    out_number(o, "disk_limit_bytes", "  at most", charge_limit(vm, CHARGE_DISK), UNIT_BYTES);
    out_number(o, "worked_ns", "Work done for it", vm->share.worked_ns, UNIT_NS);
    out_number(o, "uptime_ns", "Up for", is_up(vm) ? vm_time_ns(vm) : 0, UNIT_NS);
    out_number(o, "cpu_ns", "CPU time", run_time(vm), UNIT_NS);
    out_number(o, "resets", "Resets", vm->resets, UNIT_NONE);
    text_or_nothing(o, "last_reset", "Last reset", vm->last_reset);
    out_number(o, "autostart", "Autostart", g->autostart, UNIT_BOOL);
    if (vm->exit_code >= 0)
        out_number(o, "exit_code", "Exit code", (uint64_t)vm->exit_code, UNIT_NONE);
    else
        out_null(o, "exit_code");
    info_lists(o, g);
}

/* Guests of another instruction set: what the translator did. */
static void stats_engine(struct out *o, const struct vm *vm)
{
    static const struct {
        const char *key, *label;
        enum unit unit;
    } shown[ENGINE_COUNTS] = {
        [ENGINE_INSNS] = { "instructions", "Instructions", UNIT_NONE },
        [ENGINE_COLD] = { "interpreted", "  interpreted", UNIT_NONE },
        [ENGINE_STEPS] = { "interpreted_within", "  within compiled code", UNIT_NONE },
        [ENGINE_UNITS] = { "units", "Units compiled", UNIT_NONE },
        [ENGINE_LIVE] = { "units_live", "  that are there", UNIT_NONE },
        [ENGINE_BYTES] = { "code_bytes", "  their code", UNIT_BYTES },
        [ENGINE_CHAINS] = { "chains", "Chains", UNIT_NONE },
        [ENGINE_ENTRIES] = { "code_entries", "Entries of compiled code", UNIT_NONE },
        [ENGINE_LOOKUPS] = { "lookups", "Jumps looked up", UNIT_NONE },
        [ENGINE_MISSES] = { "tlb_misses", "TLB misses", UNIT_NONE },
        [ENGINE_INVALIDATED] = { "invalidated", "Units invalidated", UNIT_NONE },
        [ENGINE_EVICTIONS] = { "evictions", "Evictions", UNIT_NONE },
        [ENGINE_COMPILED_NS] = { "compiled_ns", "Time in compiled code", UNIT_NS },
        [ENGINE_RUN_NS] = { "engine_ns", "  of", UNIT_NS },
    };
    uint64_t sum[ENGINE_COUNTS] = { 0 }, one[ENGINE_COUNTS];

    if (!vm->ops || !vm->ops->counts)
        return;
    for (uint32_t i = 0; i < vm->nvcpus; i++) {
        vm->ops->counts(vm->vcpu[i], one);
        for (unsigned k = 0; k < ENGINE_COUNTS; k++)
            sum[k] += one[k];
    }
    for (unsigned k = 0; k < ENGINE_COUNTS; k++)
        out_number(o, shown[k].key, shown[k].label, sum[k], shown[k].unit);
}

void cmd_stats(struct out *o, unsigned argc, char **argv)
{
    static const struct column cols[] = {
        { "exit", "Exit", UNIT_NONE, false },
        { "count", "Count", UNIT_NONE, true },
        { "mean_cycles", "Mean cycles", UNIT_NONE, true },
    };
    const struct vm *vm = vm_find(argv[1]);
    uint64_t entries = 0, irqs = 0, halts = 0;

    (void)argc;
    out_list(o, "exits", cols, ARRAY_SIZE(cols));
    for (unsigned r = 0; r < EXIT_REASONS; r++) {
        uint64_t count = 0, cycles = 0;

        for (uint32_t i = 0; i < vm->nvcpus; i++) {
            count += vm->vcpu[i]->stats.count[r];
            cycles += vm->vcpu[i]->stats.cycles[r];
        }
        if (count == 0)
            continue;
        out_row(o);
        out_cell(o, exit_name(vm, r));
        out_cell_number(o, count);
        out_cell_number(o, cycles / count);
    }
    out_list_end(o);
    for (uint32_t i = 0; i < vm->nvcpus; i++) {
        entries += vm->vcpu[i]->stats.entries;
        irqs += vm->vcpu[i]->stats.injected_irqs;
        halts += vm->vcpu[i]->stats.halts;
    }
    out_number(o, "entries", "Entries", entries, UNIT_NONE);
    out_number(o, "interrupts", "Interrupts", irqs, UNIT_NONE);
    out_number(o, "halts", "Halts", halts, UNIT_NONE);
    out_number(o, "input_lost_bytes", "Typed, but lost",
               vm->console ? console_input_lost(vm->console) : 0, UNIT_BYTES);
    stats_engine(o, vm);
}

/*
 * The end of a guest's output, as lines: printable ASCII and tabs, for anything else could steer
 * the terminal.
 */
static void console_tail(struct out *o, struct console *c)
{
    static const struct column cols[] = { { "text", "", UNIT_NONE, false } };
    static char tail[4096], line[512];
    size_t len = console_scrollback(c, tail, sizeof tail), n = 0;

    out_list(o, "lines", cols, 1);
    for (size_t i = 0; i <= len; i++) {
        if (i < len && tail[i] != '\n') {
            if (((tail[i] >= ' ' && tail[i] < 0x7f) || tail[i] == '\t') && n < sizeof line - 1)
                line[n++] = tail[i];
            continue;
        }
        line[n] = '\0';
        if (i < len || n > 0) {
            out_row(o);
            out_cell(o, line);
        }
        n = 0;
    }
    out_list_end(o);
}

void cmd_console(struct out *o, unsigned argc, char **argv)
{
    struct vm *vm = vm_find(argv[1]);

    if (argc == 3 && strcmp(argv[2], "--tail") != 0)
        out_error_code(o, OUT_USAGE, "`%.20s`: give --tail, or nothing", argv[2]);
    else if (!vm->console)
        out_error_code(o, OUT_STATE, "%s has no console yet; `start %s` first", vms_name_of(vm),
                       vms_name_of(vm));
    else if (argc == 3)
        console_tail(o, vm->console);
    else if (!session_attach(o, vm->console))
        out_error_code(o, OUT_STATE,
                       "no console can be shown here; `console %s --tail` prints what it said",
                       vms_name_of(vm));
}

/* ---- changes of state ---- */

static void say_state(struct out *o, const struct vm *vm)
{
    if (o->json) {
        out_text(o, "name", "", "%s", vms_name_of(vm));
        out_text(o, "state", "", "%s", vm_state_names[vm->state]);
        out_text(o, "why", "", "%s", vm->why);
    } else {
        out_line(o, "%s: %s%s%s", vms_name_of(vm), vm_state_names[vm->state],
                 vm->why[0] ? ", " : "", vm->why);
    }
}

static bool start_poll(struct out *o, struct wait *w)
{
    struct vm *vm = w->vm;

    if (vm->state == VM_STARTING || (vm->state == VM_STOPPING && vm->not_started)) {
        if (wait_progress_due(w))
            shell_progress(o, "%s: starting, %llu s", vms_name_of(vm), wait_seconds(w));
        if (time_ns() < w->deadline)
            return false;
    }
    if (vm->not_started && !is_up(vm))
        out_error(o, "%s did not start: %s", vms_name_of(vm), vm->why);
    else
        say_state(o, vm);
    return true;
}

void cmd_start(struct out *o, unsigned argc, char **argv)
{
    struct vm *vm = vm_find(argv[1]);
    int err;

    (void)argc;
    if (is_up(vm)) {
        out_error_code(o, OUT_STATE, "%s is already %s", vms_name_of(vm),
                       vm_state_names[vm->state]);
        return;
    }
    err = vm_start(vm);
    if (err)
        out_error(o, "%s cannot start: %s", vms_name_of(vm),
                  vm->why[0] ? vm->why : error_text(err));
    else
        wait_for(o, vm, START_TIMEOUT, start_poll);
}

/* Who is on the way down already, by force or by itself, needs no more force. */
static void stop_late(struct out *o, const struct vm *vm, unsigned long long seconds)
{
    const char *name = vms_name_of(vm);

    if (vm->state == VM_STOPPING)
        out_error_code(o, OUT_TIMEOUT,
                       "%s is still stopping after %llu s; `list` shows when it is off", name,
                       seconds);
    else
        out_error_code(o, OUT_TIMEOUT,
                       "%s did not power off within %llu s; `stop %s --force` ends it", name,
                       seconds, name);
}

static const char *stop_waits_for(const struct vm *vm)
{
    if (vm->state != VM_STOPPING)
        return "for it to power off";
    return vm->emptying ? "until its memory is zeroed and free" : "for its vCPUs and devices";
}

static bool stop_poll(struct out *o, struct wait *w)
{
    struct vm *vm = w->vm;

    if (!is_up(vm)) {
        say_state(o, vm);
        return true;
    }
    if (time_ns() >= w->deadline) {
        stop_late(o, vm, wait_seconds(w));
        return true;
    }
    if (wait_progress_due(w))
        shell_progress(o, "%s: waiting %s, %llu s", vms_name_of(vm), stop_waits_for(vm),
                       wait_seconds(w));
    return false;
}

/* `stop --wait`: the button is pressed as soon as somebody listens. */
static bool button_poll(struct out *o, struct wait *w)
{
    struct vm *vm = w->vm;

    if (is_up(vm) && vm_power_button(vm) == 0) {
        shell_progress(o, "%s: its power button is pressed", vms_name_of(vm));
        wait_for(o, vm, BUTTON_TIMEOUT, stop_poll);
        return false;
    }
    if (!is_up(vm) || time_ns() >= w->deadline)
        return stop_poll(o, w);
    if (wait_progress_due(w))
        shell_progress(o, "%s: waiting until it listens to its power button, %llu s",
                       vms_name_of(vm), wait_seconds(w));
    return false;
}

/* Nobody listens to the button. */
static void no_button(struct out *o, const struct vm *vm)
{
    const char *name = vms_name_of(vm);

    if (vm->state == VM_STARTING || vm_time_ns(vm) < BOOTING)
        out_error_code(
            o, OUT_STATE,
            "%s is still starting and does not listen to its power button; `stop %s --wait` "
            "waits until it does, `stop %s --force` ends it",
            name, name, name);
    else
        out_error_code(o, OUT_STATE,
                       "%s does not listen to a power button; `stop %s --force` ends it", name,
                       name);
}

void cmd_stop(struct out *o, unsigned argc, char **argv)
{
    struct vm *vm = vm_find(argv[1]);
    bool force = argc == 3 && strcmp(argv[2], "--force") == 0;
    bool patient = argc == 3 && strcmp(argv[2], "--wait") == 0;

    if (!is_up(vm) && vm_stay_down(vm)) {
        say_state(o, vm); /* it would have started by itself */
        return;
    }
    if (argc == 3 && !force && !patient)
        out_error_code(o, OUT_USAGE, "`%.20s`: give --force, --wait, or nothing", argv[2]);
    else if (!is_up(vm))
        out_error_code(o, OUT_STATE, "%s is not running (%s)", vms_name_of(vm),
                       vm_state_names[vm->state]);
    else if (!force && vm->state == VM_PAUSED)
        out_error_code(
            o, OUT_STATE,
            "%s is paused and cannot see its power button; `resume %s` first, or `stop %s --force`",
            vms_name_of(vm), vms_name_of(vm), vms_name_of(vm));
    else if (!force && !patient && vm_power_button(vm))
        no_button(o, vm);
    if (o->failed)
        return;
    vm_by_hand(vm);
    if (force)
        vm_request_off(vm, "stopped from the console");
    wait_for(o, vm, patient ? START_TIMEOUT : BUTTON_TIMEOUT, patient ? button_poll : stop_poll);
}

/*
 * Done when it runs again, even if it was held at once since then, or is down for another reason.
 */
static bool reset_poll(struct out *o, struct wait *w)
{
    struct vm *vm = w->vm;
    bool done = vm->resets != w->resets &&
                (vm->state == VM_RUNNING || (vm->held && vm->state == VM_PAUSED));

    if (!done && is_up(vm) && time_ns() < w->deadline) {
        if (wait_progress_due(w))
            shell_progress(o, "%s: resetting, %llu s", vms_name_of(vm), wait_seconds(w));
        return false;
    }
    if (!is_up(vm))
        out_error(o, "%s is down: %s", vms_name_of(vm), vm->why);
    else if (!done)
        out_error_code(o, OUT_TIMEOUT, "%s: the reset is not over after %llu s", vms_name_of(vm),
                       wait_seconds(w));
    else
        say_state(o, vm);
    return true;
}

void cmd_reset(struct out *o, unsigned argc, char **argv)
{
    struct vm *vm = vm_find(argv[1]);
    struct wait *w;

    (void)argc;
    if (vm->state != VM_RUNNING && !(vm->held && vm->state == VM_PAUSED)) {
        out_error_code(o, OUT_STATE, "%s is not running (%s)", vms_name_of(vm),
                       vm_state_names[vm->state]);
        return;
    }
    w = wait_for(o, vm, START_TIMEOUT, reset_poll);
    w->resets = vm->resets;
    vm_by_hand(vm);
    vm_request_reset(vm, "reset from the console");
}

static bool pause_poll(struct out *o, struct wait *w)
{
    if (w->vm->state == VM_RUNNING && time_ns() < w->deadline)
        return false;
    say_state(o, w->vm);
    return true;
}

void cmd_pause(struct out *o, unsigned argc, char **argv)
{
    struct vm *vm = vm_find(argv[1]);

    (void)argc;
    if (vm_pause_to_stay(vm))
        out_error_code(o, OUT_STATE, "%s is not running (%s)", vms_name_of(vm),
                       vm_state_names[vm->state]);
    else
        wait_for(o, vm, 5 * SECOND, pause_poll);
}

void cmd_resume(struct out *o, unsigned argc, char **argv)
{
    struct vm *vm = vm_find(argv[1]);

    (void)argc;
    if (vm->state == VM_PAUSED && vm->held)
        out_error_code(o, OUT_STATE, "%s is held (%s); `reset %s` or `stop %s --force` ends that",
                       vms_name_of(vm), vm->why, vms_name_of(vm), vms_name_of(vm));
    else if (vm->state == VM_PAUSED && vm->save.under_way && vm->save.phase != SAVE_LIVE)
        out_error_code(o, OUT_STATE, "%s is being saved", vms_name_of(vm));
    else if (vm->state != VM_PAUSED || vm_resume(vm))
        out_error_code(o, OUT_STATE, "%s is not paused (%s)", vms_name_of(vm),
                       vm_state_names[vm->state]);
    else
        say_state(o, vm);
}

/* ---- the end ---- */

struct ending {
    void (*end)(void);
    const char *what;
};

static unsigned count_up(void)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < vm_count(); i++)
        n += is_up(vm_by_index(i));
    return n;
}

static void press_or_end(struct vm *vm, bool force)
{
    (void)vm_stay_down(vm);
    if (!is_up(vm))
        return;
    vm_by_hand(vm);
    if (force || vm->state != VM_RUNNING || vm_power_button(vm))
        vm_request_off(vm, "the machine is being switched off");
}

static bool end_poll(struct out *o, struct wait *w)
{
    unsigned up = count_up();

    if (up > 0 && !w->forced && time_ns() >= w->deadline) {
        shell_progress(o, "%u guests did not power off within 20 s and are ended", up);
        w->forced = true;
        for (uint32_t i = 0; i < vm_count(); i++)
            press_or_end(vm_by_index(i), true);
    }
    if (up > 0) {
        if (wait_progress_due(w))
            shell_progress(o, "waiting for %u %s to power off", up, up == 1 ? "guest" : "guests");
        return false;
    }
    if (!store_log_saved() || (store_volume(NULL) && !store_idle(store_volume(NULL))))
        return false; /* each of its requests to the disk ends in bounded time */
    shell_progress(o, "%s", w->ending->what);
    drivers_shutdown();
    console_drain();
    w->ending->end();
    return true;
}

static void end_machine(struct out *o, unsigned argc, char **argv, const struct ending *ending)
{
    unsigned up = count_up();
    struct wait *w;

    if (argc == 2 && strcmp(argv[1], "--yes") != 0) {
        out_error_code(o, OUT_USAGE, "`%.20s`: give --yes, or nothing", argv[1]);
        return;
    }
    if (up > 0 && argc == 1) {
        out_error_code(o, OUT_STATE, "%u %s up; `%s --yes` stops %s first", up,
                       up == 1 ? "guest is" : "guests are", argv[0], up == 1 ? "it" : "them");
        return;
    }
    log_info("by command: %s", ending->what);
    store_log_end();
    for (uint32_t i = 0; i < vm_count(); i++)
        press_or_end(vm_by_index(i), false);
    w = wait_for(o, NULL, 20 * SECOND, end_poll);
    w->ending = ending;
    w->forced = false;
}

void cmd_reboot(struct out *o, unsigned argc, char **argv)
{
    static const struct ending reboot = { hv_reboot, "restarting the machine" };

    end_machine(o, argc, argv, &reboot);
}

void cmd_poweroff(struct out *o, unsigned argc, char **argv)
{
    static const struct ending poweroff = { hv_poweroff, "switching the machine off" };

    end_machine(o, argc, argv, &poweroff);
}
