/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors that the host's PCI functions record of themselves: told once, with who has the function,
 * taken from it, counted when there are many; what is masked, or does not answer, is not told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include <hv/event.h>
#include <hv/log.h>
#include <hv/time.h>
#include "pci_machine.h"

#define SECOND 1000000000ull
enum { AER = 0x150, FATAL = AER + 4, MASK = AER + 8, SEVERITY = AER + 12 };
enum { CORRECTED = AER + 16, CORRECTED_MASK = AER + 20 };

static uint64_t now;
static struct event *timer;
static char last[300];
static unsigned lines;
static uint32_t nic;

uint64_t time_ns(void) { return now; }

void event_init(struct event *ev, void (*f)(struct event *), uint32_t cpu)
{
    *ev = (struct event){ .fn = f, .cpu = (uint16_t)cpu };
}

void event_at(struct event *ev, uint64_t ns)
{
    assert_int_equal(ns, now + SECOND);
    timer = ev;
}

void hv_log(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    (void)level;
    va_start(ap, fmt);
    vsnprintf(last, sizeof last, fmt, ap);
    va_end(ap);
    lines++;
}

static void a_second(void)
{
    now += SECOND;
    last[0] = '\0';
    timer->fn(timer);
}

static int fresh(void **state)
{
    (void)state;
    machine_count = 0;
    machine_endpoint(0, 1, 0, 0x010802); /* without */
    nic = machine_endpoint(3, 0, 0, 0x020000);
    machine_set(nic, 0x100, 4, 0x0d | 1 | (uint32_t)AER << 20);
    machine_set(nic, AER, 4, 1 | 1 << 16);
    host_topology_init();
    machine_set(nic, FATAL, 4, 1 << 20); /* the firmware's */
    lines = 0;
    host_pci_errors_init();
    assert_int_equal(lines, 0);
    machine_set(nic, FATAL, 4, 0);
    return 0;
}

static void told(void **state)
{
    uint64_t count;

    (void)state;
    assert_null(host_pci_errors(nic, &count));
    a_second();
    assert_int_equal(lines, 0);
    machine_set(nic, FATAL, 4, 1 << 14 | 1 << 20);
    machine_set(nic, MASK, 4, 1 << 20);
    a_second();
    assert_string_equal(last,
                        "PCI 0000:03:00.0 reports an error: no answer to a request (00004000)");
    assert_memory_equal(machine_cfg[nic] + FATAL, ((uint8_t[]){ 0, 0x40, 0, 0 }), 4);
    machine_set(nic, SEVERITY, 4, 1 << 18);
    machine_set(nic, FATAL, 4, 1 << 18);
    host_topology_set_owner(nic, "web");
    a_second();
    assert_string_equal(last, "PCI 0000:03:00.0 (guest web) reports a fatal error: a malformed "
                              "packet (00040000)");
    machine_set(nic, FATAL, 4, 0);
    machine_set(nic, CORRECTED, 4, 1 << 6 | 1 << 13);
    machine_set(nic, CORRECTED_MASK, 4, 1 << 13);
    a_second();
    assert_string_equal(last, "PCI 0000:03:00.0 (guest web): the hardware corrected a bad packet "
                              "(00000040)");
    assert_int_equal(lines, 3);
    assert_string_equal(host_pci_errors(nic, &count), "a bad packet");
    assert_int_equal(count, 3);
}

static void not_told(void **state)
{
    uint64_t count;

    (void)state;
    machine_set(nic, FATAL, 4, 1 << 20);
    machine_set(nic, MASK, 4, 1 << 20);
    a_second();
    machine_set(nic, FATAL, 4, UINT32_MAX); /* gone, or in a reset */
    machine_set(nic, CORRECTED, 4, UINT32_MAX);
    a_second();
    assert_int_equal(lines, 0);
    assert_null(host_pci_errors(nic, &count));
}

static void many(void **state)
{
    uint64_t count;

    (void)state;
    machine_set(nic, FATAL, 4, 1u << 31);
    for (unsigned i = 0; i < 50; i++)
        a_second();
    assert_int_equal(lines, 10);
    assert_non_null(host_pci_errors(nic, &count));
    assert_int_equal(count, 50);
    now += 60 * SECOND;
    a_second();
    assert_int_equal(lines, 12); /* how many there were, and this one */
    assert_non_null(strstr(last, "a fault without a name (80000000)"));
}

static void none_has_it(void **state)
{
    (void)state;
    machine_set(nic, AER, 4, 0);
    machine_set(nic, 0x100, 4, 0);
    timer = NULL;
    host_pci_errors_init();
    assert_null(timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(told, fresh),
        cmocka_unit_test_setup(not_told, fresh),
        cmocka_unit_test_setup(many, fresh),
        cmocka_unit_test_setup(none_has_it, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
