/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hart in an image, <hv/state.h>: its registers, and the answer to an access to a device that is
 * done while its instruction is not. The TLB and compiled code are made anew.
 */
#include <hv/rv_vcpu.h>
#include <hv/state.h>
#include <hv/vm.h>
#include <string.h>

struct rv_hart_state {
    struct rv_cpu cpu;
    uint8_t there, ok, write, size; /* of the answer; all zero: there is none */
    uint32_t zero;
    uint64_t pa, value; /* value: of a read */
};
static_assert(sizeof(struct rv_hart_state) == 944, "a saved state");

static uint32_t hart_count(const struct vm *vm) { return vm->nvcpus; }

static size_t hart_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct rv_hart_state);
}

static uint64_t hart_mask(unsigned size) { return size >= 8 ? ~0ull : (1ull << 8 * size) - 1; }

static int hart_save(struct vm *vm, uint32_t i, void *buf)
{
    const struct rv_shared *h = rv_shared_of(vm->vcpu[i]);
    const struct rv_answer *a = &h->answer;
    struct rv_hart_state *s = buf;

    rv_hart_save(h->hart, &s->cpu);
    if (!a->there)
        return 0;
    s->there = 1;
    s->ok = a->ok;
    s->write = a->write;
    s->size = a->size;
    s->pa = a->pa;
    s->value = a->write ? 0 : a->value & hart_mask(a->size);
    return 0;
}

static bool answer_valid(const struct rv_hart_state *s)
{
    if (!s->there)
        return state_all_zero(&s->there, sizeof *s - offsetof(struct rv_hart_state, there));
    return s->there == 1 && s->ok <= 1 && s->write <= 1 && !s->zero &&
           (s->size == 1 || s->size == 2 || s->size == 4 || s->size == 8) &&
           !(s->value & ~(s->write ? 0 : hart_mask(s->size)));
}

/* The record of the vCPU's general registers says the same; and what no riscv64 vCPU has. */
static bool hart_agrees(const struct vcpu *v, const struct rv_cpu *c)
{
    return memcmp(&v->regs.gpr[1], &c->x[1], 31 * sizeof c->x[0]) == 0 && v->regs.pc == c->pc &&
           v->mp != MP_WAIT_SIPI && v->event.type == VEV_NONE && !(v->requests & REQ_NMI);
}

static int hart_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct rv_hart_state *s = buf;
    struct vcpu *v = vm->vcpu[i];
    struct rv_shared *h = rv_shared_of(v);

    if (!rv_hart_valid(&s->cpu, i) || !answer_valid(s) || !hart_agrees(v, &s->cpu))
        return -EINVAL;
    rv_hart_restore(h->hart, &s->cpu);
    h->answer = (struct rv_answer){ .there = s->there != 0,
                                    .ok = s->ok != 0,
                                    .write = s->write != 0,
                                    .size = s->size,
                                    .pa = s->pa,
                                    .value = s->value };
    /* all that the engine derived from it and from memory: before it runs */
    __atomic_store_n(&h->changed, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&h->fence_i, 1, __ATOMIC_RELEASE);
    __atomic_fetch_or(&v->requests, REQ_TLB, __ATOMIC_RELEASE);
    return 0;
}

static const struct state_ops hart_ops = { .name = "hart",
                                           .kind = STATE_RV_HART,
                                           .version = 1,
                                           .count = hart_count,
                                           .size = hart_size,
                                           .save = hart_save,
                                           .restore = hart_restore };

const struct state_ops *const rv_hart_states[] = { &hart_ops, NULL };
