/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shell, its commands, the line editor, JSON and the console switch: whatever is typed,
 * whatever guests print, and a line that takes output as slowly as it likes. What reaches the
 * terminal while the shell is shown is text and the editor's own sequences, JSON answers are JSON,
 * and the prompt comes back. A byte 0 turns from typing to what a guest prints, and back. Typed
 * bytes are ASCII: the editor shows what is typed, and keeps it in its history, so that it could
 * not be told from what a guest printed (lineedit.c types all bytes).
 */
#include "arch/host/host.h"
#include <arch/cpu.h>
#include "boot/boot_info.h"
#include "hv/mgmt/mgmt.h"
#include <hv/config.h>
#include <hv/console.h>
#include <hv/event.h>
#include <hv/files.h>
#include <hv/mgmt.h>
#include <hv/session.h>
#include <hv/start.h>
#include <hv/vm.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char conf[] = "[guest web]\nkernel = vmlinuz\nmemory = 16M\nautostart = no\n"
                           "[guest db-2]\nkernel = missing\nautostart = no\n"
                           "[guest bad]\nkernel = vmlinuz\nmemory = 12Q\n";

/* ---- the terminal ---- */

static enum { TEXT, ESCAPE, SEQUENCE } seen;
static char last[4096], json_line[70000];
static size_t nlast, njson, room;
static bool watch; /* an input runs */

static void wrong(const char *what, unsigned c)
{
    fprintf(stderr, "%s: byte 0x%02x after: %.*s\n", what, c, (int)nlast, last);
    abort();
}

/*
 * What lineedit.c and console.c send, and nothing else: ECMA-48 control sequences with a final byte
 * of these.
 */
static void look(unsigned char c)
{
    if (seen == ESCAPE) {
        if (c != '[' && c != '>' && c != '7' && c != '8')
            wrong("a strange escape sequence", c);
        seen = c == '[' ? SEQUENCE : TEXT;
    } else if (seen == SEQUENCE) {
        if (c >= 0x40) {
            if (!strchr("ABCDGHJKPlhmnrt", c))
                wrong("a strange control sequence", c);
            seen = TEXT;
        } else if (!(c >= '0' && c <= '9') && c != ';' && c != '?') {
            wrong("a strange parameter", c);
        }
    } else if (c == 0x1b) {
        seen = ESCAPE;
    } else if (c >= 0x7f ||
               (c < 0x20 && c != '\r' && c != '\n' && c != '\b' && c != '\t' && c != 7)) {
        wrong("no text", c);
    }
}

/*
 * Leaving a guest's console undoes what the guest did to the terminal: this text, whole, and
 * nothing else may begin with CAN.
 */
static bool undoing(char c)
{
    static size_t at;

    if (at == 0 && c != console_undo[0])
        return false;
    if (c != console_undo[at])
        wrong("the terminal's reset is cut", (unsigned char)c);
    at = console_undo[at + 1] ? at + 1 : 0;
    return true;
}

/* Brackets in order, strings closed and without raw control characters. */
static void check_json(const char *s, size_t n)
{
    char open[64];
    unsigned depth = 0;
    bool string = false;

    for (size_t i = 0; i < n; i++) {
        if (string) {
            if ((unsigned char)s[i] < 0x20)
                wrong("a control character in JSON", (unsigned char)s[i]);
            if (s[i] == '\\')
                i++;
            else
                string = s[i] != '"';
        } else if (s[i] == '"') {
            string = true;
        } else if (s[i] == '{' || s[i] == '[') {
            if (depth == sizeof open)
                wrong("JSON too deep", 0);
            open[depth++] = s[i] == '{' ? '}' : ']';
        } else if ((s[i] == '}' || s[i] == ']') && (!depth || open[--depth] != s[i])) {
            wrong("brackets of JSON", (unsigned char)s[i]);
        }
    }
    if (depth || string)
        wrong("JSON is cut", depth);
}

static void json_char(char c)
{
    if (c == '\n') {
        if (njson > 1 && json_line[0] == '{' && njson < sizeof json_line)
            check_json(json_line, njson - (json_line[njson - 1] == '\r'));
        njson = 0;
    } else if (njson < sizeof json_line) {
        json_line[njson++] = c;
    }
}

static size_t line_write(const char *s, size_t n)
{
    bool shell = watch && console_is_shown(shell_console());

    n = n < room ? n : room;
    room -= n;
    for (size_t i = 0; i < n; i++) {
        if (nlast == sizeof last)
            memmove(last, last + sizeof last / 2, nlast = sizeof last / 2);
        last[nlast++] = s[i];
        if (!shell)
            seen = TEXT;
        else if (!undoing(s[i]))
            look((unsigned char)s[i]);
        if (shell && session_json(shell_serial()))
            json_char(s[i]);
        else
            njson = 0;
    }
    return n;
}

static void line_sync(const char *s, size_t n) { (void)s, (void)n; }
static const struct host_console host = { "test", line_write, line_sync };

/* ---- a run ---- */

/* The machine ends: not here. A command that was about to end it still waits, until Ctrl-C. */
static jmp_buf ended;
_Noreturn void arch_reboot(void) { longjmp(ended, 1); }
_Noreturn void arch_poweroff(void) { longjmp(ended, 1); }

static void settle(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        host_now += 10000000;
        room = sizeof last;
        host_console_tx_ready();
        if (setjmp(ended)) {
            this_cpu()->events.running = NULL; /* the event that we came from */
            return;
        }
        for (unsigned n = 0; n < 100 && event_run(); n++)
            ;
    }
}

static void type(const char *s, size_t n)
{
    host_console_rx(s, n);
    settle(1);
}

static void boot(void)
{
    static struct boot_info bi;

    host_init(1, 64 * MIB);
    bi.nfiles = 1;
    snprintf(bi.files[0].name, sizeof bi.files[0].name, "vmlinuz");
    bi.files[0].status = BOOT_FILE_OK;
    bi.files[0].phys = (uint64_t)(uintptr_t)calloc(1, 4096);
    bi.files[0].size = 4096;
    host_console_register(&host);
    if (files_init(&bi) || config_init(conf, sizeof conf - 1) || shell_init() || guests_start())
        abort();
    settle(4);
}

/*
 * Back to a fresh prompt, whatever was typed: out of a guest's console, out of a command that
 * waits, out of JSON.
 */
static void back_to_prompt(void)
{
    static const char *const keys[] = { "\x1d", "\x03", "\r", "json off\r", "\x03", "log info\r" };

    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        /* a second Ctrl-] right after the first would go back into the guest */
        host_now += 2000000000;
        type(keys[i], strlen(keys[i]));
    }
    settle(8);
    nlast = 0;
    type("version\r", 8);
    settle(2);
    for (size_t i = 0; i + 8 <= nlast; i++)
        if (memcmp(last + i, "trivet> ", 8) == 0)
            return;
    wrong("no prompt", 0);
}

static void step(char c, bool guest)
{
    struct vm *vm = vm_by_index(0);

    if (guest && vm)
        console_write(vm->console, &c, 1);
    else
        type(&c, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    bool guest = false;

    if (!ready)
        boot();
    ready = true;
    watch = true;
    for (size_t i = 0; i < size && i < 2048; i++) {
        if (data[i] == '\0')
            guest = !guest;
        else
            step((char)(guest ? data[i] : data[i] & 0x7f), guest);
    }
    watch = false;
    back_to_prompt();
    return 0;
}
