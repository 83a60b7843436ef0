/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU without an engine, for tests of hv/guest/x86_64: registers in arrays, RAM and a device
 * where the test says.
 */
#pragma once
#include <hv/gmem.h>
#include <hv/guest.h>
#include <hv/io.h>
#include <hv/percpu.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "hv/guest/x86_64/insn.h"
#include "hv/guest/x86_64/x86_devices.h"

/* System registers by id: the enum, then a few MSRs. */
static uint64_t fake_regs[0x200];
static struct {
    uint32_t id;
    uint64_t val;
} fake_msrs[64];
static unsigned fake_nmsrs;
static uint8_t fake_xsave[1024];
static struct vm fake_vm;
static struct vcpu fake_vcpu;
static struct x86_machine fake_machine;
static struct x86_vcpu fake_x86;
static struct x86_insn fake_insns[X86_INSN_CACHE];
static unsigned fake_modes; /* how often the mode was read whole */
static unsigned fake_kills, fake_resets, fake_requests;

/* The test says what is RAM; the rest is a device. */
static uint8_t *fake_ram(uint64_t gpa, uint64_t len);
static void fake_device(struct io_access *io);
static void fake_port(struct io_access *io);

static uint64_t *fake_msr(uint32_t id)
{
    for (unsigned i = 0; i < fake_nmsrs; i++)
        if (fake_msrs[i].id == id)
            return &fake_msrs[i].val;
    if (fake_nmsrs == ARRAY_SIZE(fake_msrs))
        return NULL;
    fake_msrs[fake_nmsrs].id = id;
    fake_msrs[fake_nmsrs].val = 0;
    return &fake_msrs[fake_nmsrs++].val;
}

static int fake_get(struct vcpu *v, uint32_t id, uint64_t *val)
{
    uint64_t *p = id - X86_CR0 < ARRAY_SIZE(fake_regs) ? &fake_regs[id - X86_CR0] : fake_msr(id);

    (void)v;
    *val = p != NULL ? *p : 0;
    return p != NULL ? 0 : -ENOENT;
}

static int fake_set(struct vcpu *v, uint32_t id, uint64_t val)
{
    uint64_t *p = id - X86_CR0 < ARRAY_SIZE(fake_regs) ? &fake_regs[id - X86_CR0] : fake_msr(id);

    (void)v;
    if (p != NULL)
        *p = val;
    return p != NULL ? 0 : -ENOENT;
}

static void fake_skip(struct vcpu *v, unsigned len)
{
    v->regs.pc += len;
    v->regs.flags &= ~(uint64_t)FLAGS_RF;
    if ((v->regs.flags & FLAGS_TF) != 0 && v->event.type == VEV_NONE)
        v->event = (struct vcpu_event){ .type = VEV_EXCEPTION, .vector = X86_DB };
}

static int fake_get_fpu(struct vcpu *v, void *state, size_t *len)
{
    (void)v;
    *len = sizeof fake_xsave;
    memcpy(state, fake_xsave, sizeof fake_xsave);
    return 0;
}

static int fake_set_fpu(struct vcpu *v, const void *state, size_t len)
{
    (void)v;
    memcpy(fake_xsave, state, len < sizeof fake_xsave ? len : sizeof fake_xsave);
    return 0;
}

static void fake_mode_get(struct vcpu *v, struct x86_mode_regs *r)
{
    (void)v;
    fake_modes++;
    *r = (struct x86_mode_regs){ .cr0 = fake_regs[0],
                                 .cr3 = fake_regs[X86_CR3 - X86_CR0],
                                 .cr4 = fake_regs[X86_CR4 - X86_CR0],
                                 .cs_base = fake_regs[X86_SEG_BASE + X86_CS - X86_CR0],
                                 .cs_attr = (uint16_t)fake_regs[X86_SEG_ATTR + X86_CS - X86_CR0],
                                 .cpl = (uint8_t)fake_regs[X86_CPL - X86_CR0] };
    (void)fake_get(v, X86_EFER, &r->efer);
}

static bool fake_mode_same(struct vcpu *v, const struct x86_mode_regs *r)
{
    struct x86_mode_regs now;

    fake_mode_get(v, &now);
    fake_modes--;
    return now.cr0 == r->cr0 && now.cr3 == r->cr3 && now.cr4 == r->cr4 && now.efer == r->efer &&
           now.cs_attr == r->cs_attr && (fake_regs[X86_DR7 - X86_CR0] & DR7_ENABLED) == 0;
}

static const struct x86_engine fake_engine = { .mode = fake_mode_get, .mode_same = fake_mode_same };

static const struct vcpu_ops fake_ops = { .name = "fake",
                                          .guest_isas = 1,
                                          .get_sysreg = fake_get,
                                          .set_sysreg = fake_set,
                                          .skip_insn = fake_skip,
                                          .get_fpu_regs = fake_get_fpu,
                                          .set_fpu_regs = fake_set_fpu,
                                          .isa_ops = &fake_engine };

