/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Consoles. The host has lines (serial port, framebuffer), which all show the same console. The
 * shell and every guest have a console each, with an output ring of 64 KiB.
 * Ctrl-], or what trivet.conf says, returns to the shell. Functions: any CPU, from events and exit
 * handlers.
 */
#pragma once
#include <hv/event.h>
#include <hv/types.h>
struct console;
/* for good, from malloc(): a guest's is charged by the caller. -ENOMEM */
int must_check console_create(const char *name, struct console **);
/*
 * Guest or shell output: kept in the ring; shown when attached. Never blocks: a slow line drops
 * from the display and counts.
 */
void console_write(struct console *, const char *, size_t);
/*
 * A device that takes input: `ready` is posted when input waits; the device with the highest
 * priority gets it (UART 1, virtio console 2, which listens from the guest's first output on it).
 * 0 or -ENOSPC.
 */
int must_check console_listen(struct console *, unsigned priority, struct event *ready);
/* On return nobody posts `ready` any more; it may still be queued. */
void console_unlisten(struct console *, struct event *ready);
/* What reads the home console (the shell): called on CPU 0, from an event. */
struct console_reader {
    void (*input)(char); /* a byte was typed */
    /* it takes no input now; console_input_resume() when it does again */
    bool (*busy)(void);
    void (*interrupt)(void); /* Ctrl-C was typed while it was busy */
    void (*redraw)(void);    /* the home console is shown again */
};
/*
 * Boot step: makes the home console, which is shown when no other is. `r` and the console stay for
 * good. -ENOMEM.
 */
int must_check console_init(const struct console_reader *r, struct console **out);
/*
 * CPU 0: shows this console on every line of the host; with `replay` from the beginning of what its
 * ring holds.
 */
void console_attach(struct console *, bool replay);
/* all that is left goes out, polled: before the machine ends */
void console_drain(void);
/* CPU 0: the control character that leaves a guest's console; at first Ctrl-] */
void console_set_escape(char);
void console_input_resume(void); /* the reader, any CPU: busy() is false again */
/* bytes that were typed for it and found no room, since it was made; any CPU */
uint64_t console_input_lost(struct console *);
/* any CPU; the last `len` bytes of output, oldest first */
size_t console_scrollback(struct console *, char *buf, size_t len);
bool console_is_shown(const struct console *); /* CPU 0 */
/* what the terminal is sent when a guest's console is left */
extern const char console_undo[];
/* Any CPU: up to that many bytes of input; 0 when `ready` is not the current listener. */
size_t console_read(struct console *, struct event *ready, char *, size_t);
/* A line of the host, registered by its driver at boot, for ever; four at most. */
struct host_console {
    const char *name;
    /* as many as fit without waiting; called under LOCK_LINES */
    size_t (*write)(const char *, size_t);
    void (*write_sync)(const char *, size_t); /* panic: polled, takes no lock */
};
void host_console_register(const struct host_console *);
/* From the driver, any CPU (interrupt handler or event): typed bytes, copied. */
void host_console_rx(const char *, size_t);
void host_console_tx_ready(void); /* the same: it has room again */
