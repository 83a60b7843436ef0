/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MC146818 real-time clock with 128 bytes of CMOS. The time is the host's wall clock at
 * creation plus guest time plus what the guest set. Flags are worked out when somebody looks; an
 * event runs only while an interrupt is enabled, and stops when the guest does not read its flags.
 * MC146818 data sheet ("Address Map", "Update Cycle", "Registers"); century at 32h as the FADT says
 * (ACPI 6.4, 5.2.9).
 */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/time.h>
#include <hv/vintc.h>
#include <hv/vm.h>
#include <string.h>
#include "load.h"
#include "x86_dev.h"

#define SECOND 1000000000ull
#define UPDATE_NS 2228000ull /* UIP is set 244 us before an update, which takes 1984 us */
#define GAP_NS 100000ull
#define RTC_VERSION 1
#define SECONDS_MAX (10000 * 366 * 86400ull) /* since 1970: all that a saved clock may say */
/* events that find register C unread before they stop; reading it starts them again */
#define UNREAD_MAX 8
#define EARLY_NS 5000000ull /* the guest was paused: look again after this */
enum {
    R_SEC,
    R_SEC_ALARM,
    R_MIN,
    R_MIN_ALARM,
    R_HOUR,
    R_HOUR_ALARM,
    R_WEEKDAY,
    R_DAY,
    R_MONTH,
    R_YEAR,
    R_A,
    R_B,
    R_C,
    R_D,
    R_CENTURY = 0x32
};
enum {
    A_UIP = 0x80,
    B_SET = 0x80,
    B_PIE = 0x40,
    B_AIE = 0x20,
    B_UIE = 0x10,
    B_DM = 4,
    B_24H = 2,
    C_IRQF = 0x80,
    D_VRT = 0x80
};

static bool stands(const struct rtc_state *s)
{
    return s->cmos[R_B] & B_SET || (s->cmos[R_A] & 0x60) == 0x60; /* divider held in reset */
}

static uint64_t second_at(const struct rtc_state *s, uint64_t ns) { return s->base + ns / SECOND; }

static uint8_t encode(const struct rtc_state *s, unsigned v)
{
    return (uint8_t)(s->cmos[R_B] & B_DM ? v : v / 10 << 4 | v % 10);
}

