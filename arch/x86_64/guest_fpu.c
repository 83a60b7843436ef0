/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest_fpu.c: the state that stays in the CPU between exits, because the hypervisor does not use
 * it: x87, SIMD and the other XSAVE components, XCR0, DR0 to DR3, TSC_AUX. It moves when another
 * vCPU wants the CPU. AMD APM volume 2 section 11.5, Intel SDM volume 1 chapter 13.
 *
 * Every component of the host is saved, so a guest may enable any: XSETBV need not be caught.
 */
#include <arch/cpu.h>
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/vm.h>
#include <hv/x86.h>

#include <string.h>

#include "guest_fpu.h"
#include "private.h"
#include "spec.h"

#define FXSAVE_SIZE 512u
#define XSAVE_MIN (FXSAVE_SIZE + 64u)
#define XSAVE_BV 512u /* offset of XSTATE_BV; XCOMP_BV and 48 reserved bytes follow */
#define MXCSR_OFFSET 24u
#define MXCSR_MASK_OFFSET 28u
#define XCR0_X87 1ull
#define MSR_TSC_AUX 0xc0000103u
#define MSR_PRED_CMD 0x49u /* bit 0: IBPB */

struct guest_fpu_caps guest_fpu_caps;
static uint32_t mxcsr_mask;
/* whose branch predictions the CPU holds; only compared, never followed */
static const struct vm *last_vm[MAX_CPUS];

