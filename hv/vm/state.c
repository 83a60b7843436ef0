/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c: a VM's objects as bytes, and back, by the tables of <hv/state.h>; and what every VM has:
 * its clock, and its vCPUs' registers by way of the engine's calls.
 */
#include <hv/guest.h>
#include <hv/state.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>

bool state_all_zero(const void *p, size_t len)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < len; i++)
        if (b[i])
            return false;
    return true;
}

static uint64_t number_at(const void *s, const struct state_limit *l)
{
    uint64_t v = 0;

    memcpy(&v, (const uint8_t *)s + l->off, l->size);
    return v;
}

bool state_within(const void *s, const struct state_limit *l, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (number_at(s, &l[i]) > l[i].max)
            return false;
    return true;
}

static uint32_t state_vcpus_of(const struct vm *vm) { return vm->nvcpus; }

/* ---- the clock ---- */

static size_t clock_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct state_vm);
}

static int clock_save(struct vm *vm, uint32_t i, void *buf)
{
    struct state_vm *s = buf;

    (void)i;
    s->time_ns = vm_time_ns(vm);
    return 0;
}

/* The clock stands at what was saved until vm_resume(). */
static int clock_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct state_vm *s = buf;

    (void)i;
    if (s->time_ns > INT64_MAX / 2)
        return -EINVAL;
    vm->paused_ns = time_ns();
    vm->time_offset_ns = (int64_t)(s->time_ns - vm->paused_ns);
    return 0;
}

static const struct state_ops clock_ops = { .name = "clock",
                                            .kind = STATE_VM,
                                            .version = 1,
                                            .size = clock_size,
                                            .save = clock_save,
                                            .restore = clock_restore };

/* ---- a vCPU's general registers ---- */

/* REQ_IRQ is set for all by vm_resume() */
#define REQ_SAVED (REQ_NMI | REQ_NMI_NEXT | REQ_GUEST)
#define INSN_MAX 15 /* bytes of the longest instruction, of x86 */

static size_t regs_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct state_vcpu);
}

static int regs_save(struct vm *vm, uint32_t i, void *buf)
{
    const struct vcpu *v = vm->vcpu[i];
    struct state_vcpu *s = buf;

    memcpy(s->gpr, v->regs.gpr, sizeof s->gpr);
    s->pc = v->regs.pc;
    s->sp = v->regs.sp;
    s->flags = v->regs.flags;
    s->mp = v->mp;
    s->requests = __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQ_SAVED;
    s->event_type = v->event.type;
    if (v->event.type == VEV_NONE)
        return 0;
    s->event_vector = v->event.vector;
    s->event_has_error = v->event.has_error;
    s->event_insn_len = v->event.insn_len;
    s->event_error = v->event.error;
    return 0;
}

static bool regs_valid(const struct state_vcpu *s)
{
    if ((s->requests & (REQ_NMI | REQ_NMI_NEXT)) == REQ_NMI_NEXT)
        return false;
    return s->mp <= MP_OFF && !(s->requests & ~(uint32_t)REQ_SAVED) && s->event_type <= VEV_SOFT &&
           s->event_has_error <= 1 && s->event_insn_len <= INSN_MAX &&
           (s->event_type != VEV_NONE || state_all_zero(&s->event_type, 8));
}

static int regs_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct state_vcpu *s = buf;
    struct vcpu *v = vm->vcpu[i];

    if (!regs_valid(s))
        return -EINVAL;
    memcpy(v->regs.gpr, s->gpr, sizeof s->gpr);
    v->regs.pc = s->pc;
    v->regs.sp = s->sp;
    v->regs.flags = s->flags;
    v->mp = s->mp;
    v->event = (struct vcpu_event){ .type = s->event_type,
                                    .vector = s->event_vector,
                                    .has_error = s->event_has_error != 0,
                                    .insn_len = s->event_insn_len,
                                    .error = s->event_error };
    __atomic_store_n(&v->requests, s->requests, __ATOMIC_RELEASE);
    return 0;
}

static const struct state_ops regs_ops = { .name = "vCPU",
                                           .kind = STATE_VCPU,
                                           .version = 1,
                                           .count = state_vcpus_of,
                                           .size = regs_size,
                                           .save = regs_save,
                                           .restore = regs_restore };
static_assert(offsetof(struct state_vcpu, event_error) + 4 -
                      offsetof(struct state_vcpu, event_type) ==
                  8,
              "regs_valid() looks at the event as 8 bytes");

/* ---- system registers ---- */

static size_t sysregs_size(const struct vm *vm, uint32_t i)
{
    (void)i;
    return vm->ops->nsysregs * sizeof(struct state_sysreg);
}