static unsigned decode(const struct rtc_state *s, uint8_t v)
{
    return s->cmos[R_B] & B_DM ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t encode_hour(const struct rtc_state *s, unsigned h)
{
    if (s->cmos[R_B] & B_24H)
        return encode(s, h);
    return (uint8_t)(encode(s, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0));
}

static unsigned decode_hour(const struct rtc_state *s, uint8_t v)
{
    if (s->cmos[R_B] & B_24H)
        return decode(s, v);
    return decode(s, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static bool leap(unsigned y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0; }

static unsigned month_days(unsigned y, unsigned m)
{
    static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return m == 2 && leap(y) ? 29 : days[m - 1];
}

/* Days from 1970-01-01 to January 1st of y; y >= 1970. */
static uint64_t year_days(unsigned y)
{
    unsigned p = y - 1;

    return 365ull * (y - 1970) + (p / 4 - p / 100 + p / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
}

/* The calendar registers for second t. */
static void to_registers(struct rtc_state *s, uint64_t t)
{
    uint64_t days = t / 86400;
    unsigned sec = (unsigned)(t % 86400), y = 1970 + (unsigned)(days / 366), m = 1;

    /* at most one step for each 1500 years since 1970, and one */
    while (year_days(y + 1) <= days)
        y++;
    s->cmos[R_WEEKDAY] = encode(s, (unsigned)((days + 4) % 7 + 1));
    days -= year_days(y);
    while (days >= month_days(y, m))
        days -= month_days(y, m++);
    s->cmos[R_SEC] = encode(s, sec % 60);
    s->cmos[R_MIN] = encode(s, sec / 60 % 60);
    s->cmos[R_HOUR] = encode_hour(s, sec / 3600);
    s->cmos[R_DAY] = encode(s, (unsigned)days + 1);
    s->cmos[R_MONTH] = encode(s, m);
    s->cmos[R_YEAR] = encode(s, y % 100);
    s->cmos[R_CENTURY] = encode(s, y / 100 % 100);
}

static unsigned clamp(unsigned v, unsigned lo, unsigned hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* The second that the calendar registers say; nonsense is clamped. */
static uint64_t from_registers(const struct rtc_state *s)
{
    unsigned y =
        clamp(decode(s, s->cmos[R_CENTURY]) * 100 + decode(s, s->cmos[R_YEAR]), 1970, 9999);
    unsigned m = clamp(decode(s, s->cmos[R_MONTH]), 1, 12);
    uint64_t days = year_days(y) + clamp(decode(s, s->cmos[R_DAY]), 1, month_days(y, m)) - 1;

    for (unsigned i = 1; i < m; i++)
        days += month_days(y, i);
    return days * 86400 + clamp(decode_hour(s, s->cmos[R_HOUR]), 0, 23) * 3600 +
           clamp(decode(s, s->cmos[R_MIN]), 0, 59) * 60 + clamp(decode(s, s->cmos[R_SEC]), 0, 59);
}

/* Values from c0h up match anything. */
static bool alarm_field(const struct rtc_state *s, unsigned reg, unsigned now)
{
    uint8_t v = s->cmos[reg];

    return v >= 0xc0 || (reg == R_HOUR_ALARM ? decode_hour(s, v) : decode(s, v)) == now;
}

/* First second after t at which the alarm matches; UINT64_MAX: never. */
static uint64_t next_alarm(const struct rtc_state *s, uint64_t t)
{
    t++;
    for (unsigned i = 0; i < 256; i++) { /* 25 hours, 60 minutes, 60 seconds at most */
        if (!alarm_field(s, R_HOUR_ALARM, (unsigned)(t / 3600 % 24)))
            t = (t / 3600 + 1) * 3600;
        else if (!alarm_field(s, R_MIN_ALARM, (unsigned)(t / 60 % 60)))
            t = (t / 60 + 1) * 60;
        else if (!alarm_field(s, R_SEC_ALARM, (unsigned)(t % 60)))
            t++;
        else
            return t;
    }
    return UINT64_MAX;
}

/* Period in units of 1/32768 s by rate select; 0: none. */
static uint64_t period_units(const struct rtc_state *s)
{
    unsigned rs = s->cmos[R_A] & 15;

    if (!rs || (s->cmos[R_A] & 0x70) != 0x20)
        return 0;
    return 1ull << ((rs < 3 ? rs + 7 : rs) - 1);
}

static uint64_t units_at(uint64_t ns) { return ns / SECOND * 32768 + ns % SECOND * 32768 / SECOND; }

static uint64_t units_to_ns(uint64_t u)
{
    return u / 32768 * SECOND + (u % 32768 * SECOND + 32767) / 32768;
}

/* Sets the flags for what happened since the last look; drives the line. */
static void refresh(struct rtc *r, uint64_t now)
{
    struct rtc_state *s = &r->s;
    uint64_t p = period_units(s), was = second_at(s, s->checked_ns), sec = second_at(s, now);
    uint8_t *c = &s->cmos[R_C];

    debug_assert_held(&r->lock);
    if (p && units_at(now) / p != units_at(s->checked_ns) / p)
        *c |= B_PIE;
    if (!stands(s) && sec != was) {
        *c |= B_UIE;
        if (next_alarm(s, was) <= sec)
            *c |= B_AIE;
    }
    s->checked_ns = now;
    if (*c & s->cmos[R_B] & (B_PIE | B_AIE | B_UIE) && !(*c & C_IRQF)) {
        *c |= C_IRQF;
        device_irq(r->vm, LINE_RTC, true);
    }
}

/* Guest ns at which the next enabled flag comes; UINT64_MAX: never. */
static uint64_t next_event(const struct rtc_state *s, uint64_t now)
{
    uint64_t next = UINT64_MAX, p = period_units(s), sec = second_at(s, now);

    if (s->cmos[R_B] & B_PIE && p)
        next = units_to_ns((units_at(now) / p + 1) * p);
    if (s->cmos[R_B] & B_UIE && !stands(s))
        next = min_u64(next, (now / SECOND + 1) * SECOND);
    if (s->cmos[R_B] & B_AIE && !stands(s) && next_alarm(s, sec) != UINT64_MAX)
        next = min_u64(next, (now / SECOND + next_alarm(s, sec) - sec) * SECOND);
    return next;
}

/*
 * An event that comes in time already is left alone: moving it costs the CPU that reads register C
 * a message to CPU 0.
 */
static void rearm(struct rtc *r, uint64_t now, uint64_t gap)
{
    uint64_t next = next_event(&r->s, now);

    debug_assert_held(&r->lock);
    if (next == UINT64_MAX || r->unread >= UNREAD_MAX || (r->armed && r->armed <= next))
        return;
    r->armed = next;
    device_arm(r->vm, &r->ev, next, gap);
}

static void rtc_event(struct event *ev)
{
    struct rtc *r = container_of(ev, struct rtc, ev);
    uint64_t now = vm_time_ns(r->vm);
    bool early;

    spin_lock(&r->lock);
    early = now < r->armed;
    r->armed = 0;
    refresh(r, now);
    if (r->s.cmos[R_C] & C_IRQF)
        r->unread++;
    rearm(r, now, early ? EARLY_NS : GAP_NS);
    spin_unlock(&r->lock);
}

static bool is_time(unsigned reg)
{
    return reg == R_CENTURY ||
           (reg <= R_YEAR && reg != R_SEC_ALARM && reg != R_MIN_ALARM && reg != R_HOUR_ALARM);
}

static uint8_t read_c(struct rtc *r, uint64_t now)
{
    uint8_t c;

    debug_assert_held(&r->lock);
    refresh(r, now);
    r->unread = 0;
    c = r->s.cmos[R_C];
    r->s.cmos[R_C] = 0;
    if (c & C_IRQF)
        device_irq(r->vm, LINE_RTC, false);
    rearm(r, now, GAP_NS);
    return c;
}

static uint8_t read_reg(struct rtc *r, unsigned reg)
{
    struct rtc_state *s = &r->s;
    uint64_t now = vm_time_ns(r->vm);

    debug_assert_held(&r->lock);
    if (reg == R_C)
        return read_c(r, now);
    if (reg == R_A && !stands(s) && now % SECOND >= SECOND - UPDATE_NS)
        return s->cmos[R_A] | A_UIP;
    if (is_time(reg) && !stands(s))
        to_registers(s, second_at(s, now));
    return s->cmos[reg];
}

static void write_control(struct rtc *r, unsigned reg, uint8_t val, uint64_t now)
{
    struct rtc_state *s = &r->s;
    bool stood = stands(s);

    debug_assert_held(&r->lock);
    refresh(r, now);
    if (!stood)
        to_registers(s, second_at(s, now));
    s->cmos[reg] = reg == R_A ? val & 0x7f : val;
    if (reg == R_B && val & B_SET)
        s->cmos[R_B] &= (uint8_t)~B_UIE;
    if (stood && !stands(s))
        s->base = from_registers(s) - now / SECOND;
    else if (!stood && !stands(s))
        to_registers(s, second_at(s, now));
    refresh(r, now);
    rearm(r, now, GAP_NS);
}

static void write_reg(struct rtc *r, unsigned reg, uint8_t val)
{
    struct rtc_state *s = &r->s;
    uint64_t now = vm_time_ns(r->vm);

    debug_assert_held(&r->lock);
    if (reg == R_A || reg == R_B) {
        write_control(r, reg, val, now);
        return;
    }
    if (reg == R_C || reg == R_D)
        return;
    if (is_time(reg) && !stands(s)) {
        refresh(r, now);
        to_registers(s, second_at(s, now));
        s->cmos[reg] = val;
        s->base = from_registers(s) - now / SECOND;
    } else {
        s->cmos[reg] = val;
    }
    rearm(r, now, GAP_NS);
}

static int rtc_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct rtc *r = dev;

    (void)size;
    spin_lock(&r->lock);
    *val = off ? read_reg(r, r->s.index) : 0xff;
    spin_unlock(&r->lock);
    return 0;
}

static int rtc_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct rtc *r = dev;

    (void)size;
    spin_lock(&r->lock);
    if (off)
        write_reg(r, r->s.index, (uint8_t)val);
    else
        r->s.index = val & 0x7f; /* bit 7 masks NMIs, of which this machine has none by wire */
    spin_unlock(&r->lock);
    return 0;
}

/* ---- <hv/state.h> ---- */

void rtc_move(struct rtc *r, int64_t seconds)
{
    spin_lock(&r->lock);
    refresh(r, vm_time_ns(r->vm));
    if (!stands(&r->s))
        r->s.base += (uint64_t)seconds;
    spin_unlock(&r->lock);
}

static size_t rtc_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct rtc_state);
}

static int rtc_quiesce(struct vm *vm, uint32_t i)
{
    (void)i;
    event_cancel(&x86_devices_of(vm)->rtc.ev);
    return 0;
}

static int rtc_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &x86_devices_of(vm)->rtc.s, sizeof(struct rtc_state));
    return 0;
}

