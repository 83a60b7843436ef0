/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control and status registers, one row each: volume II, 2.2. What a row does not let through, a
 * write leaves as it was (WARL). The number says who may: bits 9..8 the lowest mode, bits 11..10
 * both set: read-only.
 */
#include <hv/nospec.h>

#include "cpu.h"

#define MISA (2ull << 62 | 1 << 20 | 1 << 18 | 1 << 12 | 1 << 8 | 1 << 5 | 1 << 3 | 1 << 2 | 1)

#define SSTATUS_KEPT                                                                      \
    (RV_MSTATUS_SIE | RV_MSTATUS_SPIE | RV_MSTATUS_SPP | RV_MSTATUS_FS | RV_MSTATUS_SUM | \
     RV_MSTATUS_MXR)

struct csr {
    uint16_t first, last; /* numbers */
    /* A plain register: where in struct rv_cpu, and which bits are kept. */
    uint16_t at;
    uint64_t kept;
    /* Or functions; read NULL and kept 0: zero, and writes are ignored. */
    uint64_t (*read)(struct rv_hart *h, unsigned number);
    void (*write)(struct rv_hart *h, unsigned number, uint64_t value);
    bool (*allowed)(const struct rv_hart *h, unsigned number);
};

static bool fp_on(const struct rv_hart *h, unsigned number)
{
    (void)number;
    return h->cpu.mstatus & RV_MSTATUS_FS;
}

static uint64_t fcsr_read(struct rv_hart *h, unsigned number)
{
    if (number == 1)
        return h->cpu.fflags;
    return number == 2 ? h->cpu.frm : h->cpu.frm << 5 | h->cpu.fflags;
}

static void fcsr_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    if (number != 2)
        h->cpu.fflags = value & 31;
    if (number != 1)
        h->cpu.frm = (number == 2 ? value : value >> 5) & 7;
    h->cpu.mstatus |= RV_MSTATUS_FS;
}

/* Counters: cycles are instructions here. Number c00 and b00: cycle; c02 and b02: instret. */
static uint64_t *counter_base(struct rv_hart *h, unsigned number)
{
    return number & 2 ? &h->cpu.instret_base : &h->cpu.cycle_base;
}

/* An inhibited counter stands: what it would add is left out. */
static uint64_t counted(const struct rv_hart *h, unsigned number)
{
    return h->cpu.mcountinhibit & (number & 2 ? INHIBIT_IR : INHIBIT_CY) ? 0 : h->cpu.instret;
}

static uint64_t counter_read(struct rv_hart *h, unsigned number)
{
    return counted(h, number) + *counter_base(h, number);
}

/* The instruction that writes does not count: the next one reads what it wrote. */
static void counter_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    uint64_t now = counted(h, number);

    *counter_base(h, number) = value - (now ? now + 1 : 0);
}

static void inhibit_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    uint64_t cycle = counter_read(h, 0), instret = counter_read(h, 2);

    (void)number;
    h->cpu.mcountinhibit = value & (INHIBIT_CY | INHIBIT_IR);
    h->cpu.cycle_base = cycle - counted(h, 0);
    h->cpu.instret_base = instret - counted(h, 2);
}

static uint64_t time_read(struct rv_hart *h, unsigned number)
{
    (void)number;
    return h->machine->time(h->owner);
}

/* mcounteren and scounteren: volume II, 3.1.11 and 4.1.5. */
static bool counter_allowed(const struct rv_hart *h, unsigned number)
{
    uint64_t bit = RV_BIT(number & 31);

    if (h->cpu.mode == RV_M)
        return true;
    if (!(h->cpu.mcounteren & bit))
        return false;
    return h->cpu.mode == RV_S || h->cpu.scounteren & bit;
}

static uint64_t mstatus_read(struct rv_hart *h, unsigned number)
{
    uint64_t v = h->cpu.mstatus | 2ull << 32 | 2ull << 34;

    if ((v & RV_MSTATUS_FS) == RV_MSTATUS_FS)
        v |= RV_MSTATUS_SD;
    return number == 0x300 ? v : v & (SSTATUS_KEPT | RV_MSTATUS_SD | RV_MSTATUS_UXL);
}

