/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A 16550A's registers (National Semiconductor, PC16550D data sheet, section 8), for guests of
 * every ISA. It takes no lock: its owner calls one function at a time, and is called back within
 * it.
 */
#ifndef HV_UART16550_H
#define HV_UART16550_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UART16550_VERSION 1

struct uart16550_state {
    uint32_t version;
    uint8_t ier, lcr, mcr, msr, scr, fcr, lsr, dll, dlm;
    uint8_t fifo[16], head, fill;
    uint8_t thre_pending, irq; /* 0 or 1 */
    uint8_t pad[3];
};
static_assert(sizeof(struct uart16550_state) == 36, "a saved state");

struct uart16550;
struct uart16550_ops {
    void (*irq)(struct uart16550 *u, bool up);                /* the line changes */
    void (*out)(struct uart16550 *u, char c);                 /* a byte leaves */
    size_t (*in)(struct uart16550 *u, char *to, size_t room); /* up to `room` bytes that have come
                                                               */
};

struct uart16550 {
    struct uart16550_state s;
    const struct uart16550_ops *ops;
};

/* As after a reset: no interrupts, empty FIFOs. `ops` lives as long as the UART. */
void uart16550_init(struct uart16550 *u, const struct uart16550_ops *ops);
/* reg: 0 to 7. Any of the callbacks may be called meanwhile. */
uint8_t uart16550_read(struct uart16550 *u, unsigned reg);
void uart16550_write(struct uart16550 *u, unsigned reg, uint8_t val);
/* Input has come: takes what the FIFO has room for. */
void uart16550_input(struct uart16550 *u);
/* May this state be restored? */
bool uart16550_valid(const struct uart16550_state *s);

#endif
