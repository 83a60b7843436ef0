/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * its_cmd.c: the ITS's commands, GICv3 §5.3. A command with a wrong parameter does nothing, as
 * §5.3.1 allows when GITS_TYPER.SEIS is 0. Fields: DeviceID cmd[0] 63:32; EventID cmd[1] 31:0;
 * pINTID cmd[1] 63:32; ICID cmd[2] 15:0; RDbase cmd[2] 50:16 (a vCPU's number, PTA is 0); Valid
 * cmd[2] 63; ITT size cmd[1] 4:0 and address cmd[2] 51:8.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/nospec.h>
#include "its.h"

#define COST_ALL 64u /* a walk over all LPIs */

static uint32_t device_of(const uint64_t cmd[4]) { return (uint32_t)(cmd[0] >> 32); }
static uint32_t event_of(const uint64_t cmd[4]) { return (uint32_t)cmd[1]; }
static uint32_t collection_of(const uint64_t cmd[4]) { return (uint32_t)cmd[2] & 0xffff; }

static struct vgic_cpu *redist_of(struct vgic *g, uint64_t field)
{
    uint64_t n = field >> 16 & 0x7ffffffff;

    return n < g->n ? g->cpu[index_nospec(n, g->n)] : NULL;
}

static bool cmd_mapd(struct vgic *g, const uint64_t cmd[4])
{
    uint64_t *dte =
        device_of(cmd) >> ITS_DEVICE_BITS ? NULL : its_table(g, ITS_DEVICES, device_of(cmd));

    if (!dte || (cmd[2] & ITS_VALID && (cmd[1] & 31) >= ITS_EVENT_BITS))
        return false;
    its_store(dte, cmd[2] & ITS_VALID ? ITS_VALID | (cmd[2] & ITS_ITT_ADDR) | (cmd[1] & 31) : 0);
    return true;
}

static bool cmd_mapc(struct vgic *g, const uint64_t cmd[4])
{
    uint64_t *cte = its_table(g, ITS_COLLECTIONS, collection_of(cmd));
    struct vgic_cpu *c = redist_of(g, cmd[2]);

    if (!cte || (cmd[2] & ITS_VALID && !c))
        return false;
    its_store(cte, cmd[2] & ITS_VALID ? ITS_VALID | c->id : 0);
    return true;
}

static bool map_event(struct vgic *g, const uint64_t cmd[4], uint32_t intid)
{
    uint64_t *ite = its_entry(g, device_of(cmd), event_of(cmd));
    unsigned idx = vgic_index(g, intid);
    struct vgic_cpu *c = its_collection(g, collection_of(cmd));

    if (!ite || idx == ~0u || idx < VGIC_LPI)
        return false;
    its_store(ite, ITS_VALID | (uint64_t)collection_of(cmd) << 32 | intid);
    if (c) {
        its_route(g, idx, c);
        its_load_config(g, c, idx);
    } else {
        its_unroute(g, idx);
    }
    return true;
}

static bool cmd_mapti(struct vgic *g, const uint64_t cmd[4])
{
    return map_event(g, cmd, (uint32_t)(cmd[1] >> 32));
}

/* The LPI is the EventID itself. */
static bool cmd_mapi(struct vgic *g, const uint64_t cmd[4])
{
    return map_event(g, cmd, event_of(cmd));
}

static bool cmd_movi(struct vgic *g, const uint64_t cmd[4])
{
    struct vgic_cpu *c = its_collection(g, collection_of(cmd));
    struct its_target t;

    if (!its_translate(g, device_of(cmd), event_of(cmd), &t) || !c)
        return false;
    its_store(t.entry, ITS_VALID | (uint64_t)collection_of(cmd) << 32 | vgic_intid(t.idx));
    its_route_anew(g, t.idx, c);
    return true;
}

static bool cmd_int(struct vgic *g, const uint64_t cmd[4])
{
    struct its_target t;

    if (!its_translate(g, device_of(cmd), event_of(cmd), &t))
        return false;
    its_pend(g, &t);
    return true;
}

static bool cmd_clear(struct vgic *g, const uint64_t cmd[4])
{
    struct its_target t;

    if (!its_translate(g, device_of(cmd), event_of(cmd), &t))
        return false;
    vgic_clear_latch(g, NULL, t.idx);
    return true;
}

static bool cmd_discard(struct vgic *g, const uint64_t cmd[4])
{
    struct its_target t;

    if (!its_translate(g, device_of(cmd), event_of(cmd), &t))
        return false;
    its_unroute(g, t.idx);
    its_store(t.entry, 0);
    return true;
}

static bool cmd_inv(struct vgic *g, const uint64_t cmd[4])
{
    struct its_target t;

    if (!its_translate(g, device_of(cmd), event_of(cmd), &t) || !t.cpu)
        return false;
    its_load_config(g, t.cpu, t.idx);
    return true;
}

static bool cmd_invall(struct vgic *g, const uint64_t cmd[4])
{
    struct vgic_cpu *c = its_collection(g, collection_of(cmd));

    if (c)
        its_load_all(g, c);
    return c != NULL;
}

/* All that is pending on the first vCPU (cmd[2]) goes to the second (cmd[3]). */
static bool cmd_movall(struct vgic *g, const uint64_t cmd[4])
{
    struct vgic_cpu *from = redist_of(g, cmd[2]), *to = redist_of(g, cmd[3]);

    if (!from || !to)
        return false;
    for (unsigned n = 0; from != to && n < VGIC_LPIS; n++)
        if (g->lpi[n / 32].route[n % 32] == from->id &&
            (g->lpi[n / 32].latch | g->lpi[n / 32].in_lr) >> n % 32 & 1)
            its_route(g, VGIC_LPI + n, to);
    return true;
}

/* Everything is done when its command is. */
static bool cmd_sync(struct vgic *g, const uint64_t cmd[4]) { return redist_of(g, cmd[2]) != NULL; }

static const struct {
    bool (*fn)(struct vgic *, const uint64_t cmd[4]);
    uint8_t cost;
} commands[] = {
    [0x01] = { cmd_movi, 1 },          [0x03] = { cmd_int, 1 },
    [0x04] = { cmd_clear, 1 },         [0x05] = { cmd_sync, 1 },
    [0x08] = { cmd_mapd, 1 },          [0x09] = { cmd_mapc, 1 },
    [0x0a] = { cmd_mapti, 1 },         [0x0b] = { cmd_mapi, 1 },
    [0x0c] = { cmd_inv, 1 },           [0x0d] = { cmd_invall, COST_ALL },
    [0x0e] = { cmd_movall, COST_ALL }, [0x0f] = { cmd_discard, 1 },
};

unsigned its_command(struct vgic *g, const uint64_t cmd[4])
{
    unsigned op = cmd[0] & 0xff, n = (unsigned)index_nospec(op, ARRAY_SIZE(commands));
    bool known = op < ARRAY_SIZE(commands) && commands[n].fn;

    debug_assert_held(&g->lock);
    if (!known || !commands[n].fn(g, cmd))
        vm_log(g->vm, LOG_DEBUG, "ITS: command %#x %#llx %#llx %#llx: ignored", op,
               (unsigned long long)cmd[0], (unsigned long long)cmd[1], (unsigned long long)cmd[2]);
    return known ? commands[n].cost : 1;
}
