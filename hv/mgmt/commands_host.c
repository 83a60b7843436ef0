/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the machine and Trivet itself, and the table of all commands. */
#include "mgmt.h"
#include "out.h"
#include "session.h"
#include <hv/config.h>
#include <hv/config_help.h>
#include <hv/files.h>
#include <hv/heap.h>
#include <hv/log.h>
#include <hv/mitigations.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/power.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/version.h>
#include <hv/vm.h>
#include <hv/words.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const log_words[] = { "err", "warn",  "info",       "debug",
                                         "all", "level", "--previous", NULL };
static const char *const on_off[] = { "on", "off", NULL };
static const char *const capture_words[] = { "--stop", "--show", "--drop", NULL };
static const char *const config_words[] = { "check", "show", NULL };
static const char *const cpus_words[] = { "--mitigations", "--clear", NULL };
static const char *const pci_words[] = { "explain", NULL };
static const char *const stop_words[] = { "--force", "--wait", NULL };
static const char *const tail_words[] = { "--tail", NULL };
static const char *const vm_words[] = { "save", "restore", "saved", "drop", "sizes", NULL };
static const char *const yes_words[] = { "--yes", NULL };

const struct command commands[] = {
    { "help", "[COMMAND|KEY], or config KEY",
      "what the commands and the keys of trivet.conf do; config: a key that has a command's name",
      "help passthrough", cmd_help, NULL, 0, 0, 2 },
    { "list", "", "the guests and their states", "list", cmd_list, NULL, 0, 0, 0 },
    { "info", "NAME", "all about one guest", "info debian", cmd_info, NULL, 1, 1, 1 },
    { "start", "NAME", "start a guest", "start debian", cmd_start, NULL, 1, 1, 1 },
    { "stop", "NAME [--force|--wait]",
      "press a guest's power button; --wait: once it listens; --force ends it at once",
      "stop debian", cmd_stop, stop_words, 1, 1, 2 },
    { "reset", "NAME", "restart a guest as its reset button would", "reset debian", cmd_reset, NULL,
      1, 1, 1 },
    { "set", "NAME KEY=VALUE", "a key of trivet.conf for a guest's next start; not saved",
      "set debian memory=512M", cmd_set, NULL, 1, 2, MAX_ARGS - 1 },
    { "reload", "",
      "read trivet.conf and its files anew: new guests appear, changed ones change at their next "
      "start, and one with an error changes nothing",
      "reload", cmd_reload, NULL, 0, 0, 0 },
    { "pause", "NAME", "halt a guest's CPUs and its clock", "pause debian", cmd_pause, NULL, 1, 1,
      1 },
    { "resume", "NAME", "go on after a pause", "resume debian", cmd_resume, NULL, 1, 1, 1 },
    { "vm", "save|restore|drop|sizes NAME, or saved",
      "save a guest into memory; start it from there; drop that; what its state takes; list them",
      "vm save debian", cmd_vm, vm_words, 2, 1, 2 },
    { "console", "NAME [--tail]", "a guest's console (Ctrl-] returns), or the end of its output",
      "console debian", cmd_console, tail_words, 1, 1, 2 },
    { "log", "[LEVEL|all|--previous], or level LEVEL",
      "the last 100 lines of the log, or all that are kept; the run before this; which lines are "
      "shown as they come",
      "log warn", cmd_log, log_words, 0, 0, 2 },
    { "cpus", "[--mitigations|--clear]",
      "the host's CPUs; what is done against speculation; or count long stretches anew",
      "cpus --mitigations", cmd_cpus, cpus_words, 0, 0, 1 },
    { "memory", "", "what the host's memory is used for", "memory", cmd_memory, NULL, 0, 0, 0 },
    { "hardware", "", "one page about this machine, for a report", "hardware", cmd_hardware, NULL,
      0, 0, 0 },
    { "pci", "[explain ADDRESS]",
      "the host's PCI devices; or who has one, what it cannot be kept apart from, and why",
      "pci explain 03:00.0", cmd_pci, pci_words, 0, 0, 2 },
    { "iommu", "", "IOMMUs, what each device reaches, and what was refused", "iommu", cmd_iommu,
      NULL, 0, 0, 0 },
    { "disks", "", "the host's disks and partitions, and who holds them", "disks", cmd_disks, NULL,
      0, 0, 0 },
    { "state", "", "the state volume: what it keeps over a reboot, free space and wear", "state",
      cmd_state, NULL, 0, 0, 0 },
    { "screenshot", "NAME", "a guest's screen (`screen = yes`) as a PNG file in the state volume",
      "screenshot web", cmd_screenshot, NULL, 1, 1, 1 },
    { "nets", "", "switches, their ports, and what went through them", "nets", cmd_nets, NULL, 0, 0,
      0 },
    { "nics", "", "the machine's network devices, and who uses them", "nics", cmd_nics, NULL, 0, 0,
      0 },
    { "capture", "NET[:PORT] | --stop|--show|--drop",
      "keep a switch's frames as a pcap file; print it in base64", "capture lan", cmd_capture,
      capture_words, 0, 1, 1 },
    { "stats", "NAME", "a guest's exits by reason, with mean cycles; what the translator did",
      "stats debian", cmd_stats, NULL, 1, 1, 1 },
    { "config", "check|show", "check trivet.conf again, or show it", "config check", cmd_config,
      config_words, 0, 1, 1 },
    { "json", "on|off", "answers as one JSON object a line, no echo and no prompt", "json on",
      cmd_json, on_off, 0, 1, 1 },
    { "date", "", "the machine's clock, in UTC", "date", cmd_date, NULL, 0, 0, 0 },
    { "clear", "", "clear the screen, and ask the terminal how wide it is", "clear", cmd_clear,
      NULL, 0, 0, 0 },
    { "exit", "", "says how to leave what", "exit", cmd_exit, NULL, 0, 0, 0 },
    { "version", "", "version, CPU and engine", "version", cmd_version, NULL, 0, 0, 0 },
    { "reboot", "[--yes]", "stop the guests and restart the machine", "reboot", cmd_reboot,
      yes_words, 0, 0, 1 },
    { "poweroff", "[--yes]", "stop the guests and switch the machine off", "poweroff", cmd_poweroff,
      yes_words, 0, 0, 1 },
};
const unsigned ncommands = ARRAY_SIZE(commands);

