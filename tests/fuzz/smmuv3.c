/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An SMMUv3 that says anything: each register that is read is the model's or the input's, and so
 * are the records in its ring. The driver must end in bounded time, stay within its memory, and
 * never let a stream through that it blocked: stream table entries are looked at after each step. A
 * unit that keeps to the rules must do what it is told.
 */
#include "tests/unit/smmu_model.h"

#include "drivers/iommu/smmuv3.h"
#include <arch/irq.h>
#include <arch/mmu.h>
#include <hv/event.h>
#include <hv/log.h>

enum { STREAMS = 0x240, LIVE = 3 };
static const uint8_t *in, *in_end;
static bool honest;

static uint8_t take(void) { return in < in_end ? *in++ : 0; }

/* ---- the machine around it ---- */

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = 0;
    return NULL;
}

int irq_register(uint32_t gsi, void (*fn)(void *), void *arg)
{
    (void)gsi, (void)fn, (void)arg;
    return -ENOENT;
}

void *mmu_map_device(hpa_t pa, uint64_t len)
{
    (void)len;
    return (void *)pa.v;
}

/* Pages with poison around them; what the driver keeps for ever is given back between two units. */
static void *pages[512];
static unsigned npages;

hpa_t pmm_alloc_zero(unsigned order, enum pmm_owner who)
{
    uint64_t bytes = PAGE_SIZE << order;

    (void)who;
    if (npages == ARRAY_SIZE(pages))
        return hpa(0);
    pages[npages] = aligned_alloc(bytes, bytes);
    memset(pages[npages], 0, bytes);
    return hpa((uint64_t)pages[npages++]);
}

void pmm_free(hpa_t pa, unsigned order, enum pmm_owner who)
{
    (void)order, (void)who;
    for (unsigned i = 0; i < npages; i++)
        if (pages[i] == (void *)pa.v) {
            free(pages[i]);
            pages[i] = pages[--npages];
            return;
        }
    abort();
}

/* What the unit says where it lies: a register's value with bits turned over. */
static uint32_t lie(uint32_t v)
{
    uint8_t how = take();

    if (how & 0x80)
        v ^= 1u << (how & 31);
    if ((how & 0x60) == 0x60)
        v = (uint32_t)take() << 24 | take();
    return v;
}

static uint32_t lies; /* so many reads are not as they should be */

static uint32_t say(uint32_t v)
{
    if (honest || !lies)
        return v;
    lies--;
    return lie(v);
}

/* ---- what must hold ---- */

static struct smmu s;
static struct iommu_domain d[LIVE];
static bool made[LIVE];
static int owner[STREAMS]; /* -1: blocked */

/* An entry that is valid is that of the stream's owner, or blocks. */
static void check_stream(uint32_t stream)
{
    const volatile struct smmu_ste *e =
        !s.level2                           ? (const volatile struct smmu_ste *)s.strtab + stream
        : s.level2[stream >> SMMU_SPLIT].at ? s.level2[stream >> SMMU_SPLIT].at + stream % SMMU_STES
                                            : NULL;
    uint32_t id = 0;

    if (!e || !(e->word[0] & 1) || (e->word[0] >> 1 & 7) == 0)
        return;
    id = s.caps.stage2 ? (uint32_t)(e->word[2] & 0xffff)
                       : (uint32_t)(((e->word[0] & 0xfffffffffffc0ull) - s.cds_at.v) / 64);
    if (id != 0 && (owner[stream] < 0 || d[owner[stream]].id != id))
        abort();
    if (honest && owner[stream] >= 0 && id == 0)
        abort();
}

static void op_domain(unsigned n)
{
    if (made[n]) {
        for (uint32_t i = 0; i < STREAMS; i++)
            if (owner[i] == (int)n)
                return;
        smmu_domain_fini(&s.unit, &d[n]);
        pt_fini(&d[n].gmem.pt);
        made[n] = false;
        return;
    }
    d[n] = (struct iommu_domain){ .unit = &s.unit };
    made[n] = smmu_domain_init(&s.unit, &d[n], NULL, NULL) == 0;
}

