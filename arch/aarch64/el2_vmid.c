/* SPDX-License-Identifier: BSD-2-Clause */
/* el2_vmid.c: VMIDs and their roll-over. */
#include "el2_vmid.h"

void vmid_init(struct vmids *m, unsigned bits, void (*flush_all)(void))
{
    *m = (struct vmids){ .max = (1u << bits) - 1, .next = 1, .flush_all = flush_all };
}

static bool el2_vmid_is_live(const struct vmids *m, uint32_t vmid)
{
    for (unsigned i = 0; i < MAX_VMS; i++)
        if (m->live[i] == vmid)
            return true;
    return false;
}

/* At most MAX_VMS live ones lie in the way, and each generation begins with a flush. */
static uint32_t next_unused(struct vmids *m)
{
    for (uint32_t tries = 0; tries <= 2 * MAX_VMS; tries++) {
        if (m->next > m->max) {
            m->flush_all();
            m->generation++;
            m->next = 1;
        }
        uint32_t vmid = m->next++;
        if (!el2_vmid_is_live(m, vmid))
            return vmid;
    }
    return 0;
}

uint32_t vmid_get(struct vmids *m)
{
    for (unsigned i = 0; i < MAX_VMS; i++)
        if (!m->live[i])
            return m->live[i] = next_unused(m);
    return 0;
}

void vmid_put(struct vmids *m, uint32_t vmid)
{
    for (unsigned i = 0; i < MAX_VMS; i++)
        if (vmid && m->live[i] == vmid)
            m->live[i] = 0;
}