static void help_all(struct out *o)
{
    static const struct column cols[] = {
        { "command", "", UNIT_NONE, false },
        { "args", "", UNIT_NONE, false },
        { "help", "", UNIT_NONE, false },
    };

    out_list(o, "commands", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; i < ncommands; i++) {
        out_row(o);
        out_cell(o, commands[i].name);
        out_cell(o, commands[i].args);
        out_cell(o, commands[i].help);
    }
    out_list_end(o);
    out_line(
        o,
        "`help COMMAND` gives an example. Tab completes, the arrow keys recall, Ctrl-R searches, "
        "Ctrl-G or Esc Esc drops the line.");
}

static void help_keys(struct out *o)
{
    static const struct column cols[] = {
        { "section", "Section", UNIT_NONE, false }, { "key", "Key", UNIT_NONE, false },
        { "values", "Values", UNIT_NONE, false },   { "default", "Default", UNIT_NONE, false },
        { "repeats", "Repeats", UNIT_BOOL, false }, { "help", "", UNIT_NONE, false },
        { "example", "", UNIT_NONE, false },
    };
    struct config_key k;

    out_list(o, "keys", cols, o->json ? ARRAY_SIZE(cols) : 4);
    for (unsigned i = 0; config_key(i, &k); i++) {
        out_row(o);
        out_cell(o, k.section);
        out_cell(o, k.name);
        out_cell(o, k.values);
        out_cell(o, k.normal);
        if (!o->json)
            continue;
        out_cell_number(o, k.repeats);
        out_cell(o, k.help);
        out_cell(o, config_example(k.name) ? config_example(k.name) : "");
    }
    out_list_end(o);
    out_line(o, "`help KEY` explains a key, `help config KEY` one that has a command's name.");
}

