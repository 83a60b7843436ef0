/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * riscv64 VMs without virtio and without an engine, for tests of their state: harts are
 * interpreted, time is the number of instructions, and the serial port's input comes by itself.
 * Included by one C file per program; its definitions win at the link.
 */
#pragma once
#include <hv/config.h>
#include <hv/guest.h>
#include <hv/state.h>
#include <stdlib.h>
#include <string.h>

#include "arch/host/host.h"
#include "hv/guest/riscv64/rv_guest.h"

#define FAKE_HARTS 2
#define FAKE_RAM 0x8000u

struct fake {
    struct vm vm;
    struct vcpu vcpu[FAKE_HARTS];
    struct rv_vcpu timer[FAKE_HARTS];
    struct rv_shared shared[FAKE_HARTS];
    struct rv_guest g;
    struct rv_hart *hart; /* FAKE_HARTS of them */
    uint8_t *ram;
    uint64_t typed; /* bytes */
    unsigned wakes, ends;
};
static struct guest_config fake_config;

void vcpu_request(struct vcpu *v, uint32_t reqs)
{
    v->requests |= reqs;
    ((struct fake *)(void *)v->vm)->wakes++;
}
uint64_t vm_time_ns(const struct vm *vm)
{
    return (vm->paused_ns ? vm->paused_ns : host_now) + (uint64_t)vm->time_offset_ns;
}
void vm_request_reset(struct vm *vm, const char *why)
{
    (void)why;
    ((struct fake *)(void *)vm)->ends++;
}
void vm_request_off(struct vm *vm, const char *why) { vm_request_reset(vm, why); }
void vm_exited(struct vm *vm, int code)
{
    (void)code;
    vm_request_reset(vm, NULL);
}

static void fake_put(void *ctx, const char *s, size_t n) { (void)ctx, (void)s, (void)n; }

static size_t fake_get(void *ctx, char *to, size_t room)
{
    struct fake *f = ctx;

    if (f->g.held || room == 0 || f->typed % 5 == 4)
        return f->typed++, 0;
    *to = (char)('a' + f->typed++ % 26);
    return 1;
}

static uint64_t fake_time(void *ctx)
{
    const struct fake *f = ctx;
    uint64_t sum = 0;

    for (unsigned n = 0; n < FAKE_HARTS; n++)
        sum += f->hart[n].cpu.instret;
    return sum / 16;
}

static void fake_wake(void *ctx, unsigned n)
{
    vcpu_request(&((struct fake *)ctx)->vcpu[n], REQ_IRQ);
}

static void fake_hart_start(void *ctx, unsigned n, uint64_t pc, uint64_t a1)
{
    struct fake *f = ctx;

    f->g.entry[n] = (struct rv_entry){ true, pc, a1 };
    vcpu_request(&f->vcpu[n], REQ_GUEST);
}

static void fake_no_event(struct event *ev) { (void)ev; }

static const struct rvm_host fake_host = {
    .put = fake_put, .get = fake_get, .time = fake_time, .wake = fake_wake, .start = fake_hart_start
};
static const struct vcpu_ops fake_ops = { .name = "fake", .state = rv_hart_states };

/* As after guest_ops.build: no hart has begun. */
static inline void fake_make(struct fake *f, bool sbi)
{
    struct rv_machine *m = &f->g.m;
    struct rv_hart *hart = f->hart ? f->hart : calloc(FAKE_HARTS, sizeof *hart);
    uint8_t *ram = f->ram ? f->ram : malloc(FAKE_RAM); /* apart, so that ASan sees its ends */

    if (!hart || !ram)
        abort();
    memset(f, 0, sizeof *f);
    memset(ram, 0, FAKE_RAM);
    f->hart = hart;
    f->ram = ram;
    f->vm.config = &fake_config;
    f->vm.ops = &fake_ops;
    f->vm.guest_ops = &guest_riscv;
    f->vm.guest = &f->g;
    f->vm.nvcpus = FAKE_HARTS;
    f->vm.clock_hz = RVM_TIMEBASE;
    f->vm.time_offset_ns = -(int64_t)host_now;
    f->g.vm = &f->vm;
    spin_init(&f->g.lock, LOCK_VINTC);
    event_init(&f->g.rx, fake_no_event, 0);
    *m = (struct rv_machine){ .ram = ram, .ram_size = FAKE_RAM, .harts = FAKE_HARTS, .sbi = sbi };
    m->host = &fake_host;
    m->ctx = f;
    for (unsigned n = 0; n < FAKE_HARTS; n++) {
        f->vcpu[n] = (struct vcpu){ .vm = &f->vm, .id = n, .ops = &fake_ops, .mp = MP_OFF };
        f->vcpu[n].shared = &f->shared[n];
        f->vcpu[n].guest = &f->timer[n];
        f->timer[n].v = &f->vcpu[n];
        event_init(&f->timer[n].timer, fake_no_event, 0);
        f->shared[n].hart = m->hart[n] = &hart[n];
        f->vm.vcpu[n] = &f->vcpu[n];
    }
    rvm_init(m);
    for (unsigned n = 0; n < FAKE_HARTS; n++)
        rv_regs_out(&f->vcpu[n]);
}

