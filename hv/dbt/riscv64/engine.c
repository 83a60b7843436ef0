/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiling engine on a hart: <hv/rv_engine.h>. Compiled code has a TLB of its own, filled from
 * the hart's, for one address space and one set of rights at a time.
 */
#include <string.h>
#include <hv/rv_engine.h>

#define REMAPS 64   /* pages in one pass whose mapping changes */
#define REMAP_ALL 8 /* so many, when any may have: that costs some microseconds */

static void engine_empty(struct rv_engine *e, uint64_t k)
{
    uint64_t none = (k ^ 1) << PAGE_SHIFT; /* selects another entry: nothing equals it */

    e->tlb[k] = (struct rv_engine_entry){ none, none, 0, 0 };
}

/* Most changes of mappings come after a few accesses. */
static void engine_flush(struct rv_engine *e)
{
    if (e->n_filled <= RV_ENGINE_LISTED)
        for (unsigned k = 0; k < e->n_filled; k++)
            engine_empty(e, e->filled[k]);
    else
        for (uint64_t k = 0; k < RV_ENGINE_TLB; k++)
            engine_empty(e, k);
    e->n_filled = 0;
}

/* What translations depend on beside satp: volume II, 3.1.6.3. */
static uint64_t engine_rights(const struct rv_cpu *c)
{
    return (c->mstatus & (RV_MSTATUS_MPRV | RV_MSTATUS_SUM | RV_MSTATUS_MXR | RV_MSTATUS_MPP)) |
           c->mode;
}

static void engine_seen(struct rv_engine *e)
{
    e->seen_satp = e->hart.cpu.satp;
    e->seen_rights = engine_rights(&e->hart.cpu);
    e->seen_flushes = e->hart.mem.stats.flushes;
    engine_flush(e);
}

/*
 * After the hart's TLB was flushed it no longer knows which addresses are of large pages, and a
 * fence of one page is one of that page alone (dbt_mem_forget_page()): what we have of them goes
 * now. Permissions of PMP and menvcfg change with a flush, too.
 */
static void engine_look(struct rv_engine *e)
{
    bool flushed = e->seen_flushes != e->hart.mem.stats.flushes,
         moved = e->seen_satp != e->hart.cpu.satp;

    if (!flushed && !moved && e->seen_rights == engine_rights(&e->hart.cpu))
        return;
    if (flushed || moved)
        rv_jit_remapped(e->jit);
    engine_seen(e);
}

static void engine_fill(struct rv_engine *e, uint64_t va)
{
    uint64_t page = va & ~(PAGE_SIZE - 1), k = (va >> PAGE_SHIFT) & (RV_ENGINE_TLB - 1);
    uint64_t none = (k ^ 1) << PAGE_SHIFT;
    const uint8_t *read = dbt_hit(&e->hart.mem, DBT_LOAD, page, 8);
    const uint8_t *write = dbt_hit(&e->hart.mem, DBT_STORE, page, 8);
    const uint8_t *host = read ? read : write;

    if (read && write && read != write) /* one of them is out of date */
        write = NULL;
    e->tlb[k] =
        (struct rv_engine_entry){ read ? page : none, write ? page : none, (uintptr_t)host,
                                  dbt_hit_pa(&e->hart.mem, read ? DBT_LOAD : DBT_STORE, page) };
    if (e->n_filled < RV_ENGINE_LISTED)
        e->filled[e->n_filled] = (uint16_t)k;
    if (e->n_filled <= RV_ENGINE_LISTED)
        e->n_filled++;
}

static void engine_step(void *machine)
{
    struct rv_engine *e = machine;

    struct rv_insn i;

    if (rv_fetch(&e->hart, &i))
        rv_execute(&e->hart, &i);
    engine_look(e);
    if (rv_interrupt_due(&e->hart))
        __atomic_store_n(&e->leave, 1, __ATOMIC_RELAXED);
}