/* False: there is no such key. */
static bool help_known_key(struct out *o, const char *name)
{
    const char *example = config_example(name);
    struct config_key k;
    unsigned n = 0;

    while (config_key(n, &k) && strcmp(k.name, name) != 0)
        n++;
    if (!config_key(n, &k))
        return false;
    out_text(o, "section", "Section", "[%s]", k.section);
    out_text(o, "usage", "Usage", "%s = %s%s", k.name, k.values,
             k.repeats ? "   (may be repeated)" : "");
    out_text(o, "help", "It is", "%s", k.help);
    out_text(o, "default", "Default", "%s", k.normal);
    out_text(o, "example", "Example", "%s", example ? example : "");
    return true;
}

static void help_key(struct out *o, const char *name)
{
    const char *names[64], *near;
    struct config_key k;
    unsigned n = 0;

    if (help_known_key(o, name))
        return;
    for (; n < ARRAY_SIZE(names) && config_key(n, &k); n++)
        names[n] = k.name;
    near = nearest_word(name, names, n);
    if (near)
        out_error_code(o, OUT_UNKNOWN, "trivet.conf has no key `%.40s`; did you mean `%s`?", name,
                       near);
    else
        out_error_code(o, OUT_UNKNOWN, "trivet.conf has no key `%.40s`; `help config` lists them",
                       name);
}

static void help_command(struct out *o, const struct command *c)
{
    out_text(o, "usage", "Usage", "%s %s", c->name, c->args);
    out_text(o, "help", "It does", "%s", c->help);
    out_text(o, "example", "Example", "%s", c->example);
    if (strcmp(c->name, "config") == 0)
        help_keys(o);
}

void cmd_help(struct out *o, unsigned argc, char **argv)
{
    const struct command *c = argc == 1 ? NULL : find_command(argv[1]);

    if (argc == 1)
        help_all(o);
    else if (argc == 3 && strcmp(argv[1], "config") == 0)
        help_key(o, argv[2]);
    else if (c)
        help_command(o, c); /* `help vm sizes`, too */
    else if (argc == 3)
        out_error_code(o, OUT_USAGE,
                       "`help config %.40s` explains a key of trivet.conf; `help %.40s` a command",
                       argv[2], argv[1]);
    else if (!help_known_key(o, argv[1]))
        unknown_command(o, argv[1]);
}

/* ---- the machine ---- */

static uint64_t idle_time(const struct percpu *cpu, uint64_t now)
{
    uint64_t since = __atomic_load_n(&cpu->idle_since, __ATOMIC_RELAXED);

    return cpu->idle_ns + (since && since < now ? now - since : 0);
}

/* One row a class, in the words of Linux's /sys/devices/system/cpu/vulnerabilities. */
static void show_mitigations(struct out *o)
{
    static const struct column cols[] = {
        { "class", "Class", UNIT_NONE, false },
        { "state", "What it is and what is done", UNIT_NONE, false },
    };
    const struct mitigation_report *m = mitigations_get();

    out_list(o, "mitigations", cols, ARRAY_SIZE(cols));
    for (unsigned c = 0; c < MIT_COUNT; c++) {
        out_row(o);
        out_cell(o, mitigation_name(c));
        out_cell(o, m->class[c].text[0] ? m->class[c].text : "Unknown");
    }
    out_list_end(o);
}

