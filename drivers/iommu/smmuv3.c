/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smmuv3.c: which SMMUv3 there are, what they can do, and how they are turned on: everything is
 * aborted before an old setting goes, and the new tables let nothing through.
 */
#include "smmuv3.h"

#include <arch/barrier.h>
#include <arch/irq.h>
#include <arch/mmu.h>

#include <hv/assert.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/pt_arm.h>
#include <hv/time.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- registers ---- */

uint32_t smmu_read(const struct smmu *s, uint32_t reg) { return host_reg_read(s->regs + reg, 4); }

void smmu_write(const struct smmu *s, uint32_t reg, uint32_t val)
{
    host_reg_write(s->regs + reg, 4, val);
}

static void smmu_write64(const struct smmu *s, uint32_t reg, uint64_t val)
{
    smmu_write(s, reg, (uint32_t)val);
    smmu_write(s, reg + 4, (uint32_t)(val >> 32));
}

int smmu_wait(const struct smmu *s, uint32_t reg, uint32_t mask, uint32_t want)
{
    uint64_t end = time_ns() + SMMU_WAIT_NS;

    for (;;) {
        bool late = time_ns() >= end;

        if ((smmu_read(s, reg) & mask) == want)
            return 0;
        if (late)
            return -EIO;
    }
}

/* ---- what it can do, §6.3.1 to 6.3.6 ---- */

static uint32_t smmu_field(uint32_t reg, unsigned low, unsigned bits)
{
    return reg >> low & ((1u << bits) - 1);
}

/* What Trivet cannot do without, or cannot do: a field of an ID register and its bad values. */
static const struct {
    uint16_t reg;
    uint8_t low, bits;
    uint16_t bad; /* bit n: the value n is bad */
    const char *why;
} smmu_needs[] = {
    { SMMU_IDR0, 0, 2, 1 << 0, "it supports neither stage (IDR0.S1P, S2P)" },
    { SMMU_IDR0, 2, 2, 1 << 0 | 1 << 1, "it has no AArch64 tables (IDR0.TTF)" },
    { SMMU_IDR0, 21, 2, 1 << 3, "it reads big-endian tables only (IDR0.TTENDIAN)" },
    { SMMU_IDR0, 24, 2, 1 << 2, "it stalls every fault (IDR0.STALL_MODEL)" },
    { SMMU_IDR1, 29, 1, 1 << 1, "the place of its queues is fixed (IDR1.QUEUES_PRESET)" },
    { SMMU_IDR1, 30, 1, 1 << 1, "the place of its tables is fixed (IDR1.TABLES_PRESET)" },
    { SMMU_IDR5, 4, 1, 1 << 0, "it has no pages of 4 KiB (IDR5.GRAN4K)" },
};

const char *smmu_read_caps(const struct smmu *s, struct smmu_caps *c)
{
    static const uint8_t oas_bits[8] = { 32, 36, 40, 42, 44, 48, 48, 48 };
    uint32_t idr0 = smmu_read(s, SMMU_IDR0), idr1 = smmu_read(s, SMMU_IDR1),
             oas = smmu_field(smmu_read(s, SMMU_IDR5), 0, 3);

    for (size_t i = 0; i < ARRAY_SIZE(smmu_needs); i++)
        if (smmu_needs[i].bad >>
                smmu_field(smmu_read(s, smmu_needs[i].reg), smmu_needs[i].low, smmu_needs[i].bits) &
            1)
            return smmu_needs[i].why;
    *c = (struct smmu_caps){ .stage2 = smmu_field(idr0, 0, 1),
                             .stage1 = smmu_field(idr0, 1, 1),
                             .coherent = smmu_field(idr0, 4, 1),
                             .hyp = smmu_field(idr0, 9, 1),
                             .msi = smmu_field(idr0, 13, 1),
                             .two_level = smmu_field(idr0, 27, 2) == 1,
                             .sid_bits = (uint8_t)smmu_field(idr1, 0, 6),
                             .cmdq_bits = (uint8_t)smmu_field(idr1, 21, 5),
                             .eventq_bits = (uint8_t)smmu_field(idr1, 16, 5) };
    c->oas = (uint8_t)min_u32(oas, 5);
    c->oas_bits = oas_bits[oas];
    return c->sid_bits > 32 ? "its StreamIDs are wider than 32 bits (IDR1.SIDSIZE)" : NULL;
}

/* ---- memory ---- */