static int engine_fault(struct rv_engine *e, enum dbt_fault fault, enum dbt_access access)
{
    rv_memory_trap(&e->hart, fault, access);
    e->hart.cpu.pc = e->hart.next;
    engine_look(e);
    return -EFAULT;
}

static int engine_load(void *machine, uint64_t va, unsigned size, uint64_t *v)
{
    struct rv_engine *e = machine;
    enum dbt_fault fault = dbt_load(&e->hart.mem, va, 1u << size, v);

    if (fault != DBT_OK)
        return engine_fault(e, fault, DBT_LOAD);
    engine_fill(e, va);
    return 0;
}

static int engine_store(void *machine, uint64_t va, unsigned size, uint64_t v)
{
    struct rv_engine *e = machine;
    enum dbt_fault fault = dbt_store(&e->hart.mem, va, 1u << size, v);

    if (fault != DBT_OK)
        return engine_fault(e, fault, DBT_STORE);
    engine_fill(e, va);
    return 0;
}

static int engine_atomic(void *machine, unsigned op, uint64_t va, uint64_t operand, uint64_t *v)
{
    struct rv_engine *e = machine;
    enum dbt_fault fault = rv_atomic(&e->hart, op, va, operand, v);

    if (fault != DBT_OK)
        return engine_fault(e, fault, rv_atomic_access(op));
    engine_fill(e, va);
    return 0;
}

static const uint8_t *engine_code(void *machine, uint64_t va, uint64_t *pa)
{
    struct rv_engine *e = machine;

    if (dbt_fetch_pa(&e->hart.mem, va, pa) != DBT_OK)
        return NULL;
    *pa &= ~(PAGE_SIZE - 1);
    return e->machine->ram(e->owner, *pa);
}

static const uint8_t *engine_page(void *machine, uint64_t pa)
{
    struct rv_engine *e = machine;

    return e->machine->ram(e->owner, pa);
}

/* Stores to the page are told from now on: neither TLB may hide them. */
static void engine_protect(void *machine, uint64_t pa)
{
    struct rv_engine *e = machine;

    dbt_mem_watch(&e->hart.mem, pa);
    engine_flush(e);
}

/* The machine's side of the hart, with the engine's ears between: e is the hart's owner. */
static uint8_t *engine_ram(void *owner, uint64_t pa)
{
    struct rv_engine *e = owner;

    return e->machine->ram(e->owner, pa);
}

/* What the machine wants to see to at once. */
static bool engine_left(struct rv_engine *e, bool answer)
{
    if (__atomic_load_n(&e->hart.stop, __ATOMIC_RELAXED))
        __atomic_store_n(&e->leave, 1, __ATOMIC_RELAXED);
    return answer;
}

static bool engine_read(void *owner, struct rv_hart *h, uint64_t pa, unsigned size, uint64_t *v)
{
    struct rv_engine *e = owner;

    return engine_left(e, e->machine->read(e->owner, h, pa, size, v));
}

static bool engine_write(void *owner, struct rv_hart *h, uint64_t pa, unsigned size, uint64_t v)
{
    struct rv_engine *e = owner;

    return engine_left(e, e->machine->write(e->owner, h, pa, size, v));
}

static bool engine_watched(void *owner, uint64_t pa)
{
    struct rv_engine *e = owner;

    return rv_jit_has_code(e->jit, pa);
}

static void engine_stored(void *owner, uint64_t pa, unsigned size)
{
    struct rv_engine *e = owner;

    rv_jit_written(e->jit, pa, size);
}

static uint64_t engine_time(void *owner)
{
    struct rv_engine *e = owner;

    return e->machine->time(e->owner);
}

static bool engine_ecall(void *owner, struct rv_hart *h)
{
    struct rv_engine *e = owner;

    return e->machine->ecall && engine_left(e, e->machine->ecall(e->owner, h));
}

/* Many of these would make a pass long. */
static void engine_slow(struct rv_engine *e, unsigned pages)
{
    e->slow += pages;
    if (e->slow >= REMAPS)
        __atomic_store_n(&e->leave, 1, __ATOMIC_RELAXED);
}