static uint64_t xgetbv0(void)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static void xsetbv0(uint64_t v)
{
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static void state_save(void *area)
{
    uint64_t all = guest_fpu_caps.xcr0;

    if (all)
        __asm__ volatile("xsave64 (%0)"
                         :
                         : "r"(area), "a"((uint32_t)all), "d"((uint32_t)(all >> 32))
                         : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static void state_restore(const void *area)
{
    uint64_t all = guest_fpu_caps.xcr0;

    if (all)
        __asm__ volatile("xrstor64 (%0)"
                         :
                         : "r"(area), "a"((uint32_t)all), "d"((uint32_t)(all >> 32))
                         : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static void dr_save(uint64_t dr[4])
{
    __asm__ volatile("mov %%db0, %0" : "=r"(dr[0]));
    __asm__ volatile("mov %%db1, %0" : "=r"(dr[1]));
    __asm__ volatile("mov %%db2, %0" : "=r"(dr[2]));
    __asm__ volatile("mov %%db3, %0" : "=r"(dr[3]));
}

static void dr_load(const uint64_t dr[4])
{
    __asm__ volatile("mov %0, %%db0" : : "r"(dr[0]));
    __asm__ volatile("mov %0, %%db1" : : "r"(dr[1]));
    __asm__ volatile("mov %0, %%db2" : : "r"(dr[2]));
    __asm__ volatile("mov %0, %%db3" : : "r"(dr[3]));
}

bool guest_loaded(const struct vcpu *v) { return this_cpu()->loaded == v; }

static void read_mxcsr_mask(void)
{
    static uint8_t area[FXSAVE_SIZE] __attribute__((aligned(64)));

    __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    memcpy(&mxcsr_mask, area + MXCSR_MASK_OFFSET, sizeof mxcsr_mask);
    if (!mxcsr_mask)
        mxcsr_mask = 0xffbf; /* section 11.5.9 */
}

/* AMD: 80000008h EBX bit 12. Intel: 7 EDX bit 26. */
static bool has_ibpb(void)
{
    bool amd = x86_features.max_ext >= 0x80000008 && (cpuid(0x80000008, 0).b >> 12 & 1);

    return amd || (x86_features.max_leaf >= 7 && (cpuid(7, 0).d >> 26 & 1));
}

/*
 * XSAVEC must write where XRSTOR reads. Bochs 2.7 has them differ, so that a guest's kernel loses
 * ZMM16 to 31 and upper halves now and then. Tried with an AVX register, and with ZMM16 where there
 * is one: patterns in, zeroes, and back.
 */
#define XSAVE_TRY (XSAVE_MIN + 2560u)

static __attribute__((noinline)) bool same_after_xsavec(uint8_t *area, bool avx512)
{
    static const uint64_t ones[8] = { ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull };
    uint64_t back[8] = { 0 };
    uint32_t what = avx512 ? 0xe6 : 6;

    memset(area, 0, XSAVE_TRY);
    if (avx512)
        __asm__ volatile("vmovdqu64 (%1), %%zmm16\n\txsavec64 (%0)\n\tvpxorq %%zmm16, %%zmm16, "
                         "%%zmm16\n\txrstor64 (%0)\n\tvmovdqu64 %%zmm16, (%2)\n\t"
                         "vpxorq %%zmm16, %%zmm16, %%zmm16"
                         :
                         : "r"(area), "r"(ones), "r"(back), "a"(what), "d"(0)
                         : "memory");
    else
        __asm__ volatile("vmovdqu (%1), %%ymm0\n\txsavec64 (%0)\n\tvzeroall\n\txrstor64 "
                         "(%0)\n\tvmovdqu %%ymm0, (%2)\n\tvzeroall"
                         :
                         : "r"(area), "r"(ones), "r"(back), "a"(what), "d"(0)
                         : "memory");
    return !memcmp(back, ones, avx512 ? 64 : 32);
}

static bool xsavec_works(void)
{
    static uint8_t area[XSAVE_TRY] __attribute__((aligned(64)));
    uint64_t old = xgetbv0();
    bool good;

    if (!(cpuid(0xd, 1).a >> 1 & 1) || (guest_fpu_caps.xcr0 & 6) != 6)
        return true;
    xsetbv0(guest_fpu_caps.xcr0);
    good = same_after_xsavec(area, false) &&
           ((guest_fpu_caps.xcr0 & 0xe0) != 0xe0 || same_after_xsavec(area, true));
    xsetbv0(old);
    return good;
}

int guest_fpu_probe(void)
{
    guest_fpu_caps.rdtscp = cpuid(0x80000001, 0).d >> 27 & 1;
    guest_fpu_caps.ibpb = has_ibpb();
    guest_fpu_caps.size = FXSAVE_SIZE;
    if (x86_features.xsave) {
        struct cpuid d = cpuid(0xd, 0);

        guest_fpu_caps.xcr0 = (uint64_t)d.d << 32 | d.a;
        guest_fpu_caps.size = d.c;
        guest_fpu_caps.no_xsavec = !xsavec_works();
        if (guest_fpu_caps.no_xsavec)
            log_warn(
                "this CPU's XSAVEC does not save what its XRSTOR restores: guests do not get it");
    }
    read_mxcsr_mask();
    return 0;
}

/*
 * The state after RESET, volume 2 table 14-1: x87 as FNINIT but FCW 0040, MXCSR 1F80. XSTATE_BV
 * names what is not initial.
 */
static void state_reset(struct guest_fpu *s)
{
    static const uint16_t fcw = 0x0040, ftw_empty = 0;
    static const uint32_t mxcsr = 0x1f80;
    uint64_t bv = guest_fpu_caps.xcr0 & 3;
    uint8_t *a = s->area;

    memset(a, 0, PAGE_SIZE << s->order);
    memcpy(a, &fcw, sizeof fcw);
    memcpy(a + 4, &ftw_empty, sizeof ftw_empty);
    memcpy(a + MXCSR_OFFSET, &mxcsr, sizeof mxcsr);
    if (guest_fpu_caps.xcr0)
        memcpy(a + XSAVE_BV, &bv, sizeof bv);
    s->xcr0 = XCR0_X87;
    memset(s->dr, 0, sizeof s->dr);
    s->tsc_aux = 0;
}

int guest_fpu_init(struct vcpu *v, struct guest_fpu *s)
{
    hpa_t pa;

    assert_cpu0();
    s->order = (uint8_t)pmm_order(guest_fpu_caps.size);
    pa = vm_pages(v->vm, s->order);
    if (!pa.v)
        return -ENOMEM;
    s->area = phys_to_virt(pa);
    state_reset(s);
    return 0;
}

void guest_fpu_fini(struct vcpu *v, struct guest_fpu *s)
{
    assert_cpu0();
    if (!s->area)
        return;
    vm_pages_free(v->vm, virt_to_phys(s->area), s->order);
    s->area = NULL;
}

/* Another guest's branch history must not steer this one's speculation. */
static void barrier(const struct vm *vm)
{
    const struct vm **last = &last_vm[this_cpu()->id];

    if (spec.ibpb && *last != vm)
        wrmsr(MSR_PRED_CMD, 1);
    *last = vm;
}

/* Without XSAVE's components known (no engine for x86 guests): SSE alone, on every CPU. */
void arch_code_enter(const struct vm *vm)
{
    barrier(vm);
    if (guest_fpu_caps.xcr0)
        xsetbv0(guest_fpu_caps.xcr0);
    else if (x86_features.xsave)
        xsetbv0(3);
}

void guest_fpu_load(const struct vcpu *v, struct guest_fpu *s)
{
    debug_assert_own_cpu(v);
    barrier(v->vm);
    if (guest_fpu_caps.xcr0)
        xsetbv0(guest_fpu_caps.xcr0);
    state_restore(s->area);
    if (guest_fpu_caps.xcr0)
        xsetbv0(s->xcr0);
    dr_load(s->dr);
    if (guest_fpu_caps.rdtscp)
        wrmsr(MSR_TSC_AUX, s->tsc_aux);
}

/* Copies the state to memory; the CPU keeps it too. */
static void guest_fpu_store(struct guest_fpu *s)
{
    if (guest_fpu_caps.xcr0) {
        s->xcr0 = xgetbv0();
        xsetbv0(guest_fpu_caps.xcr0);
    }
    state_save(s->area);
    if (guest_fpu_caps.xcr0)
        xsetbv0(s->xcr0);
    dr_save(s->dr);
    if (guest_fpu_caps.rdtscp)
        s->tsc_aux = rdmsr(MSR_TSC_AUX);
}

void guest_fpu_unload(struct guest_fpu *s) { guest_fpu_store(s); }

static uint64_t xcr0_get(const struct vcpu *v, const struct guest_fpu *s)
{
    return guest_loaded(v) && guest_fpu_caps.xcr0 ? xgetbv0() : s->xcr0;
}

/*
 * The rules of XSETBV, volume 4: x87 always; AVX needs SSE; the AVX-512 components go together and
 * need AVX.
 */
static int xcr0_set(const struct vcpu *v, struct guest_fpu *s, uint64_t x)
{
    if (!guest_fpu_caps.xcr0)
        return x == s->xcr0 ? 0 : -EINVAL;
    if ((x & ~guest_fpu_caps.xcr0) || !(x & XCR0_X87) || ((x & 4) && !(x & 2)))
        return -EINVAL;
    if ((x & 0xe0) && ((x & 0xe0) != 0xe0 || !(x & 4)))
        return -EINVAL;
    if (guest_loaded(v))
        xsetbv0(x);
    s->xcr0 = x;
    return 0;
}

int guest_fpu_get(struct vcpu *v, struct guest_fpu *s, void *state, size_t *len)
{
    assert_own_cpu(v);
    if (*len < guest_fpu_caps.size) {
        *len = guest_fpu_caps.size;
        return -ENOSPC;
    }
    if (guest_loaded(v))
        guest_fpu_store(s);
    memcpy(state, s->area, guest_fpu_caps.size);
    *len = guest_fpu_caps.size;
    return 0;
}

/*
 * What XRSTOR would fault on is refused: reserved bits of MXCSR and of the header (section 11.5.9).
 */
static bool state_valid(const uint8_t *a)
{
    uint64_t header[8];
    uint32_t mxcsr;

    memcpy(&mxcsr, a + MXCSR_OFFSET, sizeof mxcsr);
    if (mxcsr & ~mxcsr_mask)
        return false;
    if (!guest_fpu_caps.xcr0)
        return true;
    memcpy(header, a + XSAVE_BV, sizeof header);
    for (unsigned i = 1; i < 8; i++)
        if (header[i])
            return false;
    return !(header[0] & ~guest_fpu_caps.xcr0);
}

int guest_fpu_set(struct vcpu *v, struct guest_fpu *s, const void *state, size_t len)
{
    assert_own_cpu(v);
    if (len != guest_fpu_caps.size)
        return -EINVAL;
    if (!state_valid(state))
        return -EINVAL;
    memcpy(s->area, state, len);
    if (!guest_loaded(v))
        return 0;
    s->xcr0 = xcr0_get(v, s);
    dr_save(s->dr);
    if (guest_fpu_caps.xcr0)
        xsetbv0(guest_fpu_caps.xcr0);
    state_restore(s->area);
    if (guest_fpu_caps.xcr0)
        xsetbv0(s->xcr0);
    return 0;
}

/* ---- single registers ---- */

static uint64_t dr_get(const struct vcpu *v, const struct guest_fpu *s, unsigned n)
{
    uint64_t dr[4];

    if (!guest_loaded(v))
        return s->dr[n];
    dr_save(dr);
    return dr[n];
}

static int tsc_aux_set(const struct vcpu *v, struct guest_fpu *s, uint64_t val)
{
    if (val >> 32)
        return -EINVAL;
    if (guest_loaded(v))
        wrmsr(MSR_TSC_AUX, val);
    s->tsc_aux = val;
    return 0;
}

int guest_fpu_get_reg(const struct vcpu *v, const struct guest_fpu *s, uint32_t id, uint64_t *val)
{
    if (id == X86_XCR0)
        *val = xcr0_get(v, s);
    else if (id >= X86_DR0 && id <= X86_DR3)
        *val = dr_get(v, s, id - X86_DR0);
    else if (id == MSR_TSC_AUX && guest_fpu_caps.rdtscp)
        *val = guest_loaded(v) ? rdmsr(MSR_TSC_AUX) : s->tsc_aux;
    else
        return -ENOENT;
    return 0;
}

int guest_fpu_set_reg(const struct vcpu *v, struct guest_fpu *s, uint32_t id, uint64_t val)
{
    if (id == X86_XCR0)
        return xcr0_set(v, s, val);
    if (id == MSR_TSC_AUX && guest_fpu_caps.rdtscp)
        return tsc_aux_set(v, s, val);
    if (id < X86_DR0 || id > X86_DR3)
        return -ENOENT;
    if (guest_loaded(v))
        /* before the first load only: nothing else needs to write them from outside */
        return -EBUSY;
    s->dr[id - X86_DR0] = val;
    return 0;
}
