/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_setup.c: what a controller is asked before it is used: what it is, its namespaces, a pair of
 * queues. One admin command at a time. Nothing that it says is used unchecked.
 */
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme.h"

/* Base section 5.17.2.1, figure 275: identify controller */
enum {
    CTRL_SN = 4,
    CTRL_SN_LEN = 20,
    CTRL_MN = 24,
    CTRL_MN_LEN = 40,
    CTRL_MDTS = 77,
    CTRL_OACS = 256,
    CTRL_SQES = 512,
    CTRL_CQES = 513,
    CTRL_ONCS = 520
};
enum { ONCS_DATASET = 1 << 2, ONCS_ZEROES = 1 << 3 };
/* NVM section 4.1.5.1, figure 97: identify namespace */
enum {
    NS_SIZE = 0,
    NS_FEATURES = 24,
    NS_NLBAF = 25,
    NS_FLBAS = 26,
    NS_DPS = 29,
    NS_LBAF = 128,
    NS_LBAFS = 64
};
enum { CNS_NS = 0, CNS_CTRL = 1, CNS_LIST = 2, MDTS_MOST = 8 };
/* Base section 5.2.1 and 5.2.2: interrupts on, physically contiguous */
enum { QUEUE_CONTIGUOUS = 1, QUEUE_INTERRUPT = 2, IO_ID = 1 };
#define UNIT_SHIFT 9 /* sectors of 512 bytes */
/* NPWG of figure 97, and the bit of NSFEAT that says it is there */
enum { NS_WRITES = 64, NS_HAS_WRITES = 1 << 4, NS_BEST = 1 << 16 };
/* Sectors of one command, so that it ends well within its time: 256 MiB, 8 MiB. */
enum { DISCARD_MOST = 1 << 19, ZEROES_MOST = 1 << 14 };

/* What is printable of a field padded with blanks. */
static void copy_words(char *dst, const uint8_t *src, size_t len)
{
    size_t end = 0;

    for (size_t i = 0; i < len; i++) {
        dst[i] = src[i] > ' ' && src[i] < 0x7f ? (char)src[i] : ' ';
        if (dst[i] != ' ')
            end = i + 1;
    }
    dst[end] = '\0';
}

void nvme_identify(struct nvme *n, struct nvme_sqe *sqe, uint32_t cns, uint32_t nsid)
{
    memset(n->ident, 0, PAGE_SIZE);
    sqe->opcode = NVME_IDENTIFY;
    sqe->nsid = nsid;
    sqe->prp1 = dma_at(n->dma, n->ident);
    sqe->cdw10 = cns;
}

/* ---- the steps ---- */

static void ask_ctrl(struct nvme *n, struct nvme_sqe *sqe) { nvme_identify(n, sqe, CNS_CTRL, 0); }

static int got_ctrl(struct nvme *n, uint32_t dw0)
{
    uint8_t mdts = n->ident[CTRL_MDTS], sqes = n->ident[CTRL_SQES], cqes = n->ident[CTRL_CQES];

    (void)dw0;
    /* entries of 64 and 16 bytes: least in the low half, most in the high half */
    if ((sqes & 15) > 6 || sqes >> 4 < 6 || (cqes & 15) > 4 || cqes >> 4 < 4)
        return -ENOTSUP;
    nvme_virt_can(n, (uint16_t)(n->ident[CTRL_OACS] | n->ident[CTRL_OACS + 1] << 8));
    n->dataset = n->ident[CTRL_ONCS] & ONCS_DATASET;
    n->zeroes = n->ident[CTRL_ONCS] & ONCS_ZEROES;
    copy_words(n->serial, n->ident + CTRL_SN, CTRL_SN_LEN);
    copy_words(n->model, n->ident + CTRL_MN, CTRL_MN_LEN);
    n->max_bytes = NVME_MAX_BYTES;
    if (mdts && mdts < MDTS_MOST)
        n->max_bytes = (uint32_t)PAGE_SIZE << mdts;
    return 0;
}

static void ask_list(struct nvme *n, struct nvme_sqe *sqe) { nvme_identify(n, sqe, CNS_LIST, 0); }

static int got_list(struct nvme *n, uint32_t dw0)
{
    uint32_t before = 0;

    (void)dw0;
    n->nids = n->ns_at = 0;
    for (unsigned i = 0; i < PAGE_SIZE / 4; i++) {
        uint32_t id;

        memcpy(&id, n->ident + 4 * i, 4);
        if (id == 0)
            break;
        if (id <= before || id >= 0xfffffffe) /* they rise */
            return -EPROTO;
        before = id;
        if (n->nids == NVME_NAMESPACES) {
            log_warn("NVMe %s: only its first %d namespaces are used", n->name, NVME_NAMESPACES);
            break;
        }
        n->ids[n->nids++] = id;
    }
    return 0;
}

