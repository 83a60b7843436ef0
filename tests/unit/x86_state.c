/* SPDX-License-Identifier: BSD-2-Clause */
/* Saved states of an x86 machine's objects: taken, refused, and the machine that goes on from one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/x86_state.h"

#define MS 1000000ull
#define VCPUS 2
static _Alignas(8) uint8_t image[IMAGE_MAX], again[IMAGE_MAX];

/* Of a busy machine; then there is a fresh one. */
static size_t saved(void)
{
    size_t len;

    state_start(VCPUS);
    state_busy();
    fake_vm.paused_ns = host_now;
    len = state_take(image);
    fake_stop();
    state_start(VCPUS);
    fake_vm.paused_ns = host_now;
    return len;
}

/* As vm_resume(): all clocks go on where they stopped. */
static void go_on(void)
{
    fake_vm.stopped_ns = fake_vm.paused_ns;
    fake_vm.resumed_ns = host_now;
    fake_vm.time_offset_ns -= (int64_t)(host_now - fake_vm.paused_ns);
    fake_vm.paused_ns = 0;
    state_resume(&fake_vm);
}

static void test_identical(void **state)
{
    size_t len = saved();

    (void)state;
    assert_int_equal(state_restore(&fake_vm, image, len), 0);
    assert_int_equal(state_take(again), len);
    assert_memory_equal(image, again, len);
    fake_stop();
}

/* Each kind alone, into a machine that is otherwise new: it needs no other's state. */
static void test_each(void **state)
{
    size_t at = sizeof(struct state_image), len = saved();
    unsigned kinds = 0;

    (void)state;
    while (at < len) {
        const struct state_record *r = (const void *)(image + at);

        for (const struct state_ops *const *o = x86_state_table; *o; o++) {
            if ((*o)->kind != r->kind)
                continue;
            memset(again, 0, r->len);
            /* deadlines and edges are checked against the clock */
            fake_vm.paused_ns = host_now += 10 * MS;
            assert_int_equal((*o)->restore(&fake_vm, r->instance, r + 1), 0);
            assert_int_equal((*o)->size(&fake_vm, r->instance), r->len);
            assert_int_equal((*o)->save(&fake_vm, r->instance, again), 0);
            if (r->kind != STATE_X86_MACHINE)
                assert_memory_equal(again, r + 1, r->len);
            kinds++;
        }
        at += sizeof *r + ((r->len + 7) & ~7u);
    }
    assert_int_equal(kinds, 8 + 2 * VCPUS);
    fake_stop();
}

/*
 * Every bit of an image: with it turned, the image is refused, or it is what such a machine saves
 * again.
 */
static void test_every_bit(void **state)
{
    size_t len = saved();
    unsigned taken = 0, refused = 0;

    (void)state;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        uint8_t turned = (uint8_t)(1 << bit % 8);
        int err;

        image[bit / 8] ^= turned;
        err = state_restore(&fake_vm, image, len);
        if (err == 0) {
            assert_int_equal(state_take(again), len);
            assert_memory_equal(image, again, len);
            taken++;
        } else {
            assert_int_equal(err, -EINVAL);
            refused++;
        }
        image[bit / 8] ^= turned;
    }
    assert_true(taken > 1000 && refused > 1000);
    fake_stop();
}

/* What the code behind relies on, field by field. */
static const struct {
    uint32_t kind;
    size_t off, size;
    uint64_t val;
} bad_fields[] = {
#define ROW(kind, type, field, val)                                  \
    {                                                                \
        kind, offsetof(type, field), sizeof(((type *)0)->field), val \
    }
    ROW(STATE_LAPIC, struct lapic_state, id, 256),
    ROW(STATE_LAPIC, struct lapic_state, irr[0], 1 << 5),
    ROW(STATE_LAPIC, struct lapic_state, isr[0], 1 << 15),
    ROW(STATE_LAPIC, struct lapic_state, base, PLAT_LAPIC | BASE_EN),
    ROW(STATE_LAPIC, struct lapic_state, base, PLAT_LAPIC | BASE_BSP | BASE_X2),
    ROW(STATE_LAPIC, struct lapic_state, base, 1ull << 60 | BASE_BSP | BASE_EN),
    ROW(STATE_LAPIC, struct lapic_state, tdcr, 4),
    ROW(STATE_LAPIC, struct lapic_state, lvt[LVT_ERROR], 1 << 10),
    ROW(STATE_LAPIC, struct lapic_state, deadline, 1ull << 62),
    ROW(STATE_LAPIC, struct lapic_state, pv_eoi, FAKE_RAM + 1),
    ROW(STATE_LAPIC, struct lapic_state, signals, 4),
    ROW(STATE_PIT, struct pit_state, ch[0].count, 0),
    ROW(STATE_PIT, struct pit_state, ch[1].count, 65537),
    ROW(STATE_PIT, struct pit_state, ch[2].mode, 6),
    ROW(STATE_PIT, struct pit_state, ch[0].start, 1ull << 60),
    ROW(STATE_PIT, struct pit_state, ch[0].gate, 2),
    ROW(STATE_PIT, struct pit_state, next, 1ull << 60),
    ROW(STATE_RTC, struct rtc_state, index, 0x80),
    ROW(STATE_RTC, struct rtc_state, base, 1ull << 60),
    ROW(STATE_RTC, struct rtc_state, checked_ns, 1ull << 60),
    ROW(STATE_HPET, struct hpet_state, config, 4),
    ROW(STATE_HPET, struct hpet_state, status, 8),
    ROW(STATE_HPET, struct hpet_state, since, 1ull << 60),
    ROW(STATE_HPET, struct hpet_state, timer[0].config, 1 << 15),
    ROW(STATE_HPET, struct hpet_state, timer[1].config, 1 << 3),
    ROW(STATE_HPET, struct hpet_state, timer[2].compare, 1ull << 32),
    ROW(STATE_PM, struct pm_state, sts, 2),
    ROW(STATE_PM, struct pm_state, half, 1ull << 60),
    ROW(STATE_UART, struct uart16550_state, fill, 17),
    ROW(STATE_UART, struct uart16550_state, head, 16),
    ROW(STATE_UART, struct uart16550_state, ier, 0x10),
    ROW(STATE_KBC, struct kbc_state, full, 2),
    ROW(STATE_X86_CPU, struct x86_state, mcg_status, 8),
    ROW(STATE_X86_CPU, struct x86_state, mtrr_var[3], UINT64_MAX),
    ROW(STATE_X86_CPU, struct x86_state, debugctl, 1),
    ROW(STATE_X86_CPU, struct x86_state, kvm_steal_time, 2),
    ROW(STATE_X86_INTC, struct ioapic_state, rte[3], 1ull << 40),
    ROW(STATE_X86_INTC, struct ioapic_state, lines, 1u << IOAPIC_PINS),
    ROW(STATE_X86_INTC, struct ioapic_state, select, 0x100),
#undef ROW
    { STATE_X86_MACHINE, 8, 8, 1 }, /* another TSC's rate */
};

