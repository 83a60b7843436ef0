/*
 * svm_fpu.c: the state that stays in the CPU between exits, because the hypervisor does not use it: x87, SIMD and the other XSAVE
 * components, XCR0, DR0 to DR3, TSC_AUX. It moves when another vCPU wants the CPU. AMD APM volume 2 section 11.5.
 *
 * XSETBV is not caught: every component of the host is saved, so a guest may enable any.
 */
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <hv/vm.h>

#include <string.h>

#include "private.h"
#include "svm.h"

#define FXSAVE_SIZE 512u
#define XSAVE_MIN (FXSAVE_SIZE + 64u)
#define XSAVE_BV 512u              /* offset of XSTATE_BV; XCOMP_BV and 48 reserved bytes follow */
#define MXCSR_OFFSET 24u
#define MXCSR_MASK_OFFSET 28u
#define XCR0_X87 1ull
#define MSR_TSC_AUX 0xc0000103u

static uint32_t mxcsr_mask;

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
    uint64_t all = svm_caps.xcr0;

    if (all)
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"((uint32_t)all), "d"((uint32_t)(all >> 32)) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static void state_restore(const void *area)
{
    uint64_t all = svm_caps.xcr0;

    if (all)
        __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((uint32_t)all), "d"((uint32_t)(all >> 32)) : "memory");
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

bool svm_loaded(const struct vcpu *v)
{
    return this_cpu()->loaded == v;
}

static void read_mxcsr_mask(void)
{
    static uint8_t area[FXSAVE_SIZE] __attribute__((aligned(64)));

    __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    memcpy(&mxcsr_mask, area + MXCSR_MASK_OFFSET, sizeof mxcsr_mask);
    if (!mxcsr_mask)
        mxcsr_mask = 0xffbf;       /* section 11.5.9 */
}

int svm_fpu_probe(void)
{
    svm_caps.fpu_size = FXSAVE_SIZE;
    if (x86_features.xsave) {
        struct cpuid d = cpuid(0xd, 0);

        svm_caps.xcr0 = (uint64_t)d.d << 32 | d.a;
        svm_caps.fpu_size = d.c;
    }
    read_mxcsr_mask();
    return 0;
}

static unsigned order_of(uint64_t bytes)
{
    unsigned order = 0;

    while ((PAGE_SIZE << order) < bytes)
        order++;
    return order;
}

/* The state after RESET, volume 2 table 14-1: x87 as FNINIT but FCW 0040, MXCSR 1F80. XSTATE_BV names what is not initial. */
static void state_reset(struct svm_vcpu *s)
{
    static const uint16_t fcw = 0x0040, ftw_empty = 0;
    static const uint32_t mxcsr = 0x1f80;
    uint64_t bv = svm_caps.xcr0 & 3;
    uint8_t *a = s->fpu;

    memset(a, 0, PAGE_SIZE << s->fpu_order);
    memcpy(a, &fcw, sizeof fcw);
    memcpy(a + 4, &ftw_empty, sizeof ftw_empty);
    memcpy(a + MXCSR_OFFSET, &mxcsr, sizeof mxcsr);
    if (svm_caps.xcr0)
        memcpy(a + XSAVE_BV, &bv, sizeof bv);
    s->xcr0 = XCR0_X87;
    memset(s->dr, 0, sizeof s->dr);
    s->tsc_aux = 0;
}

int svm_fpu_init(struct vcpu *v)
{
    struct svm_vcpu *s = svm_of(v);
    hpa_t pa;

    s->fpu_order = (uint8_t)order_of(svm_caps.fpu_size);
    pa = pmm_alloc(s->fpu_order, PMM_HV);
    if (!pa.v)
        return -ENOMEM;
    v->vm->hv_bytes += PAGE_SIZE << s->fpu_order;
    s->fpu = phys_to_virt(pa);
    state_reset(s);
    return 0;
}

void svm_fpu_fini(struct vcpu *v)
{
    struct svm_vcpu *s = svm_of(v);

    if (!s->fpu)
        return;
    v->vm->hv_bytes -= PAGE_SIZE << s->fpu_order;
    pmm_free(virt_to_phys(s->fpu), s->fpu_order, PMM_HV);
    s->fpu = NULL;
}