static int sysregs_save(struct vm *vm, uint32_t i, void *buf)
{
    struct state_sysreg *s = buf;

    for (uint32_t n = 0; n < vm->ops->nsysregs; n++) {
        int err;

        s[n].id = vm->ops->sysregs[n];
        err = vm->ops->get_sysreg(vm->vcpu[i], s[n].id, &s[n].val);
        s[n].there = err == 0;
        if (err)
            s[n].val = 0;
        if (err && err != -ENOENT)
            return err;
    }
    return 0;
}

static bool sysreg_valid(const struct vm *vm, uint32_t n, const struct state_sysreg *s)
{
    return s->id == vm->ops->sysregs[n] && s->there <= 1 && (s->there || !s->val);
}

/* A register that this machine lacks may be there only as one that was never written. */
static int sysregs_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct state_sysreg *s = buf;

    for (uint32_t n = 0; n < vm->ops->nsysregs; n++)
        if (!sysreg_valid(vm, n, &s[n]))
            return -EINVAL;
    for (uint32_t n = 0; n < vm->ops->nsysregs; n++) {
        int err = s[n].there ? vm->ops->set_sysreg(vm->vcpu[i], s[n].id, s[n].val) : 0;

        if (err && !(err == -ENOENT && !s[n].val))
            return -EINVAL;
    }
    return 0;
}

static const struct state_ops sysregs_ops = { .name = "system registers",
                                              .kind = STATE_SYSREGS,
                                              .version = 1,
                                              .count = state_vcpus_of,
                                              .size = sysregs_size,
                                              .save = sysregs_save,
                                              .restore = sysregs_restore };

/* ---- floating point ---- */

static size_t fpu_size(const struct vm *vm, uint32_t i)
{
    size_t len = 0;

    if (!vm->ops->get_fpu_regs || vm->ops->get_fpu_regs(vm->vcpu[i], NULL, &len) != -ENOSPC)
        return 0;
    return len;
}

static int fpu_save(struct vm *vm, uint32_t i, void *buf)
{
    size_t len = fpu_size(vm, i);

    return vm->ops->get_fpu_regs(vm->vcpu[i], buf, &len);
}

static int fpu_restore(struct vm *vm, uint32_t i, const void *buf)
{
    return vm->ops->set_fpu_regs(vm->vcpu[i], buf, fpu_size(vm, i));
}

static const struct state_ops fpu_ops = { .name = "FPU and SIMD",
                                          .kind = STATE_FPU,
                                          .version = 1,
                                          .count = state_vcpus_of,
                                          .size = fpu_size,
                                          .save = fpu_save,
                                          .restore = fpu_restore };

/* ---- the table ---- */

static state_table of_all = { &clock_ops, &regs_ops, &sysregs_ops, &fpu_ops, NULL };

static int each_in(const struct vm *vm, const struct state_ops *const *t,
                   int (*fn)(const struct state_ops *, uint32_t, void *), void *ctx)
{
    for (; t && *t; t++) {
        uint32_t n = (*t)->count ? (*t)->count(vm) : 1;

        for (uint32_t i = 0; i < n; i++) {
            int err = fn(*t, i, ctx);

            if (err)
                return err;
        }
    }
    return 0;
}

int state_each(const struct vm *vm, int (*fn)(const struct state_ops *, uint32_t, void *),
               void *ctx)
{
    int err = each_in(vm, of_all, fn, ctx);

    err = err ? err : each_in(vm, vm->ops->state, fn, ctx);
    return err ? err : each_in(vm, vm->guest_ops->state, fn, ctx);
}

/* ---- standing still ---- */

static int quiesce_one(const struct state_ops *o, uint32_t i, void *vm)
{
    return o->quiesce ? o->quiesce(vm, i) : 0;
}

int state_quiesce(struct vm *vm) { return state_each(vm, quiesce_one, vm); }

static int resume_one(const struct state_ops *o, uint32_t i, void *vm)
{
    if (o->resume)
        o->resume(vm, i);
    return 0;
}

void state_resume(struct vm *vm) { (void)!state_each(vm, resume_one, vm); }

/* ---- records ---- */

static size_t padded(size_t len) { return (len + 7) & ~(size_t)7; }

/* Where a walk over the table is in an image. */
struct walk {
    struct vm *vm;
    uint8_t *to;         /* saving; NULL: only counting */
    const uint8_t *from; /* restoring */
    size_t at, len;      /* so far; of all */
    uint32_t records;
};

static int count_one(const struct state_ops *o, uint32_t i, void *ctx)
{
    struct walk *w = ctx;
    size_t len = o->size(w->vm, i);

    if (len)
        w->at += sizeof(struct state_record) + padded(len);
    w->records += len != 0;
    return 0;
}

