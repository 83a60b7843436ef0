/*
 * Consoles. The host has one line (serial, or framebuffer + nothing to type on); the shell and every guest have a console each, with an
 * output ring of 64 KiB that is replayed on attach. Ctrl-] returns to the shell. Functions: any CPU, from events and exit handlers.
 */
#pragma once
#include <hv/event.h>
#include <hv/types.h>
struct console;
struct vm;
int must_check console_create(const char *name, struct vm *payer, struct console **);    /* for good; NULL: Trivet pays. -ENOMEM */
/* Guest or shell output: kept in the ring; shown when attached. Never blocks: a slow line drops from the display and counts. */
void console_write(struct console *, const char *, size_t);
/* A device that takes input: `ready` is posted when input waits; the device with the highest priority gets it (UART 1, virtio console 2). 0 or -ENOSPC. */
int must_check console_listen(struct console *, unsigned priority, struct event *ready);
/* On return nobody posts `ready` any more; it may still be queued. */
void console_unlisten(struct console *, struct event *ready);
size_t console_read(struct console *, struct event *ready, char *, size_t);  /* 0 when `ready` is not the current listener */
/* The host's line, registered by drivers/. */
struct host_console {
    const char *name;
    size_t (*write)(const char *, size_t);      /* as many as fit without waiting; called under LOCK_CONSOLE */
    void (*write_sync)(const char *, size_t);   /* panic: polled, takes no lock */
};
void host_console_register(const struct host_console *);
void host_console_rx(const char *, size_t);     /* from the driver (irq handler or event): typed bytes */
void host_console_tx_ready(void);               /* the driver has room again */
void console_panic_write(const char *, size_t); /* write_sync on every registered line */
