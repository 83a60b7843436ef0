/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver that CONTRIBUTING.md shows, as it stands there: it compiles, and it probes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arch/io.h>
#include <hv/host_pci.h>
#include <hv/log.h>

#include EXAMPLE /* the part of CONTRIBUTING.md that is in C */

static const struct host_pci_dev devs[] = { { .class = 0x01, .subclass = 0x08, .prog_if = 0x02 },
                                            { .class = 0x08, .subclass = 0x05, .prog_if = 0x01 } };
static uint32_t regs[64] = { [0x40 / 4] = 52 << 8 };
static bool mapped;

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = ARRAY_SIZE(devs);
    return devs;
}

void *host_pci_map(const struct host_pci_dev *d, unsigned i, uint64_t len)
{
    assert_ptr_equal(d, &devs[1]);
    assert_int_equal(i, 0);
    assert_in_range(len, 0x44, sizeof regs);
    return mapped ? regs : NULL;
}

static bool logged(const char *text)
{
    char line[256];
    uint64_t seq = 0;

    while (log_read(&seq, LOG_INFO, line, sizeof line)) {
        if (strstr(line, text))
            return true;
    }
    return false;
}

static void the_driver_probes(void **state)
{
    (void)state;
    assert_int_equal(host_pci_probe(), 0);
    assert_true(logged("driver SD failed"));
    assert_false(logged("SD: base clock 52 MHz"));
    mapped = true;
    assert_int_equal(host_pci_probe(), 0);
    assert_true(logged("SD: base clock 52 MHz"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_driver_probes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