static void test_refused(void **state)
{
    size_t len = saved();

    (void)state;
    for (unsigned n = 0; n < ARRAY_SIZE(bad_fields); n++) {
        size_t at = sizeof(struct state_image);
        const struct state_record *r = (const void *)(image + at);
        uint8_t was[8], *field;

        while (r->kind != bad_fields[n].kind) {
            at += sizeof *r + ((r->len + 7) & ~7u);
            r = (const void *)(image + at);
        }
        field = image + at + sizeof *r + bad_fields[n].off;
        memcpy(was, field, bad_fields[n].size);
        memcpy(field, &bad_fields[n].val, bad_fields[n].size);
        if (state_restore(&fake_vm, image, len) != -EINVAL)
            fail_msg("row %u is taken", n);
        memcpy(field, was, bad_fields[n].size);
    }
    assert_int_equal(state_restore(&fake_vm, image, len), 0);
    fake_stop();
}

/* The next PIT edge comes when it would have come, by the guest's clock. */
static void test_goes_on(void **state)
{
    size_t len = saved();
    uint64_t guest_ns, edge, tsc;
    struct lapic *l;

    (void)state;
    assert_int_equal(state_restore(&fake_vm, image, len), 0);
    guest_ns = vm_time_ns(&fake_vm);
    tsc = fake_machine.stopped_tsc;
    host_now += 50 * MS;
    go_on();
    assert_int_equal(vm_time_ns(&fake_vm), guest_ns);
    assert_int_equal(host_now + fake_machine.tsc_offset, tsc);
    edge = x86_devices_of(&fake_vm)->pit.s.next;
    assert_true(edge != 0);
    l = lapic_of(&fake_vcpu[1]);
    assert_int_equal(l->isr_top, 0x71);
    /* what was in service ends, and what waited comes: 0xc5, then 0x72 */
    assert_int_equal(take(1), 0xc5);
    apic_write(1, APIC_EOI, 0);
    apic_write(1, APIC_EOI, 0);
    assert_int_equal(take(1), 0x72);
    apic_write(1, APIC_EOI, 0);
    advance(20 * MS);
    assert_true(x86_devices_of(&fake_vm)->pit.s.next > edge);
    assert_int_equal(inb(0x3f8), 'b');
    fake_stop();
}

/* A device takes a while to come to a stand: the TSC stops when the VM's clock does, as saved. */
static void test_clocks_stop_together(void **state)
{
    int64_t apart;
    size_t len;

    (void)state;
    state_start(VCPUS);
    state_busy();
    apart = (int64_t)(host_now + fake_machine.tsc_offset - vm_time_ns(&fake_vm));
    assert_int_equal(state_quiesce(&fake_vm), 0);
    host_now += 5 * MS;
    fake_vm.paused_ns = host_now;
    host_now += 7 * MS;
    len = state_take(image);
    host_now += 50 * MS;
    go_on();
    assert_int_equal(host_now + fake_machine.tsc_offset - vm_time_ns(&fake_vm), apart);
    fake_stop();
    state_start(VCPUS);
    assert_int_equal(state_restore(&fake_vm, image, len), 0);
    host_now += MS;
    go_on();
    assert_int_equal(host_now + fake_machine.tsc_offset - vm_time_ns(&fake_vm), apart);
    fake_stop();
}

/* The wall clock went on while the guest was away: so does its RTC. */
static void test_wall_clock(void **state)
{
    size_t len = saved();
    uint64_t base;

    (void)state;
    assert_int_equal(state_restore(&fake_vm, image, len), 0);
    base = x86_devices_of(&fake_vm)->rtc.s.base;
    host_now += 3600 * 1000 * MS;
    go_on();
    assert_in_range(x86_devices_of(&fake_vm)->rtc.s.base, base + 3599, base + 3601);
    fake_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identical),  cmocka_unit_test(test_each),
        cmocka_unit_test(test_every_bit),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_goes_on),    cmocka_unit_test(test_clocks_stop_together),
        cmocka_unit_test(test_wall_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
