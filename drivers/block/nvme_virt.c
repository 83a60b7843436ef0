/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_virt.c: a controller's virtual functions get their share of its queues and interrupts, and
 * are set online: steps of the set-up, so that they come again after each reset, which sets them
 * offline. Nothing that the controller says is used unchecked.
 */
#include <hv/log.h>
#include <string.h>

#include "nvme.h"

enum { OACS_VIRTUALIZATION = 1 << 7, CNS_PRIMARY = 0x14, CNS_SECONDARY = 0x15 };
/*
 * Base section 5.17.2, CNS 14h: which resources are flexible, and, of queues and of interrupts, how
 * many are in all, are the primary's, can be one's, are given at a time.
 */
enum { PRIMARY_ID = 0, PRIMARY_TYPES = 4, PRIMARY_QUEUES = 32, PRIMARY_INTERRUPTS = 64 };
enum { SHARE_TOTAL = 0, SHARE_OWN = 8, SHARE_MOST = 12, SHARE_UNIT = 14 };
static const uint16_t shares[NVME_SHARES] = { PRIMARY_QUEUES, PRIMARY_INTERRUPTS };
/* An admin queue and one more; Base section 8.26.1: fewer do not go online. */
static const uint16_t least[NVME_SHARES] = { 2, 1 };
/* CNS 15h */
enum { LIST_FIRST = 32, LIST_ENTRY = 32, ENTRY_ID = 0, ENTRY_VF = 8 };
/* Base section 5.28 */
enum { ACT_PRIMARY = 1, ACT_OFFLINE = 7, ACT_ASSIGN = 8, ACT_ONLINE = 9, SHARE_SHIFT = 8 };
static const struct {
    uint8_t act, share;
} acts[] = { { ACT_OFFLINE, 0 }, { ACT_ASSIGN, 0 }, { ACT_ASSIGN, 1 }, { ACT_ONLINE, 0 } };

static uint16_t virt_word(const struct nvme *n, unsigned at)
{
    return (uint16_t)(n->ident[at] | n->ident[at + 1] << 8);
}

static void virt_command(struct nvme_sqe *sqe, uint16_t controller, unsigned act, unsigned share,
                         uint16_t number)
{
    sqe->opcode = NVME_VIRTUALIZATION;
    sqe->cdw10 = (uint32_t)controller << 16 | share << SHARE_SHIFT | act;
    sqe->cdw11 = number;
}

void nvme_virt_can(struct nvme *n, uint16_t oacs)
{
    n->virt.manages = n->virt.vfs && oacs & OACS_VIRTUALIZATION;
}

/* ---- what there is to share ---- */

bool nvme_virt_lacks(struct nvme *n) { return !n->virt.manages; }

void nvme_virt_ask_primary(struct nvme *n, struct nvme_sqe *sqe)
{
    nvme_identify(n, sqe, CNS_PRIMARY, 0);
}

/* What each gets of those: as many as all can have. */
static int virt_share(struct nvme *n, unsigned share)
{
    struct nvme_virt *v = &n->virt;
    unsigned at = shares[share], unit = virt_word(n, at + SHARE_UNIT);
    uint32_t total = virt_word(n, at + SHARE_TOTAL), own = virt_word(n, at + SHARE_OWN), each;

    v->each[share] = 0;
    v->release[share] = false;
    if (!(n->ident[PRIMARY_TYPES] >> share & 1)) /* each has its own */
        return 0;
    each = (uint32_t)min_u64(total / v->vfs, virt_word(n, at + SHARE_MOST));
    if (unit)
        each -= each % unit;
    if (each < least[share])
        return -ENOSPC;
    v->each[share] = (uint16_t)each;
    v->release[share] = own && total < own + each * v->vfs;
    return 0;
}

int nvme_virt_got_primary(struct nvme *n, uint32_t dw0)
{
    int err = 0;

    (void)dw0;
    n->virt.id = virt_word(n, PRIMARY_ID);
    n->virt.step = n->virt.working = 0;
    for (unsigned share = 0; !err && share < NVME_SHARES; share++)
        err = virt_share(n, share);
    if (err)
        n->virt.manages = false;
    if (n->virt.tried)
        memset(n->virt.release, 0, sizeof n->virt.release);
    return err;
}

/* ---- the primary controller's own ---- */

bool nvme_virt_keeps(struct nvme *n)
{
    return !n->virt.manages || (!n->virt.release[0] && !n->virt.release[1]);
}

void nvme_virt_ask_release(struct nvme *n, struct nvme_sqe *sqe)
{
    unsigned share = n->virt.release[0] ? 0 : 1;

    n->virt.release[share] = false;
    n->virt.tried = true;
    virt_command(sqe, n->virt.id, ACT_PRIMARY, share, 0);
}

int nvme_virt_got_release(struct nvme *n, uint32_t dw0)
{
    (void)dw0;
    n->virt.waits = true;
    return 0;
}

/* ---- the functions ---- */

bool nvme_virt_is_early(struct nvme *n) { return !n->virt.manages || n->virt.waits; }

void nvme_virt_ask_list(struct nvme *n, struct nvme_sqe *sqe)
{
    memset(n->virt.ids, 0, sizeof n->virt.ids);
    nvme_identify(n, sqe, CNS_SECONDARY, 0);
}

int nvme_virt_got_list(struct nvme *n, uint32_t dw0)
{
    (void)dw0;
    for (unsigned i = 0; i < n->ident[0] && i < NVME_VFS; i++) {
        unsigned at = LIST_FIRST + LIST_ENTRY * i, vf = virt_word(n, at + ENTRY_VF);

        if (vf && vf <= n->virt.vfs) /* counted from 1 */
            n->virt.ids[vf - 1] = virt_word(n, at + ENTRY_ID);
    }
    return 0;
}

/* What is not to be asked for is passed over. */
bool nvme_virt_is_done(struct nvme *n)
{
    struct nvme_virt *v = &n->virt;

    if (nvme_virt_is_early(n))
        return true;
    for (; v->step < v->vfs * ARRAY_SIZE(acts); v->step++) {
        unsigned i = v->step % ARRAY_SIZE(acts);

        if (v->ids[v->step / ARRAY_SIZE(acts)] &&
            (acts[i].act != ACT_ASSIGN || v->each[acts[i].share]))
            return false;
    }
    return true;
}

void nvme_virt_ask_share(struct nvme *n, struct nvme_sqe *sqe)
{
    struct nvme_virt *v = &n->virt;
    unsigned i = v->step % ARRAY_SIZE(acts);

    virt_command(sqe, v->ids[v->step / ARRAY_SIZE(acts)], acts[i].act, acts[i].share,
                 acts[i].act == ACT_ASSIGN ? v->each[acts[i].share] : 0);
    v->step++;
}

int nvme_virt_got_share(struct nvme *n, uint32_t dw0)
{
    (void)dw0;
    n->virt.working += n->virt.step % ARRAY_SIZE(acts) == 0; /* that was the last for it */
    return 0;
}