static void mstatus_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    uint64_t kept = number == 0x300 ? MSTATUS_KEPT : SSTATUS_KEPT;

    if ((value & RV_MSTATUS_MPP) == 2ull << 11) /* no such mode */
        kept &= ~RV_MSTATUS_MPP;
    h->cpu.mstatus = (h->cpu.mstatus & ~kept) | (value & kept);
    rv_select(h);
    rv_attend(h);
}

static uint64_t misa_read(struct rv_hart *h, unsigned number)
{
    (void)h, (void)number;
    return MISA;
}

static uint64_t mhartid_read(struct rv_hart *h, unsigned number)
{
    (void)number;
    return h->cpu.hartid;
}

static uint64_t ie_read(struct rv_hart *h, unsigned number)
{
    return number == 0x304 ? h->cpu.mie : h->cpu.mie & h->cpu.mideleg;
}

static void ie_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    uint64_t kept = number == 0x304 ? RV_IRQ_M | RV_IRQ_S : h->cpu.mideleg;

    h->cpu.mie = (h->cpu.mie & ~kept) | (value & kept);
    rv_attend(h);
}

static uint64_t ip_read(struct rv_hart *h, unsigned number)
{
    return rv_mip(&h->cpu) & (number == 0x344 ? ~0ull : h->cpu.mideleg);
}

/* STIP is the timer's with Sstc; S-mode writes SSIP only. */
static void ip_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    uint64_t kept = RV_IRQ_S;

    if (h->cpu.menvcfg & MENVCFG_STCE)
        kept &= ~RV_BIT(RV_IRQ_STI);
    if (number != 0x344)
        kept = RV_BIT(RV_IRQ_SSI) & h->cpu.mideleg;
    __atomic_or_fetch(&h->cpu.mip, value & kept, __ATOMIC_ACQ_REL);
    __atomic_and_fetch(&h->cpu.mip, ~kept | value, __ATOMIC_ACQ_REL);
    rv_attend(h);
}

/* For read-modify-write the controller's line does not become software's bit: volume II, 3.1.9. */
static uint64_t ip_modify(struct rv_hart *h, unsigned number)
{
    return __atomic_load_n(&h->cpu.mip, __ATOMIC_RELAXED) &
           (number == 0x344 ? ~0ull : h->cpu.mideleg);
}

static uint64_t tvec_value(uint64_t value) { return value & ~2ull; } /* direct or vectored */

static void mtvec_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    (void)number;
    h->cpu.mtvec = tvec_value(value);
}

static void stvec_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    (void)number;
    h->cpu.stvec = tvec_value(value);
}

static void menvcfg_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    (void)number;
    h->cpu.menvcfg = value & (MENVCFG_FIOM | MENVCFG_ADUE | MENVCFG_STCE);
    dbt_mem_flush(&h->mem);
    rv_select(h);
    rv_timer(h);
}

static bool stimecmp_allowed(const struct rv_hart *h, unsigned number)
{
    (void)number;
    return h->cpu.mode == RV_M || (h->cpu.menvcfg & MENVCFG_STCE && h->cpu.mcounteren & 2);
}

static void stimecmp_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    (void)number;
    h->cpu.stimecmp = value;
    rv_timer(h);
}

static bool satp_allowed(const struct rv_hart *h, unsigned number)
{
    (void)number;
    return h->cpu.mode == RV_M || !(h->cpu.mstatus & RV_MSTATUS_TVM);
}

bool rv_satp_valid(uint64_t satp)
{
    uint64_t mode = SATP_MODE(satp);

    return mode == SATP_BARE || (mode >= SATP_SV39 && mode <= SATP_SV57);
}

/* A mode that there is not: the write does nothing, volume II, 4.1.11. */
static void satp_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    (void)number;
    if (!rv_satp_valid(value))
        return;
    h->cpu.satp = value;
    rv_refresh(h);
}

/* The table of CSRs has seen to the number; a CPU that runs ahead of that stays within, too. */
static unsigned pmp_of(unsigned number, unsigned first, unsigned each)
{
    return (unsigned)index_nospec((number - first) * (uint64_t)each, RV_PMPS);
}