static void show_cpus(struct out *o)
{
    static const struct column cols[] = {
        { "cpu", "CPU", UNIT_NONE, true },
        { "hw_id", "Hardware ID", UNIT_NONE, true },
        { "guest_ns", "In guests", UNIT_NS, true },
        { "idle_ns", "Idle", UNIT_NS, true },
        { "guest_permille", "Guests", UNIT_PERMILLE, true },
        { "core", "Core", UNIT_NONE, true },
        { "forced_idle_ns", "Idle by force", UNIT_NS, true },
        { "current", "Runs", UNIT_NONE, false },
        { "long", "Over 5 ms", UNIT_NONE, true },
        { "longest_ns", "Longest", UNIT_NS, true },
    };
    uint64_t up = time_ns();

    out_list(o, "cpus", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; i < cpu_count; i++) {
        const struct percpu *cpu = &percpus[i];
        const struct vcpu *v = __atomic_load_n(&cpu->current, __ATOMIC_RELAXED);
        char what[NAME_LEN + 16] = "-";
        struct sched_stats s;

        sched_cpu_stats(i, &s);
        if (v)
            snprintf(what, sizeof what, "%s vCPU %u", v->vm->config->name, v->id);
        else if (i == 0)
            snprintf(what, sizeof what, "this shell");
        else if (s.parked)
            snprintf(what, sizeof what, "parked");
        out_row(o);
        out_cell_number(o, cpu->id);
        out_cell_number(o, cpu->hw_id);
        out_cell_number(o, cpu->guest_ns);
        out_cell_number(o, idle_time(cpu, up));
        out_cell_number(o, up ? cpu->guest_ns * 1000 / up : 0);
        out_cell_number(o, s.core);
        out_cell_number(o, s.forced_ns);
        out_cell(o, what);
        out_cell_number(o, __atomic_load_n(&cpu->stretches.count, __ATOMIC_RELAXED));
        out_cell_number(o, __atomic_load_n(&cpu->stretches.longest_ns, __ATOMIC_RELAXED));
    }
    out_list_end(o);
}

void cmd_cpus(struct out *o, unsigned argc, char **argv)
{
    bool clear = argc > 1 && strcmp(argv[1], "--clear") == 0;
    bool mitigations = argc > 1 && strcmp(argv[1], "--mitigations") == 0;

    if (argc > 1 && !clear && !mitigations) {
        out_error(o, "`cpus %.20s`: give `cpus`, `cpus --mitigations` or `cpus --clear`", argv[1]);
        return;
    }
    out_text(o, "smt", "SMT", "%s", sched_smt_text());
    if (mitigations)
        show_mitigations(o);
    else
        show_cpus(o);
    if (clear)
        stretches_clear();
}

/* What Trivet has taken on behalf of guests, disks' changes aside. */
static uint64_t for_guests(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < vm_count(); i++)
        sum += __atomic_load_n(&vm_by_index(i)->charge[CHARGE_OVERHEAD].used, __ATOMIC_RELAXED);
    return sum;
}

void cmd_memory(struct out *o, unsigned argc, char **argv)
{
    struct pmm_stats s;
    uint64_t used, mapped;

    (void)argc;
    (void)argv;
    pmm_stats(&s);
    heap_stats(&used, &mapped);
    out_number(o, "total_bytes", "Memory", s.total, UNIT_BYTES);
    out_number(o, "free_bytes", "Free", s.free, UNIT_BYTES);
    out_number(o, "promised_bytes", "  set aside", s.promised, UNIT_BYTES);
    out_number(o, "guest_bytes", "Guests' RAM", s.by_owner[PMM_GUEST], UNIT_BYTES);
    out_number(o, "disk_bytes", "Disks' changes", s.by_owner[PMM_FILE], UNIT_BYTES);
    out_number(o, "file_bytes", "Stick's files", files_bytes(), UNIT_BYTES);
    out_number(o, "saved_bytes", "Saved guests", s.by_owner[PMM_SAVED], UNIT_BYTES);
    out_number(o, "pt_bytes", "Page tables", s.by_owner[PMM_PT], UNIT_BYTES);
    out_number(o, "heap_bytes", "Heap", s.by_owner[PMM_HEAP], UNIT_BYTES);
    out_number(o, "heap_used_bytes", "  of it in use", used, UNIT_BYTES);
    out_number(o, "hv_bytes", "Trivet, other", s.by_owner[PMM_HV], UNIT_BYTES);
    out_number(o, "overhead_bytes", "Taken for guests", for_guests(), UNIT_BYTES);
}