static inline void fake_free(struct fake *f)
{
    free(f->hart);
    free(f->ram);
    f->hart = NULL;
    f->ram = NULL;
}

/* A turn of each hart that runs, as the vCPUs' loops have it. */
static inline void fake_turn(struct fake *f, uint64_t insns)
{
    for (unsigned n = 0; n < FAKE_HARTS && f->g.m.end == RVM_RUNS; n++) {
        struct vcpu *v = &f->vcpu[n];
        uint32_t req = v->requests;

        v->requests = 0;
        if (req & REQ_GUEST)
            guest_riscv.request(v);
        if (f->g.m.hart_state[n] != RVM_STARTED)
            continue;
        v->mp = MP_RUNNABLE;
        rv_regs_in(v);
        rvm_poll(&f->g.m, n);
        (void)rv_interpret(f->g.m.hart[n], insns);
        rv_regs_out(v);
        if (f->g.m.hart_state[n] == RVM_STOPPED)
            v->mp = MP_OFF;
    }
}

/* The VM stands still, and is written to `to`, which has room; how much. */
static inline size_t fake_save(struct fake *f, void *to, size_t room)
{
    size_t len = state_size(&f->vm);

    if (len > room || state_quiesce(&f->vm) || state_save(&f->vm, to, len))
        abort();
    return len;
}

/* The record of that kind in an image that is right. */
static inline void *fake_record(void *image, uint32_t kind, uint32_t instance)
{
    uint8_t *at = (uint8_t *)image + sizeof(struct state_image);
    const struct state_record *r;

    do {
        r = (const void *)at;
        at += sizeof *r + ((r->len + 7) & ~7u);
    } while (r->kind != kind || r->instance != instance);
    return (uint8_t *)(uintptr_t)(r + 1);
}

/* What the first hart, or each, begins with, from random bytes: code and page tables in RAM. */
static inline void fake_begin(struct fake *f, unsigned n, const uint8_t how[8])
{
    struct rv_cpu *c = &f->hart[n].cpu;

    rvm_start(&f->g.m, n, RVM_RAM + how[0] * 64, n, RVM_RAM);
    for (unsigned i = 1; i < 32; i++) {
        memcpy(&c->f[i], f->ram + 8 * i, 8);
        c->x[i] = RVM_RAM + c->f[i] % FAKE_RAM;
        if (i >= 24)
            c->x[i] = c->f[i];
        if (i >= 29)
            c->x[i] = (i == 29   ? RVM_UART
                       : i == 30 ? RVM_PLIC
                                 : RVM_ACLINT) +
                      (c->f[i] & (i == 29   ? 7
                                  : i == 30 ? 0x203fff
                                            : 0xffff));
    }
    c->mode = how[1] % 3 == 2 && !f->g.m.sbi ? RV_M : how[1] & 1;
    c->mstatus = RV_MSTATUS_FS | (how[2] & 0x0a) | (uint64_t)(how[2] & 0x60) << 13;
    c->mie = how[3] & 2 ? 0xaaa : 0x20;
    c->satp = (uint64_t)(how[4] % 4 ? 7 + how[4] % 4 : 0) << 60 |
              ((RVM_RAM >> 12) + how[5] % (FAKE_RAM >> 12));
    c->menvcfg = (uint64_t)(how[6] & 5) << 61;
    c->mtvec = c->stvec = RVM_RAM + 0x100 + (how[7] & 1);
    rv_changed(&f->hart[n]);
    rv_regs_out(&f->vcpu[n]);
    f->vcpu[n].mp = MP_RUNNABLE;
}