static void fake_reset(void)
{
    memset(fake_regs, 0, sizeof fake_regs);
    fake_nmsrs = 0;
    memset(&fake_machine, 0, sizeof fake_machine);
    free(fake_x86.fpu);
    memset(&fake_x86, 0, sizeof fake_x86);
    memset(&fake_vcpu, 0, sizeof fake_vcpu);
    memset(fake_insns, 0, sizeof fake_insns);
    fake_x86.insns = fake_insns;
    fake_x86.engine = &fake_engine;
    fake_vm.ops = &fake_ops;
    fake_vm.guest = &fake_machine;
    fake_vm.vcpu[0] = &fake_vcpu;
    fake_vm.nvcpus = 1;
    fake_vcpu.vm = &fake_vm;
    fake_vcpu.ops = &fake_ops;
    fake_vcpu.guest = &fake_x86;
    fake_kills = fake_resets = fake_requests = 0;
}

/* Long mode or 32-bit protected mode or real mode, no paging, flat segments. */
__attribute__((unused)) static void fake_mode(unsigned bits)
{
    fake_set(NULL, X86_CR0, bits == 16 ? CR0_ET : CR0_PE | CR0_ET);
    fake_set(NULL, X86_CR4, CR4_PAE);
    fake_set(NULL, X86_EFER, bits == 64 ? EFER_LME | EFER_LMA : 0);
    for (unsigned i = X86_ES; i <= X86_GS; i++) {
        fake_set(NULL, X86_SEG_ATTR + i,
                 (i == X86_CS ? 0x9bu : 0x93u) | (bits == 64   ? 0xa00u
                                                  : bits == 32 ? 0xc00u
                                                               : 0u));
        fake_set(NULL, X86_SEG_LIMIT + i, bits == 16 ? 0xffff : 0xffffffff);
    }
}

/* What the emulator calls of the rest of Trivet. */
void *gmem_ptr(struct vm *vm, gpa_t a, uint64_t len, unsigned prot)
{
    (void)vm, (void)prot;
    return fake_ram(a.v, len);
}

int gmem_write(struct vm *vm, gpa_t a, const void *src, uint64_t len)
{
    uint8_t *p = fake_ram(a.v, len);

    (void)vm;
    if (p != NULL)
        memcpy(p, src, len);
    return p != NULL ? 0 : -EFAULT;
}

int gmem_read(struct vm *vm, gpa_t a, void *dst, uint64_t len)
{
    const uint8_t *p = fake_ram(a.v, len);

    (void)vm;
    if (p != NULL)
        memcpy(dst, p, len);
    return p != NULL ? 0 : -EFAULT;
}

int io_dispatch(struct vm *vm, enum io_space space, struct io_access *io)
{
    (void)vm;
    if (space == IO_MEM)
        fake_device(io);
    else
        fake_port(io);
    return 0;
}

void vm_log(struct vm *vm, enum log_level l, const char *fmt, ...) { (void)vm, (void)l, (void)fmt; }
void vm_kill(struct vm *vm, const char *fmt, ...)
{
    (void)vm, (void)fmt;
    fake_kills++;
}
void vm_request_reset(struct vm *vm, const char *why)
{
    (void)vm, (void)why;
    fake_resets++;
}
void vcpu_request(struct vcpu *v, uint32_t r)
{
    (void)v, (void)r;
    fake_requests++;
}
uint64_t vm_time_ns(const struct vm *vm)
{
    (void)vm;
    return 12345;
}
bool lapic_access(struct vcpu *v, struct io_access *io)
{
    (void)v;
    if (io->addr >> 12 != 0xfee00)
        return false;
    io->val = io->write ? io->val : (io->addr & 0xfff) & x86_size_mask(io->size);
    return true;
}
int lapic_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *val)
{
    (void)v;
    if (!write)
        *val = msr;
    return msr == 0x8ff ? -EINVAL : 0;
}
static uint64_t fake_apic_base = 0xfee00900;
uint64_t lapic_get_base(const struct vcpu *v)
{
    (void)v;
    return fake_apic_base;
}
int lapic_set_base(struct vcpu *v, uint64_t val)
{
    (void)v;
    return val == 0xfee00900 ? 0 : -EINVAL;
}
uint64_t lapic_get_tsc_deadline(struct vcpu *v)
{
    (void)v;
    return 0;
}
void lapic_set_tsc_deadline(struct vcpu *v, uint64_t tsc) { (void)v, (void)tsc; }
void lapic_tsc_changed(struct vcpu *v) { (void)v; }
uint8_t lapic_get_cr8(const struct vcpu *v)
{
    (void)v;
    return (uint8_t)fake_regs[X86_CR8 - X86_CR0];
}
void lapic_set_cr8(struct vcpu *v, uint8_t cr8)
{
    (void)v;
    fake_regs[X86_CR8 - X86_CR0] = cr8;
}
int lapic_set_pv_eoi(struct vcpu *v, uint64_t msr)
{
    (void)v, (void)msr;
    return 0;
}
uint64_t lapic_get_pv_eoi(const struct vcpu *v)
{
    (void)v;
    return 0;
}
int64_t lapic_pv_ipi(struct vcpu *v, uint64_t low, uint64_t high, uint64_t min, uint64_t icr)
{
    (void)v, (void)low, (void)high, (void)min, (void)icr;
    return 1;
}