hpa_t smmu_alloc(const struct smmu *s, unsigned order, volatile void **at)
{
    hpa_t pa = order > PMM_MAX_ORDER ? hpa(0) : pmm_alloc_zero(order, PMM_HV); /* charge: host's */

    *at = pa.v ? phys_to_virt(pa) : NULL;
    if (pa.v)
        smmu_publish(s, *at, PAGE_SIZE << order);
    return pa;
}

void smmu_publish(const struct smmu *s, volatile void *at, uint64_t len)
{
    if (!s->caps.coherent)
        arch_clean_to_ram((const void *)(uintptr_t)at, len);
}

/* ---- turning it on ---- */

/*
 * Until tables are there nothing goes through (§3.11, §6.3.15). A unit without that register lets
 * everything through while it is off, as it did before.
 */
static void smmu_abort_all(const struct smmu *s)
{
    if (smmu_wait(s, SMMU_GBPA, GBPA_UPDATE, 0))
        return;
    smmu_write(s, SMMU_GBPA, smmu_read(s, SMMU_GBPA) | GBPA_ABORT | GBPA_UPDATE);
    if (smmu_wait(s, SMMU_GBPA, GBPA_UPDATE | GBPA_ABORT, GBPA_ABORT))
        log_debug("IOMMU %s: nothing is aborted while it is off", s->unit.name);
}

static int smmu_set_cr0(const struct smmu *s, uint32_t val)
{
    smmu_write(s, SMMU_CR0, val);
    return smmu_wait(s, SMMU_CR0ACK, CR0_SMMUEN | CR0_EVENTQEN | CR0_CMDQEN, val);
}

/* Inner-shareable, write-back: tables and queues (§6.3.11); 0: not cached at all. */
#define CR1_CACHED 0x00000d75u
#define CR2_PTM 4u                /* other CPUs' TLB maintenance is not for us (§6.3.12) */
#define CR2_RECINVSID 2u          /* streams beyond the table are recorded */
#define QUEUE_CACHED (1ull << 62) /* RA, WA */

static int smmu_place_queues(struct smmu *s)
{
    uint64_t hint = s->caps.coherent ? QUEUE_CACHED : 0;
    hpa_t pa;
    int err = smmu_queue_init(s, &s->cmdq, min_u32(s->caps.cmdq_bits, SMMU_QUEUE_BITS), 2, &pa);

    if (err)
        return err;
    smmu_write64(s, SMMU_CMDQ_BASE, pa.v | hint | s->cmdq.bits);
    smmu_write(s, SMMU_CMDQ_PROD, 0);
    smmu_write(s, SMMU_CMDQ_CONS, 0);
    err = smmu_queue_init(s, &s->eventq, min_u32(s->caps.eventq_bits, SMMU_QUEUE_BITS), 4, &pa);
    if (err)
        return err;
    smmu_write64(s, SMMU_EVENTQ_BASE, pa.v | hint | s->eventq.bits);
    smmu_write(s, SMMU_EVENTQ_PROD, 0);
    smmu_write(s, SMMU_EVENTQ_CONS, 0);
    return 0;
}

static void smmu_irq(void *arg)
{
    struct smmu *s = arg;

    iommu_kick(&s->unit);
}

/* Device nGnRE: the message's attribute (§3.18.3) */
#define MSI_DEVICE 1u

/* By wire, else by message (§3.18); else it is looked at now and then. */
static void smmu_interrupts(struct smmu *s)
{
    struct irq_message m = { .address = 0 };
    bool wired = s->is->event && !irq_register(s->is->event, smmu_irq, s);

    if (s->is->gerror && s->is->gerror != s->is->event && irq_register(s->is->gerror, smmu_irq, s))
        log_debug("IOMMU %s: its errors cause no interrupt", s->unit.name);
    if (!wired && s->caps.msi && !irq_message(0, smmu_irq, s, &m)) {
        smmu_write64(s, SMMU_EVENTQ_IRQ_CFG0, m.address);
        smmu_write(s, SMMU_EVENTQ_IRQ_CFG1, m.data);
        smmu_write(s, SMMU_EVENTQ_IRQ_CFG2, MSI_DEVICE);
    } else if (s->caps.msi) {
        smmu_write64(s, SMMU_EVENTQ_IRQ_CFG0, 0); /* the wire */
    }
    s->unit.polled = !wired && !m.address;
    smmu_write(s, SMMU_IRQ_CTRL, IRQ_EVENTQ | IRQ_GERROR);
    if (smmu_wait(s, SMMU_IRQ_CTRLACK, IRQ_EVENTQ | IRQ_GERROR, IRQ_EVENTQ | IRQ_GERROR))
        s->unit.polled = true;
}

