/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver of the host's virtio-net devices against one that lies: see nic.h. */
#include "tests/unit/vnet_model.h"

#include "tests/unit/nic_user.h"

#include "nic.h"

extern const struct pci_driver virtio_net_driver;
const struct pci_driver *const driver_under_test = &virtio_net_driver;

static void device_new(void)
{
    model_new();
    model_dev.vendor = 0x1af4;
    model_dev.device = 0x1041;
    m.has_irq = true;
}

/* An answer from nowhere: in either ring, at any place, of any length. */
static void forge(const uint8_t *op)
{
    struct model_queue *q = &m.q[op[1] & 1];

    if (!m_running(q) || !q->device)
        return;
    m.nheld = 0; /* what it said is done it may say it has: only an IOMMU would help */
    if (op[1] & 0x80)
        *(uint16_t *)(void *)(m_used(q) + 2) = (uint16_t)(op[2] | op[3] << 8);
    else
        m_answer(q, op[2], (uint32_t)op[3] << (op[1] >> 2 & 31));
}

static void device_lies(const uint8_t *op)
{
    switch (op[1] >> 2 & 15) {
    case 0: m.keep = op[2]; break;
    case 1: m.twice = op[2]; break;
    case 2: m.never_resets = op[2] & 1; break;
    case 3: m.no_features = op[2] & 1; break;
    case 4: model_link(op[2] & 1); break;
    case 5: m.status |= 64; break;
    case 6: m.gone = op[2] > 250; break;
    case 7: m.q[op[2] % M_QUEUES].size = op[3] | 1; break;
    case 8:
    case 9: (void)model_receive(op[2] * 7u, 0); break;
    case 10: (void)model_receive(op[2] * 7u, (uint32_t)op[3] << (op[2] & 31)); break;
    default: forge(op); break;
    }
}
