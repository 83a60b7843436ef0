/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine of a riscv64 guest: memory, devices, kernel, and the boot hart's registers. */
#include "rv_guest.h"
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/console.h>
#include <hv/pci.h>
#include <stdio.h>

/* ---- what the machine asks for: called under rv_guest.lock ---- */

static void host_put(void *ctx, const char *s, size_t n)
{
    struct rv_guest *g = ctx;

    if (g->vm->console)
        console_write(g->vm->console, s, n);
}

static size_t host_get(void *ctx, char *to, size_t room)
{
    struct rv_guest *g = ctx;

    return g->listening && !g->held ? console_read(g->vm->console, &g->rx, to, room) : 0;
}

static uint64_t host_time(void *ctx) { return vm_counter(((struct rv_guest *)ctx)->vm); }

static void host_wake(void *ctx, unsigned n)
{
    struct rv_guest *g = ctx;

    vcpu_request(g->vm->vcpu[n], REQ_IRQ);
}

/* What it compiled before it was stopped may be old: no fence reaches a hart that is stopped. */
static void host_start(void *ctx, unsigned n, uint64_t pc, uint64_t a1)
{
    struct rv_guest *g = ctx;

    g->entry[n] = (struct rv_entry){ true, pc, a1 };
    __atomic_store_n(&rv_shared_of(g->vm->vcpu[n])->fence_i, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < g->m.harts; i++)
        __atomic_store_n(&rv_shared_of(g->vm->vcpu[i])->others_run, 1, __ATOMIC_RELAXED);
    vcpu_request(g->vm->vcpu[n], REQ_TLB | REQ_GUEST);
}

static void host_fence(void *ctx, unsigned n, const struct rv_fence *f)
{
    struct rv_guest *g = ctx;
    struct rv_shared *s = rv_shared_of(g->vm->vcpu[n]);

    if (f)
        rv_fences_post(&s->fences, f);
    else
        __atomic_store_n(&s->fence_i, 1, __ATOMIC_RELEASE);
    g->fence |= 1u << n;
}

static const struct rvm_host rv_host = { .put = host_put,
                                         .get = host_get,
                                         .time = host_time,
                                         .wake = host_wake,
                                         .start = host_start,
                                         .fence = host_fence };

static void build_rx_event(struct event *ev)
{
    struct rv_guest *g = container_of(ev, struct rv_guest, rx);

    spin_lock(&g->lock);
    uart16550_input(&g->m.uart);
    spin_unlock(&g->lock);
}

/* ---- the devices as trapped ranges ---- */

static int range_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    const struct rv_range *r = dev;
    bool ok;

    spin_lock(&r->g->lock);
    ok = rvm_read(&r->g->m, r->base + off, size, val);
    spin_unlock(&r->g->lock);
    return ok ? 0 : -EIO;
}

static int range_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    const struct rv_range *r = dev;
    bool ok;

    spin_lock(&r->g->lock);
    ok = rvm_write(&r->g->m, r->base + off, size, val);
    spin_unlock(&r->g->lock);
    return ok ? 0 : -EIO;
}

static int ranges_create(struct rv_guest *g)
{
    static const struct io_ops ops = { range_read, range_write, 1 | 2 | 4 | 8 };
    uint64_t base, bytes;
    int err = 0;

    while (!err && rvm_range(g->nranges, &base, &bytes)) {
        struct rv_range *r = &g->range[g->nranges];

        hv_assert(g->nranges < RVG_RANGES);
        *r = (struct rv_range){ g, base };
        err =
            io_register(g->vm, &(struct io_region){ "riscv device", IO_MEM, base, bytes, &ops, r });
        g->nranges += !err;
    }
    return err;
}

static void ranges_destroy(struct rv_guest *g)
{
    while (g->nranges)
        (void)!io_unregister(g->vm, IO_MEM, g->range[--g->nranges].base);
}

/* ---- the whole ---- */

