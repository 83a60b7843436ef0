/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ISA and ACPI devices of one x86 VM. Private to hv/guest/x86_64. Each has its lock
 * (LOCK_DEVICE) and a plain state.
 */
#pragma once
#include <hv/event.h>
#include <hv/uart16550.h>
#include <hv/io.h>
#include <hv/lock.h>
#include <hv/pci.h>
#include <hv/state.h>
#include <hv/types.h>
#include <hv/vm.h>
#include "x86_intc.h"

struct console;
struct guest_config;

/* 8254. Times are PIT ticks of guest time; see pit.c. */
struct pit_channel {
    /* tick at which the count was loaded; ticks counted when the gate stopped it */
    uint64_t start, frozen;
    uint32_t count; /* reload value 1..65536 */
    uint16_t latch;
    uint8_t mode, rw, bytes_latched, status, write_low;
    bool bcd, gate, loaded, triggered, high_next_read, high_next_write, status_latched;
    uint8_t pad[6];
};
static_assert(sizeof(struct pit_channel) == 40, "a saved state");
/* next: tick of channel 0's next rising edge; 0: none */
struct pit_state {
    uint32_t version, pad;
    struct pit_channel ch[3];
    uint64_t next;
    uint8_t speaker, pad1[7];
};
static_assert(sizeof(struct pit_state) == 144, "a saved state");
struct pit {
    struct pit_state s;
    struct vm *vm;
    struct spinlock lock;
    struct event ev;
};

/*
 * MC146818 with 128 bytes. Current second = base + guest time in s, unless the clock stands (SET,
 * divider reset): then cmos holds it.
 */
struct rtc_state {
    uint32_t version;
    uint8_t index, cmos[128], pad[3];
    uint64_t base, checked_ns;
};
static_assert(sizeof(struct rtc_state) == 152, "a saved state");
/* armed: guest ns of the event; 0: none */
struct rtc {
    struct rtc_state s;
    struct vm *vm;
    struct spinlock lock;
    struct event ev;
    uint64_t armed;
    unsigned unread;
};

/*
 * The HPET. counter = base + 10 ns since `since` (guest ns), while it is on. next: counter value of
 * a timer's next match; UINT64_MAX: none.
 */
#define HPET_TIMERS 3
struct hpet_timer {
    uint32_t config, zero;
    uint64_t compare, period, next;
};
struct hpet_state {
    uint32_t version, config, status, zero;
    uint64_t base, since;
    struct hpet_timer timer[HPET_TIMERS];
};
static_assert(sizeof(struct hpet_state) == 128, "a saved state");
struct hpet {
    struct hpet_state s;
    struct vm *vm;
    struct spinlock lock;
    struct event ev;
    uint8_t asserted[HPET_TIMERS]; /* level-triggered: the line + 1 that it holds up; 0: none */
};

/* PM1a blocks and PM timer. */
/* half: half turns (bit 31 changes) of the timer already seen */
struct pm_state {
    uint32_t version;
    uint16_t sts, en, cnt, pad[3];
    uint64_t half;
};
static_assert(sizeof(struct pm_state) == 24, "a saved state");
struct pm {
    struct pm_state s;
    struct vm *vm;
    struct spinlock lock;
    struct event ev;
};

/* 16550A */
struct uart {
    struct uart16550 core;
    struct vm *vm;
    struct spinlock lock;
    struct event rx;
    bool listening;
    bool held; /* the VM is paused: input stays in the console */
};

/* 8042 without keyboard or mouse */
struct kbc_state {
    uint32_t version;
    uint8_t command_byte, expect, out, output_port, port92;
    bool full;
    uint8_t pad[2];
};
static_assert(sizeof(struct kbc_state) == 12, "a saved state");
struct kbc {
    struct kbc_state s;
    struct vm *vm;
    struct spinlock lock;
};

/* preload: ticks of each stage; stage: 0 or 1, which counts, until `due` (guest ns); unlock: writes
 * of the sequence seen */
struct watchdog_state {
    uint32_t version, stage;
    uint32_t preload[2];
    uint32_t unlock, timeout;
    uint64_t due;
};
static_assert(sizeof(struct watchdog_state) == 32, "a saved state");
struct watchdog {
    struct watchdog_state s;
    struct vpci_dev pci;
    struct vm *vm; /* NULL: the guest has none */
    struct spinlock lock;
    struct event ev;
};

struct x86_devices {
    struct vm *vm;
    struct pit pit;
    struct rtc rtc;
    struct hpet hpet;
    struct pm pm;
    struct uart uart;
    struct kbc kbc;
    struct watchdog watchdog;
    struct io_list regions;
};

/*
 * ev at guest time guest_ns, but not before time_ns() + gap: bounds what a guest's periodic timer
 * costs.
 */
void device_arm(struct vm *, struct event *, uint64_t guest_ns, uint64_t gap);

/* Each: CPU 0; sets the reset state and registers the ports. */
int must_check pit_create(struct x86_devices *);
int must_check rtc_create(struct x86_devices *, const struct guest_config *);
int must_check hpet_create(struct x86_devices *);
int must_check pm_create(struct x86_devices *);
int must_check uart_create(struct x86_devices *);
/* controller: false: there is port 92h alone; firmware would wait long for a keyboard */
int must_check kbc_create(struct x86_devices *, bool controller);
void uart_destroy(struct uart *);
/* CPU 0, vm->pci is there; a guest that is configured so */
int must_check watchdog_create(struct x86_devices *);
/* CPU 0, no vCPU runs, before vpci_destroy(). Harmless when there is none */
void watchdog_detach(struct vm *);
bool pm_power_button(struct pm *); /* false: the guest has not enabled it */
/*
 * Any CPU: the HPET has taken the lines of PIT and RTC. device_irq: their virq_set(), dropped while
 * it has.
 */
bool hpet_legacy(const struct vm *);
void device_irq(struct vm *, unsigned line, bool level);
/* The wall clock has gone on by `seconds` more than the guest's while it did not run. CPU 0. */
void rtc_move(struct rtc *, int64_t seconds);

/* <hv/state.h> */
static inline struct x86_devices *x86_devices_of(const struct vm *vm)
{
    return ((const struct x86_intc *)vm->vintc)->devices;
}
extern const struct state_ops pit_state_ops, rtc_state_ops, pm_state_ops, uart_state_ops,
    kbc_state_ops, hpet_state_ops, watchdog_state_ops, intc_state_ops, lapic_state_ops;