static void ask_ns(struct nvme *n, struct nvme_sqe *sqe)
{
    nvme_identify(n, sqe, CNS_NS, n->ids[n->ns_at]);
}

static bool no_ns(struct nvme *n) { return n->ns_at >= n->nids; }

/* Block size as a shift; 0: a format that Trivet does not use. */
static uint32_t ns_shift(const uint8_t *id)
{
    uint8_t flbas = id[NS_FLBAS];
    unsigned at = (flbas & 15u) | (flbas >> 1 & 0x30u);
    const uint8_t *lbaf = id + NS_LBAF + 4 * (at % NS_LBAFS);

    if (at > id[NS_NLBAF] || at >= NS_LBAFS || lbaf[0] || lbaf[1] || id[NS_DPS] & 7)
        return 0;
    return lbaf[2] == 9 || lbaf[2] == 12 ? lbaf[2] : 0;
}

/* What it writes best at a time (NVM section 5.8.2.1): bytes, a power of two; 0: it does not tell.
 */
static uint32_t ns_physical(const uint8_t *id, uint32_t shift)
{
    uint32_t blocks = 1u + id[NS_WRITES] + 256u * id[NS_WRITES + 1];

    if (!(id[NS_FEATURES] & NS_HAS_WRITES) || blocks & (blocks - 1) || blocks << shift > NS_BEST)
        return 0;
    return blocks << shift;
}

static struct blk_limits ns_limits(const struct nvme *n, uint32_t shift)
{
    return (struct blk_limits){ .block = 1u << shift,
                                .max_bytes = n->max_bytes,
                                .max_segs = (uint16_t)(n->max_bytes / PAGE_SIZE + 1),
                                .align = 4,
                                .dma = true,
                                .discard_max = n->dataset ? DISCARD_MOST : 0,
                                .zeroes_max = n->zeroes ? ZEROES_MOST : 0,
                                .physical = ns_physical(n->ident, shift) };
}

static void add_ns(struct nvme *n, uint32_t id, uint32_t shift, uint64_t blocks)
{
    struct nvme_ns *ns = calloc(1, sizeof *ns); /* charge: the host's disks are Trivet's own */

    if (!ns)
        return;
    ns->ctrl = n;
    ns->id = id;
    ns->shift = shift;
    ns->disk.blk.ops = &nvme_ops;
    ns->disk.blk.sectors = blocks << (shift - UNIT_SHIFT);
    ns->disk.blk.limits = ns_limits(n, shift);
    snprintf(ns->disk.model, sizeof ns->disk.model, "%s", n->model);
    snprintf(ns->disk.serial, sizeof ns->disk.serial, "%s", n->serial);
    snprintf(ns->disk.at, sizeof ns->disk.at, "%s", n->name);
    ns->disk.unit = id;
    n->ns[n->nns++] = ns;
}

static int got_ns(struct nvme *n, uint32_t dw0)
{
    uint32_t shift = ns_shift(n->ident), id = n->ids[n->ns_at++];
    uint64_t blocks;

    (void)dw0;
    memcpy(&blocks, n->ident + NS_SIZE, sizeof blocks);
    if (shift && blocks && blocks <= (uint64_t)INT64_MAX >> shift)
        add_ns(n, id, shift, blocks);
    else
        log_warn("NVMe %s: namespace %u is not used: its size or its format is not supported",
                 n->name, id);
    return 0;
}

static void ask_queues(struct nvme *n, struct nvme_sqe *sqe)
{
    (void)n;
    sqe->opcode = NVME_SET_FEATURES;
    sqe->cdw10 = NVME_FEATURE_QUEUES;
    sqe->cdw11 = 0; /* one of each; counted from 0 */
}

static int got_nothing(struct nvme *n, uint32_t dw0)
{
    (void)n, (void)dw0;
    return 0;
}

static void ask_cq(struct nvme *n, struct nvme_sqe *sqe)
{
    sqe->opcode = NVME_CREATE_CQ;
    sqe->prp1 = dma_at(n->dma, n->io.cq);
    sqe->cdw10 = (uint32_t)(n->io.depth - 1) << 16 | IO_ID;
    sqe->cdw11 = QUEUE_CONTIGUOUS | (n->irq ? QUEUE_INTERRUPT : 0); /* vector 0 */
}

static void ask_sq(struct nvme *n, struct nvme_sqe *sqe)
{
    sqe->opcode = NVME_CREATE_SQ;
    sqe->prp1 = dma_at(n->dma, n->io.sq);
    sqe->cdw10 = (uint32_t)(n->io.depth - 1) << 16 | IO_ID;
    sqe->cdw11 = (uint32_t)IO_ID << 16 | QUEUE_CONTIGUOUS;
}

