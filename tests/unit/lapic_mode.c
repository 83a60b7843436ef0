/* SPDX-License-Identifier: BSD-2-Clause */
/* xAPIC or x2APIC, over what machines are like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86_64/lapic_mode.h"

static void each_machine(void **state)
{
    static const struct {
        const char *name;
        struct lapic_facts f;
        bool x2, warn;
    } machines[] = {
        { "a PC: left in xAPIC", { true, false, false, 22 }, false, false },
        { "a PC of 2008", { false, false, false, 7 }, false, false },
        { "a laptop that asks for xAPIC", { true, false, true, 15 }, false, false },
        { "a server left in x2APIC", { true, true, false, 95 }, true, false },
        { "id 254 is the last of xAPIC", { true, false, false, 254 }, false, false },
        { "id 255 needs x2APIC", { true, false, false, 255 }, true, false },
        { "a server of two sockets", { true, false, false, 511 }, true, false },
        { "the same, and its DMAR asks for xAPIC", { true, false, true, 511 }, false, true },
        { "left in x2APIC, and asks for xAPIC", { true, true, true, 63 }, true, true },
        { "ids that the CPU cannot have", { false, false, false, 300 }, false, true },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
        struct lapic_mode m = lapic_mode(&machines[i].f);

        if (m.x2 != machines[i].x2 || m.warn != machines[i].warn)
            fail_msg("%s: %s", machines[i].name, m.why);
        assert_non_null(strstr(m.why, m.x2 ? "x2APIC" : "xAPIC"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_machine) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
