/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reference: writes the reference pages of the documentation from the tables in the code, so that
 * they cannot go stale. `reference config` is the keys of trivet.conf; `reference console` is the
 * commands, each with its answer for programs from a shell that runs here, in an ordinary program,
 * over a machine with two guests that do not run; `reference msrs` is the MSRs of x86 guests.
 */
#include "arch/host/host.h"
#include <arch/cpu.h>
#include "boot/boot_info.h"
#include "hv/guest/x86_64/x86.h"
#include "hv/mgmt/mgmt.h"
#include <hv/config.h>
#include <hv/console.h>
#include <hv/event.h>
#include <hv/files.h>
#include <hv/mgmt.h>
#include <hv/start.h>
#include <hv/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- trivet.conf ---- */

/* A cell of a table: `|` would end it. */
static void cell(const char *s)
{
    for (; *s; s++)
        printf(*s == '|' ? "\\|" : "%c", *s);
}

static void section_of_keys(const char *section)
{
    struct config_key k;

    printf("\n## [%s]\n\n| key | values | default | meaning |\n|---|---|---|---|\n", section);
    for (unsigned i = 0; config_key(i, &k); i++) {
        if (strcmp(k.section, section) != 0)
            continue;
        printf("| `%s`%s | ", k.name, k.repeats ? " (may be repeated)" : "");
        cell(k.values);
        printf(" | ");
        cell(k.normal);
        printf(" | ");
        cell(k.help);
        printf(" |\n");
    }
}

static void config_page(void)
{
    printf(
        "# trivet.conf\n\n"
        "An INI file at the top of the stick. A line is `key = value`. A line that begins with `;` "
        "or `#` is a comment,\n"
        "and so is what follows a blank and `;`. Sizes are numbers with K, M, G or T. Every "
        "mistake is told at once, with its line and what would be right; a guest with a mistake\n"
        "is left out, and the others start. On the console, `config check` reads the file again, "
        "`config show` prints it,\n"
        "and `help KEY` explains a key.\n");
    section_of_keys("host");
    section_of_keys("guest NAME");
}

/* ---- the console ---- */

static char shown[1 << 20];
static size_t nshown;

static size_t line_write(const char *s, size_t n)
{
    n = n < sizeof shown - 1 - nshown ? n : sizeof shown - 1 - nshown;
    memcpy(shown + nshown, s, n);
    nshown += n;
    shown[nshown] = '\0';
    return n;
}

static void line_sync(const char *s, size_t n) { (void)s, (void)n; }
static const struct host_console line = { "reference", line_write, line_sync };
_Noreturn void arch_reboot(void) { exit(1); }
_Noreturn void arch_poweroff(void) { exit(1); }

/* What is typed, and all that follows from it in three seconds. */
static void type(const char *s)
{
    host_console_rx(s, strlen(s));
    for (unsigned i = 0; i < 300; i++) {
        host_now += 10000000; /* ns */
        host_console_tx_ready();
        for (unsigned n = 0; n < 100 && event_run(); n++)
            ;
    }
}

static void boot(void)
{
    static const char conf[] = "[guest web]\nkernel = vmlinuz\nmemory = 16M\nautostart = no\n"
                               "[guest db]\nkernel = vmlinuz\nmemory = 12Q\n";
    static struct boot_info bi = { .nfiles = 1 };

    host_init(1, 64 * MIB);
    snprintf(bi.files[0].name, sizeof bi.files[0].name, "vmlinuz");
    bi.files[0].status = BOOT_FILE_OK;
    bi.files[0].phys = (uint64_t)(uintptr_t)calloc(1, 4096);
    bi.files[0].size = 4096;
    host_console_register(&line);
    if (files_init(&bi) || config_init(conf, sizeof conf - 1) || shell_init() || guests_start())
        exit(1);
    type("json on\r");
}

/* Commands that end or leave this shell are not run. */
static bool can_run(const char *name)
{
    static const char *const no[] = { "reboot", "poweroff", "json", "console" };

    for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
        if (strcmp(name, no[i]) == 0)
            return false;
    }
    return true;
}

/* Asks for `name`'s answer, and prints the JSON line of it that was shown. */
static void answer(const struct command *c)
{
    char typed[64];
    const char *s;

    nshown = 0;
    snprintf(typed, sizeof typed, "%s%s\r", c->name,
             c->guest == 1                    ? " web"
             : strcmp(c->name, "config") == 0 ? " check"
             : strcmp(c->name, "vm") == 0     ? " saved"
                                              : "");
    type(typed);
    s = strstr(shown, "{\"");
    if (!s)
        exit(1);
    printf("\nFor programs, `%.*s` answers, for example:\n\n```json\n%.*s\n```\n",
           (int)strlen(typed) - 1, typed, (int)strcspn(s, "\r\n"), s);
}

static void console_page(void)
{
    boot();
    printf("# The console\n\nThe serial line and the screen show a shell. `help` lists the "
           "commands. Tab completes, the arrow keys\n"
           "recall, Ctrl-R searches, Ctrl-C gives up waiting, and Ctrl-] returns from a guest's "
           "console.\n"
           "Programs talk to it in JSON: see [the JSON protocol](json.md).\n");
    for (unsigned i = 0; i < ncommands; i++) {
        const struct command *c = &commands[i];

        printf("\n## %s\n\n```text\n%s%s%s\n```\n\nIt does: %s. Example: `%s`.\n", c->name, c->name,
               *c->args ? " " : "", c->args, c->help, c->example);
        if (can_run(c->name))
            answer(c);
    }
}

/* ---- MSRs of x86 guests ---- */

static void msr_page(void)
{
    struct x86_msr_row r;

    printf("# MSRs of x86 guests\n\nWhat is not in this table raises #GP, and is told in the log, "
           "each "
           "number once.\n\n| number | name | written | why it is there |\n|---|---|---|---|\n");
    for (unsigned i = 0; x86_msr_row(i, &r); i++) {
        printf("| %xh", r.first);
        if (r.last != r.first)
            printf("-%xh", r.last);
        printf(" | %s | %s | %s |\n", r.name, r.writable ? "yes" : "#GP", r.why);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "config") == 0)
        config_page();
    else if (argc == 2 && strcmp(argv[1], "console") == 0)
        console_page();
    else if (argc == 2 && strcmp(argv[1], "msrs") == 0)
        msr_page();
    else
        return fprintf(stderr, "usage: reference config|console|msrs\n"), 2;
    return 0;
}
