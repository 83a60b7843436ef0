/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tiny guests of every architecture share: command line, output and verdicts, PCI, CPUs
 * that work for a test, and the few words in which code that serves all of them asks its machine
 * for time and interrupts.
 */
#ifndef GUEST_COMMON_H
#define GUEST_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXIT_PASS 0x10
#define EXIT_FAIL 0x11

/* ---- the loader's command line (cmdline.c) ---- */
/* The value after "key=" in the command line as a number, or def. */
uint64_t cmdline_num(const char *key, uint64_t def);
/* True where the command line holds the word (also as "word=..."). */
bool cmdline_has(const char *word);
/*
 * Zeroed, page-aligned memory that is never given back; stops the guest when none is left. On ARM64
 * from one CPU only.
 */
void *page_alloc(size_t pages);

/*
 * ---- output and verdicts ----
 * print.c. The machine's own: serial_putc, serial_getc, guest_exit, memset, memcpy.
 */
__attribute__((format(printf, 1, 2))) void print(const char *fmt, ...);
void serial_putc(char c);
int serial_getc(void); /* -1: nothing there */
void pass(const char *name);
__attribute__((format(printf, 2, 3))) void fail(const char *name, const char *fmt, ...);
extern unsigned failures;
/* Leaves through the debug-exit register: EXIT_PASS if no fail() was called, else EXIT_FAIL. */
_Noreturn void done(void);
_Noreturn void guest_exit(uint32_t code);
void *memset(void *d, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strncmp(const char *a, const char *b, size_t n);

/* ---- devices (mmio.c): size 1, 2, 4 or 8 ---- */
uint64_t mmio_read(uint64_t a, unsigned size);
void mmio_write(uint64_t a, unsigned size, uint64_t v);

/* ---- other CPUs (smp.c of each machine) ---- */
unsigned smp_start(void); /* all CPUs up; returns how many there are */
void smp_run(unsigned cpu, void (*fn)(void *), void *arg); /* returns at once */
void smp_wait(unsigned cpu);

/* Calls fn(arg); returns -1, or what the exception was that ended it (trap.c of each machine). */
int trap_try(void (*fn)(void *), void *arg);

/* ---- time: ticks() and ticks_hz are the machine's ---- */
void time_init(void);
/* of this CPU's own time: what others take of it does not count */
void delay_us(uint64_t us);

/*
 * ---- what is certain about time (lapse.c) ----
 * A host takes the CPU away at any moment, and the guest cannot see it.
 */
/*
 * Something that happened between two readings of ticks(): it had not when `after` was read, it had
 * when `before` was.
 */
struct edge {
    uint64_t after, before;
};
/* The ticks from one edge to another lie within these bounds. */
struct lapse {
    uint64_t least, most;
};
struct lapse lapse_between(struct edge from, struct edge to);
/*
 * Can it be `want` ticks, by clocks that differ by so many thousandths? False is certain, however
 * busy the host is.
 */
bool lapse_holds(struct lapse s, uint64_t want, uint64_t permille);
/* Is it known well enough to tell such a difference? If not, measure again. */
bool lapse_sharp(struct lapse s, uint64_t want, uint64_t permille);
/*
 * How long to wait for something, in this CPU's own time: for (p = patience(us); !it &&
 * patience_left(&p);)
 */
struct patience {
    uint64_t last, left, turn;
}; /* ticks */
struct patience patience(uint64_t us);
bool patience_left(struct patience *p);

/* ---- PCI: pci.c, on pci_read() and pci_write() of each machine ---- */
typedef uint16_t pci_t; /* bus << 8 | device << 3 | function */
uint32_t pci_read(pci_t d, unsigned reg, unsigned size);
void pci_write(pci_t d, unsigned reg, unsigned size, uint32_t v);
unsigned pci_scan(pci_t *list, unsigned max);
/* address (0: not memory, not there) */
uint64_t pci_bar(pci_t d, unsigned bar, uint64_t *size);
unsigned pci_cap(pci_t d, uint8_t id, unsigned after); /* offset or 0; after = 0 starts */

/*
 * ---- a device's interrupts, at this CPU ----
 * irq.c of each machine; fn runs once for each, which it need not end.
 */
struct msi_msg {
    uint64_t addr;
    uint32_t data;
};
void irq_init(void); /* before the others; time_init() comes with it */
struct msi_msg irq_msi(pci_t d, unsigned entry, void (*fn)(void));
/* false: no line; fn NULL: off again */
bool irq_intx(pci_t d, unsigned pin, void (*fn)(void));

void guest_main(void);

#endif
