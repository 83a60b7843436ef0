/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The small devices of one ARM64 VM. Private to hv/guest/aarch64. Each has its lock (LOCK_DEVICE)
 * and a plain state, which is what its record in an image holds. irq: the level that the interrupt
 * controller was told; it follows from the state.
 */
#pragma once
#include <hv/event.h>
#include <hv/io.h>
#include <hv/lock.h>
#include <hv/state.h>
#include <hv/types.h>
#include "platform.h"

struct guest_config;

/* PL011 UART, DDI 0183. rx holds data and error bits, as UARTDR shows them. */
#define PL011_FIFO 32
struct pl011_state {
    uint32_t ibrd, fbrd, lcr_h, cr, ifls, imsc, ris, dmacr, ilpr, rsr;
    uint16_t rx[PL011_FIFO];
    uint32_t head, fill;
};
static_assert(sizeof(struct pl011_state) == 112, "layout of images");
struct pl011 {
    struct pl011_state s;
    struct vm *vm;
    struct spinlock lock;
    struct event rx;
    bool listening, irq;
    bool held; /* nothing is taken from the console; lock */
};

/* PL031 real-time clock, DDI 0224. The counter is base + guest time in s. */
struct pl031_state {
    uint32_t base, match, load, imsc, ris;
    uint32_t armed; /* the match is still to come */
};
static_assert(sizeof(struct pl031_state) == 24, "layout of images");
struct pl031 {
    struct pl031_state s;
    struct vm *vm;
    struct spinlock lock;
    struct event ev;
    bool irq;
};

/* PL061 GPIO, DDI 0190: eight inputs, of which line 3 is the power button. */
#define PL061_POWER_BUTTON 3u
struct pl061_state {
    uint8_t data, dir, is, ibe, iev, ie, ris, afsel;
    uint8_t pressed; /* the button, soon to be released */
    uint8_t zero[7];
};
static_assert(sizeof(struct pl061_state) == 16, "layout of images");
struct pl061 {
    struct pl061_state s;
    struct vm *vm;
    struct spinlock lock;
    struct event release;
    bool irq;
};

struct arm_devices {
    struct vm *vm;
    struct pl011 pl011;
    struct pl031 pl031;
    struct pl061 pl061;
    struct io_list regions;
};

/* devices.c. CPU 0, no vCPU runs. */
int must_check arm_devices_create(struct vm *vm, const struct guest_config *c,
                                  struct arm_devices **out);
void arm_devices_destroy(struct arm_devices *d); /* NULL: nothing */
/*
 * Identification registers at 0xfe0..0xffc of a PrimeCell: the 8 bytes of PeriphID and PCellID.
 * True when `off` is one of them.
 */
bool arm_primecell_id(uint64_t off, const uint8_t id[8], uint64_t *val);
int must_check arm_power_button(struct vm *vm);
extern const struct state_ops arm_pl011_state, arm_pl031_state, arm_pl061_state;

int must_check arm_pl011_create(struct arm_devices *d);
void arm_pl011_destroy(struct pl011 *u);
int must_check arm_pl031_create(struct arm_devices *d);
void arm_pl031_destroy(struct pl031 *r);
int must_check arm_pl061_create(struct arm_devices *d);
void arm_pl061_destroy(struct pl061 *g);
/* The button is pressed and soon released. -ENOTSUP: the guest does not listen. */
int must_check arm_pl061_power_button(struct pl061 *g);