/* What it had of whoever used it before. */
static int smmu_forget_everything(struct smmu *s)
{
    static const struct smmu_cmd all[] = { { { CMD_CFGI_ALL, 31 } }, { { CMD_TLBI_NSNH_ALL, 0 } } };

    return smmu_commands(s, all, ARRAY_SIZE(all));
}

static void smmu_format_init(struct smmu *s)
{
    s->format = s->caps.stage2 ? pt_arm_stage2 : pt_arm_stage1;
    s->format.clean_to_ram = !s->caps.coherent;
    pt_arm_set_bits(&s->format, s->caps.stage2 ? s->caps.oas_bits : 48);
}

static void smmu_tell_features(struct smmu *s)
{
    snprintf(s->unit.features, sizeof s->unit.features,
             "stage %u, %u-bit addresses%s, %u-bit streams%s", s->caps.stage2 ? 2u : 1u,
             s->format.ia_bits, s->caps.coherent ? "" : ", walks do not see the caches",
             s->caps.sid_bits, s->unit.polled ? ", polled" : "");
}

static uint32_t smmu_last_stream(const struct smmu *s)
{
    uint32_t last = 0;

    for (uint32_t i = 0; i < s->unit.nscopes; i++) {
        const struct iommu_scope *c = &s->unit.scopes[i];

        last = (uint32_t)max_u64(last, c->stream + (uint32_t)(c->last - c->first));
    }
    return last;
}

static int smmu_tables(struct smmu *s)
{
    int err = smmu_stream_init(s, smmu_last_stream(s));

    if (err == -ENOTSUP)
        log_warn("IOMMU %s: its streams need a table that is too large", s->unit.name);
    return err ? err : smmu_place_queues(s);
}

int smmu_start(struct smmu *s)
{
    const char *why = smmu_read_caps(s, &s->caps);
    int err;

    assert_cpu0();
    spin_init(&s->lock, LOCK_IOMMU_UNIT);
    if (why) {
        log_warn("IOMMU %s cannot be used: %s", s->unit.name, why);
        return -ENOTSUP;
    }
    smmu_abort_all(s);
    smmu_write(s, SMMU_IRQ_CTRL, 0);
    smmu_write(s, SMMU_GERRORN, smmu_read(s, SMMU_GERROR));
    err = smmu_set_cr0(s, 0);
    smmu_write(s, SMMU_CR1, s->caps.coherent ? CR1_CACHED : 0);
    smmu_write(s, SMMU_CR2, CR2_PTM | CR2_RECINVSID);
    if (!err)
        err = smmu_tables(s);
    if (!err)
        err = smmu_set_cr0(s, CR0_CMDQEN);
    if (!err)
        err = smmu_forget_everything(s);
    smmu_format_init(s);
    if (!err)
        err = smmu_domains_start(s);
    if (!err)
        err = smmu_set_cr0(s, CR0_CMDQEN | CR0_EVENTQEN);
    if (!err)
        err = smmu_set_cr0(s, CR0_CMDQEN | CR0_EVENTQEN | CR0_SMMUEN);
    if (!err)
        smmu_interrupts(s);
    else
        log_err("IOMMU %s cannot be turned on: error %d; its devices reach nothing", s->unit.name,
                -err);
    smmu_tell_features(s);
    return err;
}

/* ---- which there are ---- */

static int smmu_flush(struct iommu_unit *u, struct iommu_domain *d, gpa_t at, uint64_t len)
{
    return smmu_forget(smmu_of(u), d->id, at.v, len);
}

/*
 * A message is a write, which is translated like any other: no domain maps the register of an ITS,
 * so that a device can cause no interrupt at all. It may when the host's ITS is driven, which knows
 * devices by their ids.
 */
static int smmu_message(struct iommu_unit *u, uint32_t stream, unsigned n, uint32_t sender,
                        const struct irq_message *plain, struct irq_message *out)
{
    (void)u, (void)stream, (void)n, (void)sender, (void)plain, (void)out;
    return -ENOTSUP;
}

static void smmu_message_off(struct iommu_unit *u, uint32_t stream, unsigned n, uint32_t sender)
{
    (void)u, (void)stream, (void)n, (void)sender;
}

static const struct iommu_ops smmu_ops = {
    .name = "SMMUv3",
    .domain_init = smmu_domain_init,
    .domain_fini = smmu_domain_fini,
    .set = smmu_set,
    .flush = smmu_flush,
    .poll = smmu_poll,
    .irq = smmu_message,
    .irq_off = smmu_message_off,
};

enum { SMMU_SCOPES = 64 };
static struct smmu smmus[PLATFORM_SMMUS_MAX];
static struct iommu_scope smmu_scopes[PLATFORM_SMMUS_MAX][SMMU_SCOPES];

