/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's map: RAM and the ranges of the devices. */
#include "machine_parts.h"
#include <string.h>

/* What the kernel's syscon-poweroff and syscon-reboot drivers write: QEMU's test device. */
enum { SYSCON_FAIL = 0x3333, SYSCON_POWEROFF = 0x5555, SYSCON_RESET = 0x7777 };

uint8_t *rvm_ram(struct rv_machine *m, uint64_t pa, uint64_t bytes)
{
    uint64_t off = pa - RVM_RAM;

    return off < m->ram_size && bytes <= m->ram_size - off ? m->ram + off : NULL;
}

void rvm_end(struct rv_machine *m, enum rvm_end how, uint32_t code)
{
    m->end = how;
    m->exit_code = code;
    for (unsigned n = 0; n < m->harts; n++) {
        __atomic_store_n(&m->hart[n]->stop, 1, __ATOMIC_RELEASE);
        __atomic_store_n(&m->hart[n]->attention, 1, __ATOMIC_RELEASE);
    }
}

static uint8_t *machine_ram(void *owner, uint64_t pa) { return rvm_ram(owner, pa, DBT_PAGE); }

static void syscon_write(struct rv_machine *m, uint32_t value)
{
    switch (value & 0xffff) {
    case SYSCON_POWEROFF: rvm_end(m, RVM_POWEROFF, 0); break;
    case SYSCON_RESET: rvm_end(m, RVM_RESET, 0); break;
    case SYSCON_FAIL: rvm_end(m, RVM_POWEROFF, value >> 16); break;
    default: break;
    }
}

static bool read_syscon(struct rv_machine *m, uint64_t off, unsigned size, uint64_t *value)
{
    (void)m, (void)off, (void)size;
    *value = 0;
    return true;
}

static bool write_syscon(struct rv_machine *m, uint64_t off, unsigned size, uint64_t value)
{
    (void)size;
    if (off == 0)
        syscon_write(m, (uint32_t)value);
    return true;
}

static bool read_plic(struct rv_machine *m, uint64_t off, unsigned size, uint64_t *value)
{
    *value = plic_read(m, off);
    return size == 4;
}

static bool write_plic(struct rv_machine *m, uint64_t off, unsigned size, uint64_t value)
{
    if (size == 4)
        plic_write(m, off, (uint32_t)value);
    return size == 4;
}

static bool write_sswi(struct rv_machine *m, uint64_t off, unsigned size, uint64_t value)
{
    (void)size;
    sswi_write(m, off, value);
    return true;
}

static bool read_uart(struct rv_machine *m, uint64_t off, unsigned size, uint64_t *value)
{
    *value = uart16550_read(&m->uart, (unsigned)off);
    return size == 1;
}

static bool write_uart(struct rv_machine *m, uint64_t off, unsigned size, uint64_t value)
{
    if (size == 1)
        uart16550_write(&m->uart, (unsigned)off, (uint8_t)value);
    return size == 1;
}

static const struct range {
    uint64_t base, size;
    bool (*read)(struct rv_machine *m, uint64_t off, unsigned size, uint64_t *value);
    bool (*write)(struct rv_machine *m, uint64_t off, unsigned size, uint64_t value);
} ranges[] = {
    { RVM_UART, 8, read_uart, write_uart },
    { RVM_PLIC, PLIC_SIZE, read_plic, write_plic },
    { RVM_ACLINT, ACLINT_SIZE, aclint_read, aclint_write },
    { RVM_SSWI, SSWI_SIZE, read_syscon, write_sswi },
    { RVM_SYSCON, 0x1000, read_syscon, write_syscon },
};

static const struct range *range_at(uint64_t pa)
{
    for (unsigned i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (pa - ranges[i].base < ranges[i].size)
            return &ranges[i];
    }
    return NULL;
}

bool rvm_read(struct rv_machine *m, uint64_t pa, unsigned size, uint64_t *value)
{
    const struct range *r = range_at(pa);

    return r && r->read(m, pa - r->base, size, value);
}

bool rvm_write(struct rv_machine *m, uint64_t pa, unsigned size, uint64_t value)
{
    const struct range *r = range_at(pa);

    return r && r->write(m, pa - r->base, size, value);
}

bool rvm_range(unsigned n, uint64_t *base, uint64_t *bytes)
{
    if (n >= sizeof ranges / sizeof ranges[0])
        return false;
    *base = ranges[n].base;  /* nospec: no guest asks */
    *bytes = ranges[n].size; /* nospec: the same */
    return true;
}

static bool machine_device_read(void *owner, struct rv_hart *h, uint64_t pa, unsigned size,
                                uint64_t *value)
{
    (void)h;
    return rvm_read(owner, pa, size, value);
}

static bool machine_device_write(void *owner, struct rv_hart *h, uint64_t pa, unsigned size,
                                 uint64_t value)
{
    (void)h;
    return rvm_write(owner, pa, size, value);
}