/* All of them, the best first. */
static const char *engine_names(char *buf, size_t size)
{
    const struct vcpu_ops *ops;
    size_t len = 0;

    buf[0] = '\0';
    for (unsigned i = 0; (ops = engine_at(i)) != NULL && len < size; i++)
        len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "", ops->name);
    return buf[0] ? buf : "none";
}

void cmd_version(struct out *o, unsigned argc, char **argv)
{
    char engines[64], id[BUILD_ID_MAX];

    (void)argc;
    (void)argv;
    version_build_id(id, sizeof id);
    out_text(o, "version", "Trivet", "%s", trivet_version);
    out_text(o, "build_id", "Build ID", "%s", id);
    out_text(o, "cpu", "CPU", "%s", host_cpu_name());
    out_text(o, "engine", "Engine", "%s", engine_names(engines, sizeof engines));
    out_number(o, "cpus", "CPUs", cpu_count, UNIT_NONE);
    out_number(o, "uptime_ns", "Up for", time_ns(), UNIT_NS);
}

void cmd_json(struct out *o, unsigned argc, char **argv)
{
    bool on = strcmp(argv[1], "on") == 0;

    (void)argc;
    if (!on && strcmp(argv[1], "off") != 0) {
        out_error_code(o, OUT_USAGE, "`%.20s`: give `json on` or `json off`", argv[1]);
        return;
    }
    if (on != o->json) { /* the answer is already in the new form */
        char id[OUT_ID];

        memcpy(id, o->id, sizeof id);
        out_free(o);
        out_begin(o, on, id, "json");
    }
    session_set_json(session_of(o), on);
    out_line(o, "Answers are for people again.");
}

/* ---- configuration ---- */

static void show_errors(struct out *o, const struct config *c)
{
    static const struct column cols[] = { { "line", "Line", UNIT_NONE, true },
                                          { "error", "What is wrong", UNIT_NONE, false } };

    out_list(o, "errors", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; i < c->nerrors; i++) {
        out_row(o);
        out_cell_number(o, c->error[i].line);
        out_cell(o, c->error[i].text);
    }
    out_list_end(o);
}

static void config_check(struct out *o)
{
    struct config_limits limits;
    struct config c;
    int n;

    config_limits_now(&limits);
    n = config_parse(config_text ? config_text : "", config_text_len, &limits, &c);
    if (n < 0) {
        out_error_code(o, OUT_NO_MEMORY, "not enough memory to read trivet.conf");
        return;
    }
    if (n > 0 || o->json)
        show_errors(o, &c);
    if (c.errors_untold)
        out_line(o, "... and %u more errors", c.errors_untold);
    out_line(o, "trivet.conf: %u guests, %d %s", c.nguests, n, n == 1 ? "error" : "errors");
    config_free(&c);
}

static void config_show(struct out *o)
{
    static const struct column cols[] = { { "text", "", UNIT_NONE, false } };
    const char *s = config_text, *end = config_text + config_text_len;
    char line[400];

    out_list(o, "lines", cols, 1);
    while (s && s < end) {
        const char *nl = memchr(s, '\n', (size_t)(end - s));
        const char *stop = nl ? nl : end;
        size_t n = (size_t)min_u64((uint64_t)(stop - s), sizeof line - 1);

        memcpy(line, s, n);
        line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
        out_row(o);
        out_cell(o, line);
        s = stop + 1;
    }
    out_list_end(o);
}

void cmd_config(struct out *o, unsigned argc, char **argv)
{
    (void)argc;
    if (strcmp(argv[1], "check") == 0)
        config_check(o);
    else if (strcmp(argv[1], "show") == 0)
        config_show(o);
    else
        out_error_code(o, OUT_USAGE, "`config %.20s`: give `config check` or `config show`",
                       argv[1]);
}
