/* SPDX-License-Identifier: BSD-2-Clause */
/* Images of a VM's objects: saved, restored into a fresh machine, saved again; and refused ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <hv/guest.h>
#include <hv/state.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <string.h>

#include "arch/host/host.h"

/* ---- an engine with three registers, of which one may be missing, and a device ---- */

#define FPU_LEN 20
struct machine {
    struct vm vm;
    struct vcpu vcpu[2];
    struct vcpu *v[2];
    uint64_t reg[2][3];
    uint8_t fpu[2][FPU_LEN];
    uint8_t device[3][5];
    unsigned quiesced, resumed;
};
static bool lacks;

static struct machine *of(const struct vm *vm) { return container_of(vm, struct machine, vm); }

static int get_reg(struct vcpu *v, uint32_t id, uint64_t *val)
{
    if (lacks && id == 2)
        return -ENOENT;
    *val = of(v->vm)->reg[v->id][id];
    return 0;
}

static int set_reg(struct vcpu *v, uint32_t id, uint64_t val)
{
    if (lacks && id == 2)
        return -ENOENT;
    if (val >> 32)
        return -EINVAL;
    of(v->vm)->reg[v->id][id] = val;
    return 0;
}

static int get_fpu(struct vcpu *v, void *buf, size_t *len)
{
    if (*len < FPU_LEN) {
        *len = FPU_LEN;
        return -ENOSPC;
    }
    memcpy(buf, of(v->vm)->fpu[v->id], FPU_LEN);
    *len = FPU_LEN;
    return 0;
}

static int set_fpu(struct vcpu *v, const void *buf, size_t len)
{
    if (len != FPU_LEN)
        return -EINVAL;
    memcpy(of(v->vm)->fpu[v->id], buf, len);
    return 0;
}

static uint32_t device_count(const struct vm *vm)
{
    (void)vm;
    return 3;
}

/* The second has no state. */
static size_t device_size(const struct vm *vm, uint32_t i)
{
    (void)vm;
    return i == 1 ? 0 : 5;
}

static int device_save(struct vm *vm, uint32_t i, void *buf)
{
    assert_int_not_equal(i, 1);
    memcpy(buf, of(vm)->device[i], 5);
    return 0;
}

static int device_restore(struct vm *vm, uint32_t i, const void *buf)
{
    if (*(const uint8_t *)buf > 100)
        return -EINVAL;
    memcpy(of(vm)->device[i], buf, 5);
    return 0;
}

static int busy;
static int device_quiesce(struct vm *vm, uint32_t i)
{
    of(vm)->quiesced |= 1u << i;
    return i == 2 ? busy : 0;
}

static void device_resume(struct vm *vm, uint32_t i) { of(vm)->resumed |= 1u << i; }

static const struct state_ops device = { .name = "device",
                                         .kind = STATE_KBC,
                                         .version = 7,
                                         .count = device_count,
                                         .quiesce = device_quiesce,
                                         .size = device_size,
                                         .save = device_save,
                                         .restore = device_restore,
                                         .resume = device_resume };
static state_table devices = { &device, NULL };
static const uint32_t sysregs[] = { 1, 2, 0 };
static const struct vcpu_ops engine = { .get_sysreg = get_reg,
                                        .set_sysreg = set_reg,
                                        .get_fpu_regs = get_fpu,
                                        .set_fpu_regs = set_fpu,
                                        .sysregs = sysregs,
                                        .nsysregs = ARRAY_SIZE(sysregs) };
static const struct guest_ops guest = { .isa = ISA_X86_64, .state = devices };

static void make(struct machine *m)
{
    memset(m, 0, sizeof *m);
    m->vm.ops = &engine;
    m->vm.guest_ops = &guest;
    m->vm.nvcpus = 2;
    m->vm.paused_ns = 1; /* it stands */
    for (uint32_t i = 0; i < 2; i++) {
        m->vm.vcpu[i] = &m->vcpu[i];
        m->vcpu[i] = (struct vcpu){ .vm = &m->vm, .id = i, .ops = &engine };
    }
}

static void fill(struct machine *m)
{
    m->vm.time_offset_ns = 123456789;
    for (unsigned i = 0; i < 2; i++) {
        struct vcpu *v = &m->vcpu[i];

        for (unsigned r = 0; r < 32; r++)
            v->regs.gpr[r] = 0x1111 * r + i;
        v->regs.pc = 0x1000 + i;
        v->regs.sp = 0x2000 + i;
        v->regs.flags = 0x202;
        v->mp = i ? MP_WAIT_SIPI : MP_HALTED;
        v->requests = REQ_NMI | REQ_PARK | REQ_PARKED | REQ_TLB;
        for (unsigned r = 0; r < 3; r++)
            m->reg[i][r] = 10 * r + i + 1;
        memset(m->fpu[i], (int)(0x40 + i), FPU_LEN);
    }
    m->vcpu[0].event = (struct vcpu_event){ VEV_EXCEPTION, 13, true, 2, 0x18 };
    memcpy(m->device, "aaaaabbbbbccccc", 15);
}

static struct machine a, b;
static uint64_t image[1024], again[1024];

static size_t save(struct machine *m, void *to)
{
    size_t len = state_size(&m->vm);

    assert_true(len <= sizeof image);
    assert_int_equal(state_save(&m->vm, to, len), 0);
    return len;
}

static size_t saved(void)
{
    lacks = false;
    make(&a);
    make(&b);
    fill(&a);
    return save(&a, image);
}

