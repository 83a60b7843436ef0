/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smmuv3_stream.c: the stream table, and what a stream is translated by (§5). An entry is invalid
 * while it changes; it is complete before it is valid.
 */
#include "smmuv3.h"

#include <arch/barrier.h>

#include <hv/assert.h>
#include <hv/pmm.h>
#include <hv/pt_arm.h>
#include <stdlib.h>

/* §5.2 */
#define STE_V 1ull
#define STE_ABORT (0ull << 1) /* Config */
#define STE_STAGE1 (5ull << 1)
#define STE_STAGE2 (6ull << 1)
#define STE_CACHED                                                                \
    (1ull << 2 | 1ull << 4 | 3ull << 6) /* S1CIR, S1COR, S1CSH: of the CD's fetch \
                                         */
#define STE_INCOMING (1ull << 44)       /* SHCFG: as the device says */
#define STE_S2AA64 (1ull << 51)
#define STE_S2AFFD (1ull << 53)
#define STE_S2R (1ull << 58)
/* §5.4 */
#define CD_CACHED (1ull << 8 | 1ull << 10 | 3ull << 12) /* IR0, OR0, SH0 */
#define CD_SHARED_OUTER (2ull << 12)
#define CD_EPD1 (1ull << 30)
#define CD_V (1ull << 31)
#define CD_AA64 (1ull << 41)
#define CD_R (1ull << 45)
#define CD_A (1ull << 46)
#define CD_ASET (1ull << 47)
/* §5.1.1: a descriptor of a second-level table has one more than the log2 of its entries */
#define L1_SPAN (SMMU_SPLIT + 1ull)
/* §6.3.24, §6.3.25 */
#define STRTAB_RA (1ull << 62)
#define STRTAB_TWO_LEVEL (1u << 16)

/* ---- the table ---- */

static unsigned stream_bits(uint32_t last)
{
    unsigned bits = 0;

    while (bits < 32 && last >> bits)
        bits++;
    return bits;
}

int smmu_stream_init(struct smmu *s, uint32_t last)
{
    unsigned bits = stream_bits(last);
    bool two = s->caps.two_level && bits > SMMU_SPLIT;
    uint64_t entries;
    hpa_t pa;
    volatile void *at;

    if (bits > s->caps.sid_bits || bits > (two ? SMMU_LEVEL1_BITS + SMMU_SPLIT : SMMU_LINEAR_BITS))
        return -ENOTSUP;
    s->sid_bits = bits;
    entries = two ? 1ull << (bits - SMMU_SPLIT) : 1ull << bits;
    if (two) {
        /* charge: the host's own */
        s->level2 = calloc(entries, sizeof *s->level2);
        if (!s->level2)
            return -ENOMEM;
    }
    pa = smmu_alloc(s, pmm_order(entries * (two ? 8 : sizeof(struct smmu_ste))), &at);
    if (!pa.v)
        return -ENOMEM;
    s->strtab = at;
    smmu_write(s, SMMU_STRTAB_BASE, (uint32_t)pa.v);
    smmu_write(s, SMMU_STRTAB_BASE + 4, (uint32_t)((pa.v | STRTAB_RA) >> 32));
    smmu_write(s, SMMU_STRTAB_BASE_CFG,
               bits | (two ? STRTAB_TWO_LEVEL | (uint32_t)SMMU_SPLIT << 6 : 0));
    return 0;
}

/* The entry, or NULL: beyond the table, or in a part of it that nobody has used yet. */
static volatile struct smmu_ste *stream_find(const struct smmu *s, uint32_t stream)
{
    if (s->sid_bits < 32 && stream >> s->sid_bits)
        return NULL;
    if (!s->level2)
        return (volatile struct smmu_ste *)s->strtab + stream;
    return s->level2[stream >> SMMU_SPLIT].at
               ? s->level2[stream >> SMMU_SPLIT].at + stream % SMMU_STES
               : NULL;
}

/* Gives the part of the table with that stream its memory, whose entries are invalid. */
static int stream_grow(struct smmu *s, uint32_t stream)
{
    uint32_t i = stream >> SMMU_SPLIT;
    volatile void *at;
    hpa_t pa;

    if (s->sid_bits < 32 && stream >> s->sid_bits)
        return -EINVAL;
    if (!s->level2 || s->level2[i].at)
        return 0;
    pa = smmu_alloc(s, pmm_order(SMMU_STES * sizeof(struct smmu_ste)), &at);
    if (!pa.v)
        return -ENOMEM;
    s->level2[i].at = at;
    dma_wmb();
    s->strtab[i] = pa.v | L1_SPAN;
    smmu_publish(s, &s->strtab[i], 8);
    return 0;
}

static int stream_forget(struct smmu *s, uint32_t stream)
{
    /* Leaf is 0: its first-level descriptor, too */
    return smmu_commands(s, &(struct smmu_cmd){ { CMD_CFGI_STE | (uint64_t)stream << 32, 0 } }, 1);
}

static void stream_set_first(struct smmu *s, volatile struct smmu_ste *e, uint64_t word)
{
    e->word[0] = word;
    smmu_publish(s, e, sizeof *e);
}

