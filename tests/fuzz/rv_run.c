/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A riscv64 machine with random state, random RAM (code and page tables) and random devices'
 * registers. Nothing outside its RAM may be touched (ASan), and its state stays one that a hart can
 * have.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <hv/rv_machine.h>

#define RAM 0x8000u
#define HARTS 2
#define INSNS 2000

static uint64_t clock_now;
static void put(void *ctx, const char *s, size_t n)
{
    uint8_t sum = 0;

    (void)ctx;
    for (size_t i = 0; i < n; i++) /* reads all that it was given */
        sum = (uint8_t)(sum + s[i]);
    clock_now += sum & 1;
}

static size_t get(void *ctx, char *to, size_t room)
{
    (void)ctx;
    memset(to, 'x', room < 3 ? room : 3);
    return room < 3 ? room : 3;
}

static uint64_t now(void *ctx)
{
    (void)ctx;
    return clock_now++;
}

/* What the first bytes of the input say; the rest is RAM. */
struct start {
    uint8_t sbi, mode, satp_mode, table; /* of satp: which page of RAM */
    uint16_t pc;
    uint16_t mstatus;
    uint64_t menvcfg, pmpcfg;
};

static void begin(struct rv_machine *m, const struct start *s, unsigned n)
{
    struct rv_cpu *c = &m->hart[n]->cpu;

    rvm_start(m, n, RVM_RAM + (s->pc & ~1u) % RAM, n, RVM_RAM + RAM - 4096);
    for (unsigned i = 1; i < 32; i++) {
        memcpy(&c->x[i], m->ram + 8 * i, 8);
        c->f[i] = c->x[i];
        if (i & 1)
            c->x[i] = RVM_RAM + c->x[i] % RAM;
        if (i == 28)
            c->x[i] = RVM_PLIC + c->x[i] % 0x400000;
        if (i == 30)
            c->x[i] = RVM_ACLINT + c->x[i] % 0x10000;
    }
    c->mode = s->mode % 3 == 2 ? RV_M : s->mode % 3;
    if (m->sbi && c->mode == RV_M)
        c->mode = RV_S;
    c->mstatus = (uint64_t)(s->mstatus & 0x66) << 12 | (s->mstatus & 0x19aa);
    if ((c->mstatus & RV_MSTATUS_MPP) == 2ull << 11)
        c->mstatus &= ~RV_MSTATUS_MPP;
    c->mstatus |= RV_MSTATUS_FS;
    c->satp = (uint64_t)(s->satp_mode % 4 ? 7 + s->satp_mode % 4 : 0) << 60;
    c->satp |= (RVM_RAM >> 12) + s->table % (RAM >> 12);
    c->menvcfg = s->menvcfg & (5ull << 61);
    c->mtvec = c->stvec = RVM_RAM + 0x100;
    if (s->pmpcfg & 1)
        memcpy(c->pmpcfg, &s->pmpcfg, 8);
    rv_changed(m->hart[n]);
}

static void check(const struct rv_machine *m)
{
    for (unsigned n = 0; n < HARTS; n++) {
        const struct rv_cpu *c = &m->hart[n]->cpu;

        assert(c->x[0] == 0);
        assert(c->mode == RV_U || c->mode == RV_S || c->mode == RV_M);
        assert(c->fflags < 32 && c->frm < 8);
        assert((c->pc & 1) == 0);
        assert((c->mstatus & RV_MSTATUS_MPP) != 2ull << 11);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct rvm_host host = { .put = put, .get = get, .time = now };
    static struct rv_hart *hart[HARTS];
    static struct rv_machine m;
    struct start s;

    if (size < sizeof s)
        return 0;
    memcpy(&s, data, sizeof s);
    m = (struct rv_machine){ .ram_size = RAM, .harts = HARTS, .sbi = s.sbi & 1, .host = &host };
    m.ram = calloc(1, RAM); /* apart, so that ASan sees its ends */
    assert(m.ram);
    for (unsigned n = 0; n < HARTS; n++) {
        if (!hart[n])
            hart[n] = calloc(1, sizeof *hart[n]);
        assert(hart[n]);
        m.hart[n] = hart[n];
    }
    size -= sizeof s;
    memcpy(m.ram, data + sizeof s, size < RAM ? size : RAM);
    rvm_init(&m);
    for (unsigned n = 0; n < HARTS; n++)
        begin(&m, &s, n);
    for (unsigned i = 0; i < 4 && m.end == RVM_RUNS; i++) {
        rvm_poll(&m, i & 1);
        rv_interpret(m.hart[i & 1], INSNS / 4);
        check(&m);
    }
    free(m.ram);
    return 0;
}