static struct walk count_all(struct vm *vm)
{
    struct walk w = { .vm = vm, .at = sizeof(struct state_image) };

    (void)!state_each(vm, count_one, &w);
    return w;
}

size_t state_size(struct vm *vm) { return count_all(vm).at; }

static int save_one(const struct state_ops *o, uint32_t i, void *ctx)
{
    struct walk *w = ctx;
    size_t len = o->size(w->vm, i);
    struct state_record *r = (void *)(w->to + w->at);
    int err;

    if (!len)
        return 0;
    if (len > STATE_RECORD_MAX || w->len - w->at < sizeof *r + padded(len))
        return -EINVAL;
    *r = (struct state_record){
        .kind = o->kind, .version = o->version, .instance = (uint16_t)i, .len = (uint32_t)len
    };
    err = o->save(w->vm, i, r + 1);
    if (err)
        snprintf(w->vm->why, sizeof w->vm->why, "its %s %u cannot be saved%s", o->name, i,
                 err == -EBUSY    ? ": a request waits until it may reach memory"
                 : err == -EAGAIN ? ": it still reads tables of the guest; try again"
                                  : "");
    w->at += sizeof *r + padded(len);
    return err;
}

int state_save(struct vm *vm, void *buf, size_t len)
{
    struct walk w = count_all(vm);
    struct state_image *head = buf;

    if (len != w.at)
        return -EINVAL;
    memset(buf, 0, len);
    *head = (struct state_image){ .magic = STATE_MAGIC,
                                  .version = STATE_IMAGE_VERSION,
                                  .isa = vm->guest_ops->isa,
                                  .len = len,
                                  .records = w.records,
                                  .vcpus = vm->nvcpus };
    w.to = buf;
    w.at = sizeof *head;
    w.len = len;
    return state_each(vm, save_one, &w);
}

/* ---- restoring ---- */

static int state_refuse(struct vm *vm, const char *what, uint32_t i, const char *why)
{
    snprintf(vm->why, sizeof vm->why, "the saved state of its %s %u %s", what, i, why);
    return -EINVAL;
}

/* The next record is that of object i, of the length that it has in this machine. */
static const char *record_wrong(const struct walk *w, const struct state_ops *o, uint32_t i,
                                size_t len)
{
    const struct state_record *r = (const void *)(w->from + w->at);

    if (w->len - w->at < sizeof *r || r->kind != o->kind || r->instance != i || r->zero)
        return "is missing";
    if (r->version != o->version)
        return "is of another version";
    if (r->len != len || len > STATE_RECORD_MAX || w->len - w->at - sizeof *r < padded(len))
        return "has another length";
    if (!state_all_zero((const uint8_t *)(r + 1) + len, padded(len) - len))
        return "is damaged";
    return NULL;
}

static int restore_one(const struct state_ops *o, uint32_t i, void *ctx)
{
    struct walk *w = ctx;
    size_t len = o->size(w->vm, i);
    const char *wrong = len ? record_wrong(w, o, i, len) : NULL;
    int err;

    if (!len)
        return 0;
    if (wrong)
        return state_refuse(w->vm, o->name, i, wrong);
    err = o->restore(w->vm, i, w->from + w->at + sizeof(struct state_record));
    if (err == -EINVAL)
        return state_refuse(w->vm, o->name, i, "is not one that it can have");
    w->at += sizeof(struct state_record) + padded(len);
    return err;
}

static const char *image_wrong(struct vm *vm, const struct state_image *h, size_t len)
{
    if (len < sizeof *h || h->magic != STATE_MAGIC)
        return "this is not a saved guest";
    if (h->version != STATE_IMAGE_VERSION)
        return "it was saved by another version of Trivet";
    if (h->isa != vm->guest_ops->isa)
        return "it was saved from a guest of another instruction set";
    if (h->vcpus != vm->nvcpus)
        return "it was saved with another number of vCPUs";
    if (h->records != count_all(vm).records)
        return "the saved state has another number of parts than this machine";
    return h->len != len ? "the saved state is cut off" : NULL;
}

int state_restore(struct vm *vm, const void *buf, size_t len)
{
    struct walk w = { .vm = vm, .from = buf, .at = sizeof(struct state_image), .len = len };
    const char *wrong = image_wrong(vm, buf, len);
    int err;

    if (wrong) {
        snprintf(vm->why, sizeof vm->why, "%s", wrong);
        return -EINVAL;
    }
    err = state_each(vm, restore_one, &w);
    if (err || w.at == len)
        return err;
    snprintf(vm->why, sizeof vm->why, "the saved state has more than this machine");
    return -EINVAL;
}