/* Invalid, then all but the first word, then that: the unit sees a whole entry or none (3.21.3). */
static int stream_write(struct smmu *s, uint32_t stream, const struct smmu_ste *e)
{
    volatile struct smmu_ste *to = stream_find(s, stream);
    int err;

    hv_assert(to);
    stream_set_first(s, to, 0);
    err = stream_forget(s, stream);
    for (unsigned i = 1; i < ARRAY_SIZE(e->word); i++)
        to->word[i] = e->word[i];
    smmu_publish(s, to, sizeof *to);
    dma_wmb();
    if (err)
        return err;
    stream_set_first(s, to, e->word[0]);
    err = stream_forget(s, stream);
    if (err) /* nobody knows what the unit has, but it shall find nothing */
        stream_set_first(s, to, 0);
    return err;
}

/* ---- what it is translated by ---- */

static struct smmu_ste stream_stage1(const struct smmu *s, uint32_t id)
{
    uint64_t cd = s->cds_at.v + id * sizeof(struct smmu_cd);
    struct smmu_ste e = { { STE_V | STE_STAGE1 | cd, STE_INCOMING } };

    e.word[1] |= s->caps.coherent ? STE_CACHED : 0;
    return e;
}

static struct smmu_ste stream_stage2(const struct smmu *s, const struct pt *pt, uint32_t id)
{
    struct smmu_ste e = { { STE_V | STE_STAGE2, STE_INCOMING } };

    e.word[2] = id | pt_arm_vtcr(pt->fmt, s->caps.oas, s->caps.coherent) << 32 | STE_S2AA64 |
                STE_S2AFFD | STE_S2R;
    e.word[3] = pt->root.v;
    return e;
}

/* Writes the context descriptor of a domain, which no stream has yet. */
static int stream_context(struct smmu *s, const struct pt *pt, uint32_t id)
{
    volatile struct smmu_cd *cd = &s->cds[id];
    uint64_t word = CD_V | CD_EPD1 | CD_AA64 | CD_R | CD_A | CD_ASET | (uint64_t)id << 48 |
                    (uint64_t)s->caps.oas << 32 | (64ull - pt->fmt->ia_bits);

    cd->word[0] = 0;
    cd->word[1] = pt->root.v;
    cd->word[3] = PT_ARM_MAIR;
    dma_wmb();
    cd->word[0] = word | (s->caps.coherent ? CD_CACHED : CD_SHARED_OUTER);
    smmu_publish(s, cd, sizeof *cd);
    /* no stream had it, but a unit may have read ahead; CFGI_ALL needs no stream */
    return smmu_commands(s, &(struct smmu_cmd){ { CMD_CFGI_ALL, 31 } }, 1);
}

int smmu_set(struct iommu_unit *u, uint32_t stream, struct iommu_domain *d, bool quiet)
{
    struct smmu *s = smmu_of(u);
    const struct pt *pt = d ? &d->gmem.pt : &s->nothing;
    uint32_t id = d ? d->id : 0;
    int err = stream_grow(s, stream);
    struct smmu_ste e = s->caps.stage2 ? stream_stage2(s, pt, id) : stream_stage1(s, id);

    if (err)
        return err;
    if (quiet)
        e = (struct smmu_ste){ { STE_V | STE_ABORT } };
    return stream_write(s, stream, &e);
}

bool smmu_is_blocked(const struct smmu *s, uint32_t stream)
{
    const volatile struct smmu_ste *e = stream_find(s, stream);
    struct smmu_ste nothing =
        s->caps.stage2 ? stream_stage2(s, &s->nothing, 0) : stream_stage1(s, 0);

    return !e || !(e->word[0] & STE_V) || e->word[0] == (STE_V | STE_ABORT) ||
           (e->word[0] == nothing.word[0] && e->word[3] == nothing.word[3]);
}

/* ---- domains ---- */

int smmu_domains_start(struct smmu *s)
{
    volatile void *at = NULL;
    int err;

    if (!s->caps.stage2) {
        s->cds_at = smmu_alloc(s, pmm_order(SMMU_IDS * sizeof(struct smmu_cd)), &at);
        if (!s->cds_at.v)
            return -ENOMEM;
    }
    s->cds = at;
    s->ids[0] = 1;
    err = pt_init(&s->nothing, &s->format, NULL, NULL);
    return err || s->caps.stage2 ? err : stream_context(s, &s->nothing, 0);
}

static int domain_id(struct smmu *s)
{
    for (unsigned id = 1; id < SMMU_IDS; id++)
        if (!(s->ids[id / 64] >> id % 64 & 1))
            return (int)id;
    return -ENOSPC;
}

int smmu_domain_init(struct iommu_unit *u, struct iommu_domain *d, pt_pay *pay, void *payer)
{
    struct smmu *s = smmu_of(u);
    int id = domain_id(s), err;

    if (id < 0)
        return id;
    err = pt_init(&d->gmem.pt, &s->format, pay, payer);
    if (err)
        return err;
    d->id = (uint32_t)id;
    if (!s->caps.stage2)
        err = stream_context(s, &d->gmem.pt, d->id);
    if (err)
        pt_fini(&d->gmem.pt);
    else
        s->ids[id / 64] |= 1ull << id % 64;
    return err;
}

/* An id of which the unit may still have something is nobody's any more. */
void smmu_domain_fini(struct iommu_unit *u, struct iommu_domain *d)
{
    struct smmu *s = smmu_of(u);

    if (s->cds) {
        s->cds[d->id].word[0] = 0;
        smmu_publish(s, &s->cds[d->id], sizeof s->cds[0]);
    }
    if (!smmu_forget(s, d->id, 0, 0))
        s->ids[d->id / 64] &= ~(1ull << d->id % 64);
}
