/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_fp.c: FP, SIMD and SVE state. The hypervisor uses general registers only, so that the guest's
 * state stays in the CPU across exits. It comes when the guest first touches it after a load(),
 * caught by CPTR_EL2 (Arm ARM D19.2.35), and goes to memory at unload().
 */
#include <hv/assert.h>
#include <hv/heap.h>
#include <hv/percpu.h>
#include <hv/vm.h>

#include <string.h>

#include "el2.h"
#include "private.h"

/*
 * CPTR_EL2 without VHE: RES1 bits, and traps of FP and SIMD, SVE, SME, trace registers, activity
 * monitors.
 */
#define CPTR_RES1 0x32ffull
#define CPTR_TZ (1ull << 8)
#define CPTR_TFP (1ull << 10)
#define CPTR_TSM (1ull << 12)
#define CPTR_TTA (1ull << 20)
/* With VHE it is laid out as CPACR_EL1: two bits each, 3 for "no trap". */
#define CPTR_ZEN (3ull << 16)
#define CPTR_FPEN (3ull << 20)
#define CPTR_VHE_TTA (1ull << 28)
#define CPTR_TAM (1ull << 30)

#define V_BYTES 512u
#define ZCR_LEN 15u

#define ZCR_EL2 S3_4_C1_C2_0
#define ZCR_EL1 S3_0_C1_C2_0
#define ZCR_EL12 S3_5_C1_C2_0

static void el2_fp_cptr(bool fp, bool sve)
{
    uint64_t nvhe =
        CPTR_RES1 | CPTR_TSM | CPTR_TTA | CPTR_TAM | (fp ? 0 : CPTR_TFP) | (sve ? 0 : CPTR_TZ);
    uint64_t vhe = CPTR_VHE_TTA | CPTR_TAM | (fp ? CPTR_FPEN : 0) | (sve ? CPTR_ZEN : 0);

    write_sysreg(cptr_el2, el2_caps.vhe ? vhe : nvhe);
    isb();
}

static uint64_t zcr_el1(void)
{
    return el2_caps.vhe ? read_sysreg(ZCR_EL12) : read_sysreg(ZCR_EL1);
}

static void set_zcr_el1(uint64_t val)
{
    if (el2_caps.vhe)
        write_sysreg(ZCR_EL12, val);
    else
        write_sysreg(ZCR_EL1, val);
}

/*
 * The longest vectors that the CPU has (D19.2.161); every guest may choose shorter ones in ZCR_EL1.
 */
int el2_fp_probe(void)
{
    el2_caps.vl = 16;
    if (!el2_caps.sve)
        return 0;
    el2_fp_cptr(true, true);
    write_sysreg(ZCR_EL2, ZCR_LEN);
    isb();
    el2_caps.vl = (uint32_t)el2_z_length();
    el2_fp_cptr(false, false);
    return 0;
}

void el2_fp_cpu_enable(void)
{
    if (el2_caps.sve) {
        el2_fp_cptr(true, true);
        write_sysreg(ZCR_EL2, el2_caps.vl / 16 - 1);
    }
    el2_fp_cptr(false, false);
}

static size_t area_size(void)
{
    return el2_caps.sve ? 32 * el2_caps.vl + 17 * el2_caps.vl / 8 : V_BYTES;
}

int el2_fp_init(struct vcpu *v)
{
    struct el2_fp *f = &el2_of(v)->fp;

    assert_cpu0();
    f->area = vm_alloc(v->vm, area_size());
    return f->area ? 0 : -ENOMEM;
}

void el2_fp_fini(struct vcpu *v)
{
    struct el2_fp *f = &el2_of(v)->fp;

    assert_cpu0();
    vm_free(v->vm, f->area, area_size());
    f->area = NULL;
}

void el2_fp_reset(struct el2_vcpu *s)
{
    if (s->fp.live)
        el2_fp_cptr(false, false);
    s->fp = (struct el2_fp){ .area = s->fp.area };
    memset(s->fp.area, 0, area_size());
}

/*
 * The state is in the CPU already when only SVE was caught: the vectors' upper parts are zero, as
 * every write to a V register leaves them.
 */
