/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver of Intel's gigabit NICs against one that lies: see nic.h. */
#include "tests/unit/e1000_model.h"

#include "tests/unit/nic_user.h"

#include "nic.h"

extern const struct pci_driver e1000_driver;
const struct pci_driver *const driver_under_test = &e1000_driver;

static void device_new(void)
{
    model_new();
    model_dev.vendor = 0x8086;
    model_dev.device = 0x10d3;
    m.has_irq = m.msix = true;
}

/* A descriptor of either ring is written to, wherever the device is. */
static void forge(const uint8_t *op)
{
    uint32_t base = op[1] & 1 ? 0x3800 : 0x2800;
    uint64_t ring = m_get(base) | (uint64_t)m_get(base + 4) << 32;

    if (!(m_get(0x100) & 2) || !m.master || !ring)
        return;
    m.nheld = 0;
    memset((uint8_t *)(uintptr_t)ring + 16 * (uint64_t)op[2] + 8, op[3], 8);
}

static void device_lies(const uint8_t *op)
{
    switch (op[1] >> 2 & 15) {
    case 0: m.keep = op[2]; break;
    case 1: m.never_resets = op[2] & 1; break;
    case 2:
    case 3: model_link(op[2] & 1); break;
    case 4: m.gone = op[2] > 250; break;
    case 5: m_set(0xc0, op[2] * 0x01010101u); break;
    case 6: m_set(0x2810, op[2]); break;
    case 7: (void)model_receive(op[2] * 7u, op[3], 1); break;
    case 8:
    case 9:
    case 10: (void)model_receive(op[2] * 7u, 0, 1 + op[3] % 3); break;
    default: forge(op); break;
    }
}