int rv_ram_layout(struct vm *vm, const struct guest_config *c)
{
    int err;

    assert_cpu0();
    if (c->memory > RVG_MMIO64 - RVM_RAM || c->vcpus > RVM_HARTS) {
        snprintf(vm->why, sizeof vm->why, "a riscv64 guest can have at most 254G and %d vCPUs",
                 RVM_HARTS);
        return -EINVAL;
    }
    err = gmem_add_ram(vm, gpa(RVM_RAM), c->memory);
    if (err && vm->why[0] == '\0')
        snprintf(vm->why, sizeof vm->why, "not enough free memory for %llu MiB",
                 (unsigned long long)(c->memory / MIB));
    return err;
}

static const struct rvm_pci rv_pci = { .ecam = RVG_ECAM,
                                       .ecam_bytes = VPCI_ECAM_LEN,
                                       .mmio32 = RVG_MMIO32,
                                       .mmio32_bytes = RVG_MMIO32_LEN,
                                       .mmio64 = RVG_MMIO64,
                                       .mmio64_bytes = RVG_MMIO64_LEN,
                                       .inta = RVG_INTA };

static int build_rv_machine(struct rv_guest *g, const struct guest_config *c)
{
    static const struct vpci_layout pci = { .ecam = RVG_ECAM,
                                            .mmio32 = RVG_MMIO32,
                                            .mmio32_len = RVG_MMIO32_LEN,
                                            .mmio64 = RVG_MMIO64,
                                            .mmio64_len = RVG_MMIO64_LEN,
                                            .intx_gsi = RVG_INTA };
    struct rv_machine *m = &g->m;
    int err;

    for (unsigned n = 0; n < g->vm->nvcpus; n++) {
        struct rv_shared *s = rv_shared_of(g->vm->vcpu[n]);

        m->hart[n] = s->hart;
        s->firmware = c->firmware[0] != '\0';
        s->others_run = s->firmware && g->vm->nvcpus > 1;
    }
    m->harts = g->vm->nvcpus;
    m->ram_size = c->memory;
    m->ram = gmem_ptr(g->vm, gpa(RVM_RAM), c->memory, PROT_R | PROT_W);
    m->sbi = c->firmware[0] == '\0';
    m->host = &rv_host;
    m->ctx = g;
    m->pci = &rv_pci;
    if (m->ram == NULL)
        return -ENOMEM;
    rvm_devices_init(m);
    g->listening = g->vm->console && console_listen(g->vm->console, 1, &g->rx) == 0;
    err = ranges_create(g);
    if (err == 0)
        err = vpci_create(g->vm, &pci);
    if (err == 0)
        err = vio_build(g->vm, c);
    return err;
}

int rv_build(struct vm *vm, const struct guest_config *c)
{
    struct rv_guest *g = vm_alloc(vm, sizeof *g);
    int err;

    assert_cpu0();
    assert_parked(vm);
    if (g == NULL)
        return -ENOMEM;
    g->vm = vm;
    spin_init(&g->lock, LOCK_VINTC);
    event_init(&g->rx, build_rx_event, 0);
    vm->guest = g;
    gmem_enter(&vm->gmem);
    err = build_rv_machine(g, c);
    if (err != 0 && vm->why[0] == '\0')
        snprintf(vm->why, sizeof vm->why, "its devices could not be made: error %d", err);
    g->load = err ? NULL : rv_load_new(g, c);
    return err ? err : g->load ? 0 : -ENOMEM;
}

int rv_build_more(struct vm *vm)
{
    struct rv_guest *g = rv_guest_of(vm);
    int more;

    assert_cpu0();
    gmem_enter(&vm->gmem);
    more = rv_load_step(g->load);
    if (more)
        return more;
    for (uint32_t n = 0; n < vm->nvcpus; n++) {
        if (g->m.hart_state[n] != RVM_STARTED) /* nospec: ours */
            continue;
        rv_regs_out(vm->vcpu[n]);
        vm->vcpu[n]->mp = MP_RUNNABLE;
    }
    rv_load_end(g);
    return 0;
}

void rv_destroy(struct vm *vm)
{
    struct rv_guest *g = vm->guest;

    assert_cpu0();
    assert_parked(vm);
    if (g == NULL)
        return;
    vio_destroy(vm);
    vpci_destroy(vm);
    if (g->listening)
        console_unlisten(vm->console, &g->rx);
    event_kill(&g->rx);
    ranges_destroy(g);
    rv_load_end(g);
    vm->guest = NULL;
    vm_free(vm, g, sizeof *g);
}