static void op_set(uint32_t stream, unsigned n, bool quiet)
{
    bool to = n < LIVE && made[n] && owner[stream] < 0;
    int err = smmu_set(&s.unit, stream, to ? &d[n] : NULL, !to && quiet);

    if (!err || !to)
        owner[stream] = to && !err ? (int)n : -1;
    if (err && honest)
        abort();
    check_stream(stream);
}

static void op_map(unsigned n, uint64_t at)
{
    if (!made[n])
        return;
    (void)!pt_map(&d[n].gmem.pt, gpa(at), hpa(0x100000 + at), PAGE_SIZE, PROT_RW, MEM_WB);
    if (take() & 1) {
        (void)!pt_unmap(&d[n].gmem.pt, gpa(at), PAGE_SIZE);
        if (smmu_forget(&s, d[n].id, at, PAGE_SIZE) && honest)
            abort();
        pt_reap(&d[n].gmem.pt);
    }
}

static void op_access(uint32_t stream, uint64_t at)
{
    uint64_t to;

    if (model_access(stream, at, true, &to) && honest && owner[stream] < 0)
        abort();
}

/* Records of the input's making, and an index for them. */
static void op_records(void)
{
    for (unsigned i = 0; s.eventq.at && i < 4; i++)
        s.eventq.at[take() % (4u << s.eventq.bits)] = (uint64_t)take() << 32 | take();
    if (!honest)
        model_put(0x100a8, (uint32_t)take() << 24 | take());
    for (unsigned i = 0; i < 64 && smmu_poll(&s.unit, 16); i++)
        ;
}

static void step(void)
{
    uint8_t op = take(), a = take(), b = take();
    uint32_t stream = (a | (uint32_t)b << 8) % STREAMS;
    uint64_t began = host_now;

    switch (op & 7) {
    case 0: op_domain(a % LIVE); break;
    case 1:
    case 2: op_set(stream, op >> 3 & 3, op & 0x80); break;
    case 3: op_map(a % LIVE, (uint64_t)b << PAGE_SHIFT); break;
    case 4: op_access(stream, (uint64_t)(op >> 3) << PAGE_SHIFT); break;
    case 5: op_records(); break;
    default: lies = honest ? 0 : a; break;
    }
    check_stream(stream);
    if (host_now - began > 4 * SMMU_WAIT_NS)
        abort();
}

static void fresh(void)
{
    static const struct iommu_scope scope = { .last = STREAMS - 1 };
    static const struct platform_smmu is = { .base = 0x9050000 };
    uint8_t kind = take();

    memset(&m, 0, sizeof m);
    memset(&s, 0, sizeof s);
    honest = kind & 1;
    lies = 0;
    for (unsigned i = 0; i < STREAMS; i++)
        owner[i] = -1;
    memset(made, 0, sizeof made);
    model_put(0x00, 2 << 2 | 1 << 12 | 2 << 21 | 1 << 24 | (kind & 2 ? 1 : 2) |
                        (kind & 4 ? 1 << 4 : 0) | (kind & 8 ? 1 << 27 : 0));
    model_put(0x04, 16 | 4 << 21 | 4 << 16);
    model_put(0x14, 5 | 1 << 4);
    m.never_takes = !honest && (kind & 0xc0) == 0xc0;
    m.lie = say;
    s.regs = m.regs;
    s.is = &is;
    s.unit.scopes = &scope;
    s.unit.nscopes = 1;
    lies = honest || !(kind & 0x20) ? 0 : take();
}

static void free_all(void)
{
    for (unsigned n = 0; n < LIVE; n++)
        if (made[n])
            pt_fini(&d[n].gmem.pt);
    if (s.nothing.root.v)
        pt_fini(&s.nothing);
    free(s.level2);
    while (npages)
        free(pages[--npages]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool there;

    if (!there)
        host_init(1, 0);
    there = true;
    in = data;
    in_end = data + size;
    fresh();
    if (!smmu_start(&s))
        for (unsigned i = 0; i < 64 && in < in_end; i++)
            step();
    free_all();
    return 0;
}