static void begin_sve(struct el2_fp *f)
{
    el2_z_clear();
    set_zcr_el1(0);
    f->sve = true;
}

void el2_fp_give(struct el2_vcpu *s, bool sve)
{
    struct el2_fp *f = &s->fp;
    bool fresh = sve && !f->sve;

    el2_fp_cptr(true, sve || f->sve);
    if (!f->live) {
        if (f->sve) {
            set_zcr_el1(f->zcr);
            el2_z_load(f->area, el2_caps.vl);
        } else {
            el2_v_load(f->area);
        }
        write_sysreg(fpcr, f->fpcr);
        write_sysreg(fpsr, f->fpsr);
    }
    if (fresh)
        begin_sve(f);
    f->live = true;
}

/* Copies to memory; the CPU keeps it too. */
static void el2_fp_store(struct el2_fp *f)
{
    f->fpcr = read_sysreg(fpcr);
    f->fpsr = read_sysreg(fpsr);
    if (f->sve) {
        f->zcr = zcr_el1();
        el2_z_save(f->area, el2_caps.vl);
    } else {
        el2_v_save(f->area);
    }
}

void el2_fp_unload(struct el2_vcpu *s)
{
    if (!s->fp.live)
        return;
    el2_fp_store(&s->fp);
    s->fp.live = false;
    el2_fp_cptr(false, false);
}

/* ---- from outside: FPCR, FPSR, ZCR_EL1, whether SVE was used, then V or Z, P and FFR ---- */

struct fp_head {
    uint64_t fpcr, fpsr, zcr, sve;
};

int el2_fp_get(struct vcpu *v, void *state, size_t *len)
{
    struct el2_fp *f = &el2_of(v)->fp;
    size_t want = sizeof(struct fp_head) + area_size();

    assert_own_cpu(v);
    if (*len < want) {
        *len = want;
        return -ENOSPC;
    }
    if (f->live)
        el2_fp_store(f);
    struct fp_head head = { f->fpcr, f->fpsr, f->zcr, f->sve };
    memcpy(state, &head, sizeof head);
    memcpy((uint8_t *)state + sizeof head, f->area, area_size());
    *len = want;
    return 0;
}

int el2_fp_set(struct vcpu *v, const void *state, size_t len)
{
    struct el2_vcpu *s = el2_of(v);
    struct fp_head head;

    assert_own_cpu(v);
    if (len != sizeof head + area_size())
        return -EINVAL;
    memcpy(&head, state, sizeof head);
    if (head.sve > el2_caps.sve || (head.zcr & ~(uint64_t)ZCR_LEN))
        return -EINVAL;
    if (s->fp.live)
        el2_fp_cptr(false, false);
    s->fp = (struct el2_fp){ .area = s->fp.area,
                             .fpcr = head.fpcr,
                             .fpsr = head.fpsr,
                             .zcr = head.zcr,
                             .sve = head.sve != 0 };
    memcpy(s->fp.area, (const uint8_t *)state + sizeof head, area_size());
    return 0;
}

/* ---- half a V register, for accesses that the CPU could not do ---- */

static uint64_t *half_of(struct el2_fp *f, unsigned reg, unsigned half)
{
    return (uint64_t *)(void *)(f->area + reg * (f->sve ? el2_caps.vl : 16)) + half;
}

uint64_t el2_fp_vreg(struct vcpu *v, unsigned reg, unsigned half)
{
    struct el2_fp *f = &el2_of(v)->fp;

    debug_assert_own_cpu(v);
    if (f->live)
        el2_fp_store(f);
    return *half_of(f, reg, half);
}

/* The guest's next instruction that uses them is caught, and loads them again. */
void el2_fp_set_vreg(struct vcpu *v, unsigned reg, unsigned half, uint64_t val)
{
    struct el2_fp *f = &el2_of(v)->fp;

    debug_assert_own_cpu(v);
    el2_fp_unload(el2_of(v));
    if (half == 0)
        memset(half_of(f, reg, 0), 0, f->sve ? el2_caps.vl : 16);
    *half_of(f, reg, half) = val;
}