static void engine_fence_i(void *owner, struct rv_hart *h)
{
    struct rv_engine *e = owner;

    if (e->machine->others_wrote && e->machine->others_wrote(e->owner))
        rv_jit_verify(e->jit);
    __atomic_store_n(&e->leave, 1, __ATOMIC_RELAXED); /* what runs may be gone, too */
    if (e->machine->fence_i)
        e->machine->fence_i(e->owner, h);
}

static void engine_remapped(void *owner, struct rv_hart *h, const uint64_t *page)
{
    struct rv_engine *e = owner;
    bool all = !page;

    if (page) {
        engine_empty(e, *page >> PAGE_SHIFT & (RV_ENGINE_TLB - 1));
        all = !rv_jit_remapped_page(e->jit, *page);
    } else {
        rv_jit_remapped(e->jit);
        engine_flush(e);
    }
    engine_slow(e, all ? REMAP_ALL : 1);
    if (e->machine->remapped)
        e->machine->remapped(e->owner, h, page);
}

static const struct rv_machine_ops engine_machine = {
    .ram = engine_ram,
    .read = engine_read,
    .write = engine_write,
    .watched = engine_watched,
    .stored = engine_stored,
    .time = engine_time,
    .ecall = engine_ecall,
    .fence_i = engine_fence_i,
    .remapped = engine_remapped,
};

static const struct rv_jit_ops engine_ops = {
    .step = engine_step,
    .load = engine_load,
    .store = engine_store,
    .atomic = engine_atomic,
    .code = engine_code,
    .protect = engine_protect,
    .page = engine_page,
};

int rv_engine_init(struct rv_engine *e, void *memory, struct jit_memory code, unsigned hot,
                   uint64_t (*clock)(void))
{
    struct rv_jit_setup s = { .ops = &engine_ops,
                              .machine = e,
                              .cpu = &e->hart.cpu,
                              .near = &e->near,
                              .code = code,
                              .leave = &e->leave,
                              .clock = clock,
                              .hot = hot };

    s.layout = (struct jit_layout){ .tlb = offsetof(struct rv_engine, tlb),
                                    .tlb_entries = RV_ENGINE_TLB,
                                    .tlb_shift = 5,
                                    .tlb_read = 0,
                                    .tlb_write = 8,
                                    .tlb_host = 16,
                                    .tlb_pa = 24,
                                    .reserved = offsetof(struct rv_cpu, reserved) };
    e->jit = memory;
    e->n_filled = RV_ENGINE_LISTED + 1;
    engine_seen(e);
    int err = rv_jit_init(e->jit, &s);
    if (err)
        return err;
    e->machine = e->hart.machine;
    e->owner = e->hart.owner;
    e->hart.machine = &engine_machine;
    e->hart.owner = e;
    return 0;
}

uint64_t rv_engine_pass(struct rv_engine *e, uint64_t budget)
{
    /* what is pending, WFI and stop: as the interpreter sees them */
    uint64_t n;

    e->slow = 0;
    __atomic_store_n(&e->leave, 0, __ATOMIC_RELAXED);
    n = rv_interpret(&e->hart, 1);

    if (!n)
        return 0;
    engine_look(e);
    if (!__atomic_load_n(&e->hart.attention, __ATOMIC_RELAXED) && n < budget)
        n += rv_jit_run(e->jit, min_u64(budget - n, 20000));
    return n;
}

uint64_t rv_engine_run(struct rv_engine *e, uint64_t budget)
{
    uint64_t n = 0, ran;

    while (n < budget) {
        ran = rv_engine_pass(e, budget - n);
        n += ran;
        if (!ran || e->hart.cpu.waiting)
            break;
    }
    return n;
}

void rv_engine_changed(struct rv_engine *e)
{
    rv_changed(&e->hart);
    rv_jit_remapped(e->jit);
    engine_seen(e);
}