static uint64_t pmpcfg_read(struct rv_hart *h, unsigned number)
{
    const uint8_t *cfg = &h->cpu.pmpcfg[pmp_of(number, 0x3a0, 4)];
    uint64_t v = 0;

    for (unsigned i = 8; i-- > 0;)
        v = v << 8 | cfg[i];
    return v;
}

static void pmpcfg_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    rv_pmpcfg_write(&h->cpu, pmp_of(number, 0x3a0, 4), value);
    dbt_mem_flush(&h->mem);
    rv_select(h);
}

static uint64_t pmpaddr_read(struct rv_hart *h, unsigned number)
{
    return h->cpu.pmpaddr[pmp_of(number, 0x3b0, 1)];
}

static void pmpaddr_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    rv_pmpaddr_write(&h->cpu, pmp_of(number, 0x3b0, 1), value);
    dbt_mem_flush(&h->mem);
    rv_select(h);
}

#define AT(member) offsetof(struct rv_cpu, member)
#define ANY (~0ull)
#define PC (~1ull) /* an address of code */

static const struct csr csrs[] = {
    { 0x001, 0x003, 0, 0, fcsr_read, fcsr_write, fp_on },        /* fflags, frm, fcsr */
    { 0xc00, 0xc00, 0, 0, counter_read, NULL, counter_allowed }, /* cycle */
    { 0xc01, 0xc01, 0, 0, time_read, NULL, counter_allowed },
    { 0xc02, 0xc02, 0, 0, counter_read, NULL, counter_allowed }, /* instret */
    { 0xc03, 0xc1f, 0, 0, NULL, NULL, counter_allowed },         /* hpmcounter3 to 31 */
    { 0x100, 0x100, 0, 0, mstatus_read, mstatus_write, NULL },   /* sstatus */
    { 0x104, 0x104, 0, 0, ie_read, ie_write, NULL },             /* sie */
    { 0x105, 0x105, AT(stvec), ANY, NULL, stvec_write, NULL },
    { 0x106, 0x106, AT(scounteren), 0xffffffff, NULL, NULL, NULL },
    { 0x10a, 0x10a, AT(senvcfg), MENVCFG_FIOM, NULL, NULL, NULL },
    { 0x140, 0x140, AT(sscratch), ANY, NULL, NULL, NULL },
    { 0x141, 0x141, AT(sepc), PC, NULL, NULL, NULL },
    { 0x142, 0x142, AT(scause), ANY, NULL, NULL, NULL },
    { 0x143, 0x143, AT(stval), ANY, NULL, NULL, NULL },
    { 0x144, 0x144, 0, 0, ip_read, ip_write, NULL }, /* sip */
    { 0x14d, 0x14d, AT(stimecmp), ANY, NULL, stimecmp_write, stimecmp_allowed },
    { 0x180, 0x180, AT(satp), ANY, NULL, satp_write, satp_allowed },
    { 0xf11, 0xf13, 0, 0, NULL, NULL, NULL }, /* mvendorid, marchid, mimpid */
    { 0xf14, 0xf14, 0, 0, mhartid_read, NULL, NULL },
    { 0xf15, 0xf15, 0, 0, NULL, NULL, NULL }, /* mconfigptr */
    { 0x300, 0x300, 0, 0, mstatus_read, mstatus_write, NULL },
    { 0x301, 0x301, 0, 0, misa_read, NULL, NULL },
    { 0x302, 0x302, AT(medeleg), MEDELEG_KEPT, NULL, NULL, NULL },
    { 0x303, 0x303, AT(mideleg), RV_IRQ_S, NULL, NULL, NULL },
    { 0x304, 0x304, 0, 0, ie_read, ie_write, NULL }, /* mie */
    { 0x305, 0x305, AT(mtvec), ANY, NULL, mtvec_write, NULL },
    { 0x306, 0x306, AT(mcounteren), 0xffffffff, NULL, NULL, NULL },
    { 0x30a, 0x30a, AT(menvcfg), ANY, NULL, menvcfg_write, NULL },
    { 0x320, 0x320, AT(mcountinhibit), ANY, NULL, inhibit_write, NULL },
    { 0x323, 0x33f, 0, 0, NULL, NULL, NULL }, /* mhpmevent3 to 31 */
    { 0x340, 0x340, AT(mscratch), ANY, NULL, NULL, NULL },
    { 0x341, 0x341, AT(mepc), PC, NULL, NULL, NULL },
    { 0x342, 0x342, AT(mcause), ANY, NULL, NULL, NULL },
    { 0x343, 0x343, AT(mtval), ANY, NULL, NULL, NULL },
    { 0x344, 0x344, 0, 0, ip_read, ip_write, NULL }, /* mip */
    { 0x3a0, 0x3a0, 0, 0, pmpcfg_read, pmpcfg_write, NULL },
    { 0x3a2, 0x3a2, 0, 0, pmpcfg_read, pmpcfg_write, NULL },
    { 0x3b0, 0x3bf, 0, 0, pmpaddr_read, pmpaddr_write, NULL },
    { 0x7a0, 0x7a3, 0, 0, NULL, NULL, NULL }, /* tselect, tdata1 to 3: no trigger */
    { 0xb00, 0xb00, 0, 0, counter_read, counter_write, NULL }, /* mcycle */
    { 0xb02, 0xb02, 0, 0, counter_read, counter_write, NULL }, /* minstret */
    { 0xb03, 0xb1f, 0, 0, NULL, NULL, NULL },                  /* mhpmcounter3 to 31 */
};