/* ---- tests ---- */

static void test_round(void **state)
{
    size_t len = saved();

    (void)state;
    assert_int_equal(state_restore(&b.vm, image, len), 0);
    assert_memory_equal(a.reg, b.reg, sizeof a.reg);
    assert_memory_equal(a.fpu, b.fpu, sizeof a.fpu);
    assert_memory_equal(&a.vcpu[0].regs, &b.vcpu[0].regs, sizeof a.vcpu[0].regs);
    assert_memory_equal(b.device, "aaaaa\0\0\0\0\0ccccc", 15);
    assert_int_equal(b.vcpu[0].requests, REQ_NMI);
    assert_int_equal(b.vcpu[1].mp, MP_WAIT_SIPI);
    assert_int_equal(b.vcpu[0].event.error, 0x18);
    assert_int_equal(vm_time_ns(&b.vm), 123456790);
    host_now += 1000;
    assert_int_equal(vm_time_ns(&b.vm), 123456790); /* it stands until it is resumed */
    assert_int_equal(save(&b, again), len);
    assert_memory_equal(image, again, len);
}

/* A register that only one of two machines has: 0 may be lost, nothing else. */
static void test_missing_register(void **state)
{
    size_t len = saved();

    (void)state;
    lacks = true;
    assert_int_equal(state_restore(&b.vm, image, len), -EINVAL);
    lacks = false;
    a.reg[0][2] = a.reg[1][2] = 0;
    save(&a, image);
    lacks = true;
    assert_int_equal(state_restore(&b.vm, image, len), 0);
}

static void test_cut(void **state)
{
    size_t len = saved();

    (void)state;
    for (size_t n = 0; n < len; n++) {
        assert_int_equal(state_restore(&b.vm, image, n), -EINVAL);
        ((struct state_image *)image)->len = n;
        assert_int_equal(state_restore(&b.vm, image, n), -EINVAL);
        ((struct state_image *)image)->len = len;
    }
    ((struct state_image *)image)->len = len + 8;
    assert_int_equal(state_restore(&b.vm, image, len + 8), -EINVAL);
}

/* Every bit of heads and records' heads counts; every byte of padding is zero. */
static void test_heads(void **state)
{
    size_t len = saved(), at = sizeof(struct state_image);
    uint8_t *p = (uint8_t *)image;

    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof(struct state_image); bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(state_restore(&b.vm, image, len), -EINVAL);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    while (at < len) {
        struct state_record *r = (void *)(p + at);

        for (size_t bit = 0; bit < 8 * sizeof *r; bit++) {
            p[at + bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(state_restore(&b.vm, image, len), -EINVAL);
            p[at + bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        at += sizeof *r + ((r->len + 7) & ~7u);
        if (r->len % 8) {
            p[at - 1] = 1;
            assert_int_equal(state_restore(&b.vm, image, len), -EINVAL);
            p[at - 1] = 0;
        }
    }
    assert_int_equal(state_restore(&b.vm, image, len), 0);
}

static struct state_record *record(uint32_t kind, uint32_t instance)
{
    size_t at = sizeof(struct state_image);
    struct state_record *r;

    do {
        r = (void *)((uint8_t *)image + at);
        at += sizeof *r + ((r->len + 7) & ~7u);
    } while (r->kind != kind || r->instance != instance);
    return r;
}

static void expect_refused(size_t len, const char *why)
{
    assert_int_equal(state_restore(&b.vm, image, len), -EINVAL);
    assert_non_null(strstr(b.vm.why, why));
    saved();
}

static void test_values(void **state)
{
    size_t len = saved();
    struct state_vcpu *v = (void *)(record(STATE_VCPU, 0) + 1);
    struct state_sysreg *s = (void *)(record(STATE_SYSREGS, 1) + 1);

    (void)state;
    v->mp = MP_OFF + 1;
    expect_refused(len, "vCPU 0");
    v->requests = REQ_PARK;
    expect_refused(len, "vCPU 0");
    v->event_type = VEV_SOFT + 1;
    expect_refused(len, "vCPU 0");
    v->event_has_error = 2;
    expect_refused(len, "vCPU 0");
    v->event_type = VEV_NONE;
    expect_refused(len, "vCPU 0");
    s[1].id++;
    expect_refused(len, "system registers 1");
    s[1].there = 2;
    expect_refused(len, "system registers 1");
    s[1].there = 0;
    expect_refused(len, "system registers 1");
    s[1].val = 1ull << 32;
    expect_refused(len, "system registers 1");
    ((struct state_vm *)(record(STATE_VM, 0) + 1))->time_ns = UINT64_MAX;
    expect_refused(len, "clock");
    *(uint8_t *)(record(STATE_KBC, 2) + 1) = 101;
    expect_refused(len, "device 2");
}

static void test_stand(void **state)
{
    (void)state;
    saved();
    busy = -EINPROGRESS;
    assert_int_equal(state_quiesce(&a.vm), -EINPROGRESS);
    busy = 0;
    assert_int_equal(state_quiesce(&a.vm), 0);
    assert_int_equal(a.quiesced, 7);
    state_resume(&a.vm);
    assert_int_equal(a.resumed, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),  cmocka_unit_test(test_missing_register),
        cmocka_unit_test(test_cut),    cmocka_unit_test(test_heads),
        cmocka_unit_test(test_values), cmocka_unit_test(test_stand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