/* ---- health ---- */

/* Base section 5.16.1.3, figure 207 */
enum {
    LOG_HEALTH = 2,
    HEALTH_LEN = 512,
    HEALTH_KELVIN = 1,
    HEALTH_WORN = 5,
    HEALTH_MEDIA = 160,
    HEALTH_LOGGED = 176
};
enum { KELVIN = 273 };

void nvme_health_ask(struct nvme *n, struct nvme_sqe *sqe)
{
    memset(n->ident, 0, PAGE_SIZE);
    sqe->opcode = NVME_GET_LOG;
    sqe->nsid = UINT32_MAX; /* of the controller */
    sqe->prp1 = dma_at(n->dma, n->ident);
    sqe->cdw10 = (HEALTH_LEN / 4 - 1) << 16 | LOG_HEALTH;
}

void nvme_health_answer(struct nvme *n, uint64_t now)
{
    uint32_t kelvin = n->ident[HEALTH_KELVIN] + 256u * n->ident[HEALTH_KELVIN + 1];
    struct disk_health h = { .asked = now,
                             .warnings = n->ident[0],
                             .celsius = kelvin > KELVIN ? kelvin - KELVIN : 0,
                             .worn = n->ident[HEALTH_WORN] };

    memcpy(&h.media_errors, n->ident + HEALTH_MEDIA, sizeof h.media_errors); /* lower half */
    memcpy(&h.logged, n->ident + HEALTH_LOGGED, sizeof h.logged);
    for (unsigned i = 0; i < n->nns; i++)
        n->ns[i]->disk.health = h;
}

static int got_health(struct nvme *n, uint32_t dw0)
{
    (void)dw0;
    nvme_health_answer(n, time_ns());
    return 0;
}

static const struct {
    const char *name;
    void (*ask)(struct nvme *, struct nvme_sqe *);
    int (*got)(struct nvme *, uint32_t dw0);
    bool once;                   /* not after a reset */
    bool repeats;                /* until it is passed over */
    bool optional;               /* it may refuse it */
    bool (*pass)(struct nvme *); /* passed over; NULL: never */
} steps[] = {
    { "identify controller", ask_ctrl, got_ctrl, true, false, false, NULL },
    { "list of namespaces", ask_list, got_list, true, false, false, NULL },
    { "identify namespace", ask_ns, got_ns, true, true, false, no_ns },
    { "number of queues", ask_queues, got_nothing, false, false, false, NULL },
    { "create completion queue", ask_cq, got_nothing, false, false, false, NULL },
    { "create submission queue", ask_sq, got_nothing, false, false, false, NULL },
    { "health", nvme_health_ask, got_health, true, false, true, NULL },
    { "capabilities of the primary controller", nvme_virt_ask_primary, nvme_virt_got_primary, false,
      false, true, nvme_virt_lacks },
    { "release of resources", nvme_virt_ask_release, nvme_virt_got_release, false, true, true,
      nvme_virt_keeps },
    { "list of secondary controllers", nvme_virt_ask_list, nvme_virt_got_list, false, false, true,
      nvme_virt_is_early },
    { "resources of a virtual function", nvme_virt_ask_share, nvme_virt_got_share, false, true,
      true, nvme_virt_is_done },
};

/* Whether the step is to be passed over. */
static bool passed_over(struct nvme *n, unsigned step)
{
    return (steps[step].once && n->known) || (steps[step].pass && steps[step].pass(n));
}

bool nvme_setup_send(struct nvme *n, uint64_t now)
{
    struct nvme_sqe *sqe;
    struct nvme_cmd *c;

    while (n->step < ARRAY_SIZE(steps) && passed_over(n, n->step))
        n->step++;
    if (n->step >= ARRAY_SIZE(steps))
        return false;
    c = nvme_get(&n->admin, &sqe);
    if (!c)
        return true; /* the time-out of the step ends it */
    c->deadline = now + NVME_ABORT_NS;
    steps[n->step].ask(n, sqe);
    nvme_send(&n->admin);
    return true;
}

int nvme_setup_answer(struct nvme *n, const struct nvme_cqe *e)
{
    unsigned step = n->step;
    int err = e->status & (uint16_t)~NVME_STATUS_PHASE ? -EIO : 0;

    if (step >= ARRAY_SIZE(steps))
        return -EPROTO;
    if (!err)
        err = steps[step].got(n, e->dw0);
    if (err && (!steps[step].optional || steps[step].pass))
        log_warn("NVMe %s: \"%s\" failed: status %04x, error %d", n->name, steps[step].name,
                 e->status >> 1, -err);
    if (steps[step].optional)
        err = 0;
    if (!err && !steps[step].repeats)
        n->step++;
    return err;
}