static uint64_t machine_time(void *owner)
{
    struct rv_machine *m = owner;

    return m->host->time(m->ctx);
}

static bool ecall(void *owner, struct rv_hart *h)
{
    struct rv_machine *m = owner;

    if (m->sbi)
        rvm_sbi(m, h);
    return m->sbi;
}

/* Another hart, always; there are no devices that write. */
static bool others_wrote(void *owner) { return ((const struct rv_machine *)owner)->harts > 1; }

const struct rv_machine_ops rvm_ops = {
    .ram = machine_ram,
    .read = machine_device_read,
    .write = machine_device_write,
    .time = machine_time,
    .ecall = ecall,
    .others_wrote = others_wrote,
};

static struct rv_machine *machine_of(struct uart16550 *u)
{
    return (struct rv_machine *)(void *)((char *)u - offsetof(struct rv_machine, uart));
}

static void machine_uart_irq(struct uart16550 *u, bool up)
{
    rvm_irq(machine_of(u), RVM_UART_IRQ, up);
}

static void machine_uart_out(struct uart16550 *u, char c)
{
    struct rv_machine *m = machine_of(u);

    m->host->put(m->ctx, &c, 1);
}

static size_t machine_uart_in(struct uart16550 *u, char *to, size_t room)
{
    struct rv_machine *m = machine_of(u);

    return m->host->get(m->ctx, to, room);
}

void rvm_devices_init(struct rv_machine *m)
{
    static const struct uart16550_ops ops = { machine_uart_irq, machine_uart_out, machine_uart_in };

    m->end = RVM_RUNS;
    m->exit_code = 0;
    m->plic = (struct rvm_plic_state){ .version = 1 };
    m->aclint = (struct rvm_aclint_state){ .version = 1 };
    uart16550_init(&m->uart, &ops);
    for (unsigned n = 0; n < m->harts; n++) {
        m->aclint.mtimecmp[n] = UINT64_MAX;
        m->hart_state[n] = RVM_STOPPED;
    }
}

void rvm_init(struct rv_machine *m)
{
    for (unsigned n = 0; n < m->harts; n++)
        rv_hart_init(m->hart[n], &rvm_ops, m, n);
    rvm_devices_init(m);
}

void rvm_raise(struct rv_machine *m, unsigned n, uint64_t bits)
{
    if (rv_set_mip(m->hart[n], bits) && m->host->wake)
        m->host->wake(m->ctx, n);
}

/* As firmware leaves a hart: all that S-mode can handle is delegated, all memory is its own. */
static void enter_supervisor(struct rv_cpu *c)
{
    c->mode = RV_S;
    c->medeleg = 0xb1ff;
    c->mideleg = 1 << RV_IRQ_SSI | 1 << RV_IRQ_STI | 1 << RV_IRQ_SEI;
    c->mcounteren = c->scounteren = 7;    /* Linux's vDSO reads time, and relies on firmware */
    c->menvcfg = 1ull << 63 | 1ull << 61; /* Sstc, Svadu */
    c->pmpaddr[0] = (1ull << 54) - 1;
    c->pmpcfg[0] = 0x1f;
}

void rvm_start(struct rv_machine *m, unsigned n, uint64_t pc, uint64_t a0, uint64_t a1)
{
    struct rv_hart *h = m->hart[n];

    rv_reset(h, pc);
    h->cpu.x[10] = a0;
    h->cpu.x[11] = a1;
    if (m->sbi)
        enter_supervisor(&h->cpu);
    rv_changed(h);
    h->stop = 0;
    m->hart_state[n] = RVM_STARTED;
}

void rvm_timers(struct rv_machine *m, unsigned n)
{
    rv_timer(m->hart[n]);
    aclint_poll(m, n);
}

void rvm_poll(struct rv_machine *m, unsigned n)
{
    rvm_timers(m, n);
    if (n == 0)
        uart16550_input(&m->uart);
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t rvm_hart_timer(const struct rv_machine *m, unsigned n)
{
    const struct rv_cpu *c = &m->hart[n]->cpu;
    uint64_t mip = __atomic_load_n(&c->mip, __ATOMIC_RELAXED), next = UINT64_MAX;

    if (c->menvcfg >> 63 && !(mip >> RV_IRQ_STI & 1)) /* Sstc */
        next = c->stimecmp;
    if (!(mip >> RV_IRQ_MTI & 1))
        next = earlier(next, __atomic_load_n(&m->aclint.mtimecmp[n], __ATOMIC_RELAXED));
    return next;
}

uint64_t rvm_next_timer(const struct rv_machine *m)
{
    uint64_t next = UINT64_MAX;

    for (unsigned n = 0; n < m->harts; n++) {
        if (m->hart_state[n] == RVM_STARTED)
            next = earlier(next, rvm_hart_timer(m, n));
    }
    return next;
}