/* Another guest's branch history must not steer this one's speculation. */
static void barrier(const struct vm *vm)
{
    struct svm_cpu *c = &svm_cpus[this_cpu()->id];

    if (svm_caps.ibpb && c->last_vm != vm)
        wrmsr(MSR_PRED_CMD, 1);
    c->last_vm = vm;
}

void svm_load(struct vcpu *v)
{
    struct svm_vcpu *s = svm_of(v);

    barrier(v->vm);
    if (svm_caps.xcr0)
        xsetbv0(svm_caps.xcr0);
    state_restore(s->fpu);
    if (svm_caps.xcr0)
        xsetbv0(s->xcr0);
    dr_load(s->dr);
    if (svm_caps.rdtscp)
        wrmsr(MSR_TSC_AUX, s->tsc_aux);
    s->vmcb->clean = 0;
}

/* Copies the state to memory; the CPU keeps it too. */
static void store(struct svm_vcpu *s)
{
    if (svm_caps.xcr0) {
        s->xcr0 = xgetbv0();
        xsetbv0(svm_caps.xcr0);
    }
    state_save(s->fpu);
    if (svm_caps.xcr0)
        xsetbv0(s->xcr0);
    dr_save(s->dr);
    if (svm_caps.rdtscp)
        s->tsc_aux = rdmsr(MSR_TSC_AUX);
}

void svm_unload(struct vcpu *v)
{
    store(svm_of(v));
}

uint64_t svm_xcr0(const struct vcpu *v)
{
    return svm_loaded(v) && svm_caps.xcr0 ? xgetbv0() : svm_of(v)->xcr0;
}

/* The rules of XSETBV, volume 4: x87 always; AVX needs SSE; the AVX-512 components go together and need AVX. */
int svm_set_xcr0(struct vcpu *v, uint64_t x)
{
    if (!svm_caps.xcr0 || (x & ~svm_caps.xcr0) || !(x & XCR0_X87) || ((x & 4) && !(x & 2)))
        return -EINVAL;
    if ((x & 0xe0) && ((x & 0xe0) != 0xe0 || !(x & 4)))
        return -EINVAL;
    if (svm_loaded(v))
        xsetbv0(x);
    svm_of(v)->xcr0 = x;
    return 0;
}

int svm_get_fpu(struct vcpu *v, void *state, size_t *len)
{
    struct svm_vcpu *s = svm_of(v);

    if (*len < svm_caps.fpu_size)
        return -ENOSPC;
    if (svm_loaded(v))
        store(s);
    memcpy(state, s->fpu, svm_caps.fpu_size);
    *len = svm_caps.fpu_size;
    return 0;
}

/* What XRSTOR would fault on is refused: reserved bits of MXCSR and of the header (section 11.5.9). */
static bool state_valid(const uint8_t *a)
{
    uint64_t header[8];
    uint32_t mxcsr;

    memcpy(&mxcsr, a + MXCSR_OFFSET, sizeof mxcsr);
    if (mxcsr & ~mxcsr_mask)
        return false;
    if (!svm_caps.xcr0)
        return true;
    memcpy(header, a + XSAVE_BV, sizeof header);
    for (unsigned i = 1; i < 8; i++)
        if (header[i])
            return false;
    return !(header[0] & ~svm_caps.xcr0);
}

int svm_set_fpu(struct vcpu *v, const void *state, size_t len)
{
    struct svm_vcpu *s = svm_of(v);

    if (len != svm_caps.fpu_size)
        return -EINVAL;
    if (!state_valid(state))
        return -EINVAL;
    memcpy(s->fpu, state, len);
    if (!svm_loaded(v))
        return 0;
    s->xcr0 = svm_xcr0(v);
    dr_save(s->dr);
    if (svm_caps.xcr0)
        xsetbv0(svm_caps.xcr0);
    state_restore(s->fpu);
    if (svm_caps.xcr0)
        xsetbv0(s->xcr0);
    return 0;
}