/* A scope of as many requester ids as go the same way, cut at the end of the bus range. */
static void smmu_add_scope(uint16_t segment, uint32_t rid, uint32_t last,
                           const struct platform_route *r)
{
    struct iommu_unit *u = &smmus[r->smmu].unit;
    struct iommu_scope *to = &smmu_scopes[r->smmu][u->nscopes];

    if (u->nscopes == SMMU_SCOPES) {
        log_warn("IOMMU %s: %x..%x and more devices stay blocked: too many ranges of them", u->name,
                 rid, last);
        return;
    }
    *to = (struct iommu_scope){
        .segment = segment, .first = (uint16_t)rid, .last = (uint16_t)last, .stream = r->stream
    };
    u->scopes = smmu_scopes[r->smmu];
    u->nscopes++;
}

static void smmu_find_scopes(const struct platform_ecam *e)
{
    uint32_t end = (uint32_t)e->bus_last << 8 | 0xff;
    bool told = false; /* there can be 65,536 */

    for (uint32_t rid = (uint32_t)e->bus_first << 8; rid <= end;) {
        struct platform_route r;
        int err = platform_route(e->segment, (uint16_t)rid, &r);
        uint32_t last = (uint32_t)min_u64(end, (uint64_t)rid + r.more);

        if (err == -EINVAL && !told)
            log_warn("PCI %04x:%02x:%02x.%u: the firmware's description of its SMMU is unusable; "
                     "others like it on these buses are not listed",
                     e->segment, rid >> 8, rid >> 3 & 31, rid & 7);
        told |= err == -EINVAL;
        if (!err && r.smmu >= 0)
            smmu_add_scope(e->segment, rid, last, &r);
        rid = last + 1;
    }
}

/* What of a scope's streams the firmware wants to reach memory, by their requester ids. */
static void smmu_reserve(const struct iommu_scope *c, const struct platform_reserved *r)
{
    uint64_t end = c->stream + (uint64_t)(c->last - c->first), from = max_u64(r->first, c->stream),
             to = min_u64(r->last, end);
    struct iommu_reserved out = { .segment = c->segment,
                                  .first = (uint16_t)(c->first + (from - c->stream)),
                                  .last = (uint16_t)(c->first + (to - c->stream)),
                                  .prot = PROT_RW,
                                  .base = r->base,
                                  .len = r->len };

    if (from <= to && iommu_reserve(&out))
        log_warn("IOMMU: too many ranges that the firmware reserves: the one at %llx is ignored",
                 (unsigned long long)r->base);
}

static void smmu_find_reserved(void)
{
    struct platform_reserved r;

    for (unsigned n = 0; platform_reserved(n, &r); n++)
        for (uint32_t i = 0; i < smmus[r.smmu].unit.nscopes; i++)
            smmu_reserve(&smmu_scopes[r.smmu][i], &r);
}

/* Devices that are there are blocked by an entry of their own: their tries have an address then. */
static int smmu_block_known(struct smmu *s)
{
    uint32_t n, stream;
    const struct host_pci_dev *d = host_pci_devs(&n);
    int err = 0;

    for (uint32_t i = 0; !err && i < n; i++)
        if (iommu_unit_of(&d[i]) == &s->unit &&
            iommu_stream_of(&s->unit, d[i].segment, host_pci_rid(&d[i]), &stream))
            err = smmu_set(&s->unit, stream, NULL, false);
    return err;
}

static bool smmu_probe(struct smmu *s, unsigned i)
{
    s->is = &the_platform.smmu[i];
    s->unit.ops = &smmu_ops;
    snprintf(s->unit.name, sizeof s->unit.name, "smmu%u", i);
    s->regs = mmu_map_device(hpa(s->is->base), SMMU_REGS);
    if (!s->regs || smmu_start(s))
        return false;
    iommu_add(&s->unit);
    if (smmu_block_known(s))
        return false;
    iommu_hold_reserved(&s->unit);
    return true;
}

int smmuv3_init(void)
{
    const struct platform *p = &the_platform;
    bool any = false;

    assert_cpu0();
    if (p->old_smmus)
        log_warn(
            "%u SMMUs of version 1 or 2 are not supported: devices behind them reach all memory",
            p->old_smmus);
    for (uint32_t i = 0; p->nsmmus && i < p->necam; i++)
        smmu_find_scopes(&p->ecam[i]);
    smmu_find_reserved();
    for (uint32_t i = 0; i < p->nsmmus; i++)
        any |= smmu_probe(&smmus[i], i);
    return any ? 0 : -ENODEV;
}