/* `base` counts modulo 2^64: only the second that it gives now is bounded. */
static int rtc_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct rtc *r = &x86_devices_of(vm)->rtc;
    const struct rtc_state *s = buf;
    uint64_t now = vm_time_ns(vm);

    (void)i;
    if (s->version != RTC_VERSION || s->index > 0x7f || s->checked_ns > now ||
        second_at(s, now) > SECONDS_MAX || second_at(s, s->checked_ns) > SECONDS_MAX ||
        !state_all_zero(s->pad, sizeof s->pad))
        return -EINVAL;
    r->s = *s;
    return 0;
}

static void rtc_resume(struct vm *vm, uint32_t i)
{
    struct rtc *r = &x86_devices_of(vm)->rtc;
    uint64_t now = vm_time_ns(vm);

    (void)i;
    spin_lock(&r->lock);
    r->armed = 0;
    r->unread = 0;
    refresh(r, now);
    rearm(r, now, 0);
    spin_unlock(&r->lock);
}

const struct state_ops rtc_state_ops = { .name = "real-time clock",
                                         .kind = STATE_RTC,
                                         .version = RTC_VERSION,
                                         .quiesce = rtc_quiesce,
                                         .size = rtc_size,
                                         .save = rtc_save,
                                         .restore = rtc_restore,
                                         .resume = rtc_resume };