static const struct csr *csr_find(const struct rv_hart *h, unsigned number)
{
    if (h->cpu.mode < (number >> 8 & 3))
        return NULL;
    for (unsigned i = 0; i < sizeof csrs / sizeof csrs[0]; i++) {
        if (number >= csrs[i].first && number <= csrs[i].last)
            return csrs[i].allowed && !csrs[i].allowed(h, number) ? NULL : &csrs[i];
    }
    return NULL;
}

static uint64_t *member(struct rv_hart *h, const struct csr *csr)
{
    return (uint64_t *)(void *)((char *)&h->cpu + csr->at);
}

static uint64_t read_of(struct rv_hart *h, const struct csr *csr, unsigned number)
{
    if (csr->read)
        return csr->read(h, number);
    return csr->kept ? *member(h, csr) & csr->kept : 0;
}

static void write_of(struct rv_hart *h, const struct csr *csr, unsigned number, uint64_t value)
{
    if (csr->write)
        csr->write(h, number, value);
    else if (csr->kept)
        *member(h, csr) = value & csr->kept;
}

static bool csr_read_only(unsigned number) { return number >> 10 == 3; }

bool rv_csr_read(struct rv_hart *h, unsigned number, uint64_t *value)
{
    const struct csr *csr = csr_find(h, number);

    if (!csr)
        return false;
    *value = read_of(h, csr, number);
    return true;
}

bool rv_csr_write(struct rv_hart *h, unsigned number, uint64_t value)
{
    const struct csr *csr = csr_find(h, number);

    if (!csr || csr_read_only(number))
        return false;
    write_of(h, csr, number, value);
    return true;
}

static uint64_t csr_combined(const struct rv_insn *i, uint64_t old, uint64_t operand)
{
    if (i->op == RV_CSRRW || i->op == RV_CSRRWI)
        return operand;
    return i->op == RV_CSRRS || i->op == RV_CSRRSI ? old | operand : old & ~operand;
}

/* Volume I, 9.1: csrrw without rd does not read; csrrs and csrrc without rs1 do not write. */
void rv_do_csr(struct rv_hart *h, const struct rv_insn *i)
{
    unsigned number = (unsigned)i->imm;
    const struct csr *csr = csr_find(h, number);
    bool swap = i->op == RV_CSRRW || i->op == RV_CSRRWI, writes = swap || i->rs1;
    uint64_t operand = i->op >= RV_CSRRWI ? i->rs1 : rv_x1(h, i), old = 0, base;

    if (!csr || (writes && csr_read_only(number))) {
        rv_illegal(h, i);
        return;
    }
    if (!swap || i->rd)
        old = read_of(h, csr, number);
    base = csr->read == ip_read ? ip_modify(h, number) : old;
    if (writes)
        write_of(h, csr, number, csr_combined(i, base, operand));
    rv_set(h, i, old);
}