static void put16(uint8_t *cmos, uint64_t v, uint64_t max)
{
    v = min_u64(v, max);
    cmos[0] = (uint8_t)v;
    cmos[1] = (uint8_t)(v >> 8);
}

/*
 * Memory sizes where firmware leaves them: base in KiB, extended in KiB (to 64 MiB), above 16 MiB
 * in 64 KiB units.
 */
static void memory_sizes(uint8_t *cmos, uint64_t low)
{
    put16(cmos + 0x15, 640, 640);
    put16(cmos + 0x17, low > MIB ? (low - MIB) / KIB : 0, 0xffff);
    put16(cmos + 0x30, low > MIB ? (low - MIB) / KIB : 0, 0xffff);
    put16(cmos + 0x34, low > 16 * MIB ? (low - 16 * MIB) / (64 * KIB) : 0, 0xffff);
}

int rtc_create(struct x86_devices *d, const struct guest_config *c)
{
    static const struct io_ops ops = { rtc_read, rtc_write, 1 };
    struct rtc *r = &d->rtc;
    uint64_t now = vm_time_ns(d->vm);

    assert_cpu0();
    r->vm = d->vm;
    spin_init(&r->lock, LOCK_DEVICE);
    event_init(&r->ev, rtc_event, 0);
    r->s.version = RTC_VERSION;
    r->s.base = time_wall_s() - now / SECOND;
    r->s.checked_ns = now;
    r->s.cmos[R_A] = 0x26;
    r->s.cmos[R_B] = B_24H;
    r->s.cmos[R_D] = D_VRT;
    memory_sizes(r->s.cmos, x86_low_ram(c));
    return io_list_add(d->vm, &d->regions,
                       &(struct io_region){ "rtc", IO_PORT, PORT_RTC, 2, &ops, r });
}
