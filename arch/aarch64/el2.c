/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2.c: ARM64's EL2 as an engine of vCPUs: finding out what it has, turning it on, loading vCPUs,
 * their translations.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/platform.h>
#include <hv/vm.h>

#include "el2.h"
#include "el2_id.h"
#include "el2_stage2.h"
#include "private.h"

struct el2_caps el2_caps;
static struct vmids vmids;
static struct spinlock id_lock = SPINLOCK_INIT(LOCK_DRIVER);

#define CTR_IDC (1ull << 28)
#define CTR_DIC (1ull << 29)
#define HCRX_EL2 S3_4_C1_C2_2
#define HFGRTR_EL2 S3_4_C1_C1_4
#define HFGWTR_EL2 S3_4_C1_C1_5
#define HFGITR_EL2 S3_4_C1_C1_6
#define HDFGRTR_EL2 S3_4_C3_C1_4
#define HDFGWTR_EL2 S3_4_C3_C1_5
#define MPAM2_EL2 S3_4_C10_C5_0
#define PAGES_ONE_BY_ONE 64u /* beyond that, all of a VM's translations go */
#define VTTBR_VMID_SHIFT 48

/* ---- translations ---- */

/* TLB maintenance for a guest's regime works on the VMID in VTTBR_EL2 (D8.17.5). */
static uint64_t borrow_vttbr(uint64_t vttbr)
{
    uint64_t kept = read_sysreg(vttbr_el2);

    dsb_ishst();
    write_sysreg(vttbr_el2, vttbr);
    isb();
    return kept;
}

static void give_back_vttbr(uint64_t kept)
{
    dsb_ish();
    write_sysreg(vttbr_el2, kept);
    isb();
}

void el2_flush_vm(const struct el2_vm *m)
{
    uint64_t kept = borrow_vttbr(m->vttbr);

    __asm__ volatile("tlbi vmalls12e1is" : : : "memory");
    give_back_vttbr(kept);
}

/* By stage-2 address, then what stage 1 made of it, which no address finds. */
static void flush_range(const struct el2_vm *m, uint64_t ia, uint64_t len)
{
    uint64_t kept;

    if (len / PAGE_SIZE > PAGES_ONE_BY_ONE) {
        el2_flush_vm(m);
        return;
    }
    kept = borrow_vttbr(m->vttbr);
    for (uint64_t a = ia; a < ia + len; a += PAGE_SIZE)
        __asm__ volatile("tlbi ipas2e1is, %0" : : "r"(a >> PAGE_SHIFT) : "memory");
    dsb_ish();
    __asm__ volatile("tlbi vmalle1is" : : : "memory");
    give_back_vttbr(kept);
}

static void flush_everything(void)
{
    dsb_ishst();
    __asm__ volatile("tlbi alle1is" : : : "memory");
    dsb_ish();
    isb();
}

/*
 * Arm ARM B2.4.4 and D7.5: clean to the point of unification unless CTR_EL0.IDC says that this is
 * not needed, invalidate instruction caches unless DIC does.
 */
void arch_sync_code(const void *from, uint64_t len)
{
    uint64_t ctr = read_sysreg(ctr_el0), line = 4ull << (ctr >> 16 & 15);

    dsb_ishst();
    for (uint64_t a = align_down((uint64_t)from, line);
         !(ctr & CTR_IDC) && a < (uint64_t)from + len; a += line)
        __asm__ volatile("dc cvau, %0" : : "r"(a) : "memory");
    dsb_ish();
    if (!(ctr & CTR_DIC))
        __asm__ volatile("ic ialluis" : : : "memory");
    dsb_ish();
    isb();
}

/* pt.c: an entry was made a hole: a block, of which a TLB may have made pieces, or a table. */
static void el2_forget(struct pt *pt, uint64_t ia, uint64_t len)
{
    const struct vm *vm = container_of(pt, struct vm, gmem.s2);

    flush_range(vm->arch, ia, len);
}

static void el2_tlb_flush(struct vm *vm, gpa_t at, uint64_t len)
{
    flush_range(vm->arch, at.v, len);
}

/* The flush above reached every CPU. */
static void el2_vcpu_tlb_flush(struct vcpu *v) { (void)v; }

/* ---- the host ---- */

#define ID_READ(m, n) [ID_INDEX(m, n)] = read_sysreg(S3_0_C0_C##m##_##n)
#define ID_ROW(m)                                                                             \
    ID_READ(m, 0), ID_READ(m, 1), ID_READ(m, 2), ID_READ(m, 3), ID_READ(m, 4), ID_READ(m, 5), \
        ID_READ(m, 6), ID_READ(m, 7)

static void read_ids(uint64_t out[ID_COUNT])
{
    const uint64_t host[ID_COUNT] = { ID_ROW(1), ID_ROW(2), ID_ROW(3), ID_ROW(4),
                                      ID_ROW(5), ID_ROW(6), ID_ROW(7) };

    for (unsigned i = 0; i < ID_COUNT; i++)
        out[i] = id_guest_value(&el2_caps.policy, i, host[i]);
}

/* A vCPU may run on any CPU: what it sees is what all have. */
static void merge_ids(void)
{
    uint64_t here[ID_COUNT];

    read_ids(here);
    spin_lock(&id_lock);
    for (unsigned i = 0; i < ID_COUNT; i++) {
        uint64_t both = id_common(i, el2_caps.id[i], here[i]);

        if (both != el2_caps.id[i])
            log_warn("CPU %u lacks features of CPU 0: guests see %s as %llx", this_cpu()->id,
                     id_name(i), (unsigned long long)both);
        el2_caps.id[i] = both;
    }
    spin_unlock(&id_lock);
}

/* TGran4_2 0 refers to TGran4, where 15 says no; else 1 says no (D19.2.65). */
static bool granule_4k(uint64_t mmfr0)
{
    unsigned stage2 = id_field(mmfr0, 40);

    return stage2 ? stage2 != 1 : id_field(mmfr0, 28) != 15;
}

static uint64_t guest_hcr(void)
{
    const struct el2_caps *c = &el2_caps;

    return HCR_HOST | HCR_VM | HCR_SWIO | HCR_PTW | HCR_FB | HCR_BSU_IS | HCR_TWI | HCR_TID1 |
           HCR_TID3 | HCR_TSC | HCR_TIDCP | HCR_TACR | HCR_TSW | HCR_TLOR | HCR_TERR | HCR_TEA |
           HCR_TID5 | (c->vhe ? HCR_E2H : 0) | (c->pauth ? HCR_APK | HCR_API : 0) |
           (c->fwb ? HCR_FWB : 0);
}

/*
 * Debug, performance monitors, profiling and trace are caught; HPMN gives EL1 all counters, which
 * it cannot reach (D19.3).
 */
static uint64_t guest_mdcr(uint64_t dfr0)
{
    unsigned pmu = id_field(dfr0, 8);
    uint64_t counters = pmu && pmu != 15 ? read_sysreg(pmcr_el0) >> 11 & 31 : 0;

    return counters | MDCR_TDA | MDCR_TDOSA | MDCR_TDRA | MDCR_TPM | MDCR_TPMCR |
           (id_field(dfr0, 32) ? MDCR_TPMS : 0) | (id_field(dfr0, 40) ? MDCR_TTRF : 0);
}

static void read_caps(uint64_t mmfr0)
{
    uint64_t dfr0 = read_sysreg(id_aa64dfr0_el1), mmfr1 = read_sysreg(id_aa64mmfr1_el1);
    struct el2_caps *c = &el2_caps;

    c->vhe = arm_features.vhe;
    c->pauth = arm_features.pauth;
    c->ras = arm_features.ras;
    c->sve = arm_features.sve;
    c->fwb = arm_features.fwb;
    c->hcx = id_field(mmfr1, 40) != 0;
    c->fgt = id_field(mmfr0, 56) != 0;
    c->ipa_bits = (uint8_t)min_u64(arm_features.pa_bits, 48);
    c->breakpoints = (uint8_t)(id_field(dfr0, 12) + 1);
    c->watchpoints = (uint8_t)(id_field(dfr0, 20) + 1);
    stage2_setup(c->ipa_bits, c->fwb);
    c->vtcr = stage2_vtcr((unsigned)min_u64(id_field(mmfr0, 0), 5), arm_features.vmid_bits == 16);
    c->hcr = guest_hcr();
    c->mdcr = guest_mdcr(dfr0);
    c->policy =
        (struct id_policy){ .gicv3 = c->gic_version == 3, .sve = c->sve, .pauth = c->pauth };
}

static int el2_probe(void)
{
    uint64_t mmfr0 = read_sysreg(id_aa64mmfr0_el1);
    int err = el2_gic_probe();

    assert_cpu0();
    if (err)
        return err;
    if (!granule_4k(mmfr0)) {
        log_err("this CPU has no stage 2 with 4 KiB pages (ID_AA64MMFR0_EL1.TGran4_2): Trivet "
                "cannot run guests on it");
        return -ENOTSUP;
    }
    read_caps(mmfr0);
    err = el2_fp_probe();
    if (err)
        return err;
    read_ids(el2_caps.id);
    vmid_init(&vmids, arm_features.vmid_bits, flush_everything);
    log_info(
        "EL2: %u-bit guest physical addresses%s in %u levels, %u-bit VMIDs, GICv%u interface%s%s%s",
        el2_caps.ipa_bits,
        arm_features.pa_bits > 48 ? " (of the CPU's 52: more need LPA2 tables)" : "",
        stage2_format.levels, arm_features.vmid_bits, el2_caps.gic_version,
        el2_caps.fwb ? ", forced write-back" : "", el2_caps.sve ? ", SVE" : "",
        el2_caps.pauth ? ", PAuth" : "");
    return 0;
}

/* What firmware may have left, and registers whose zero says "catch" or "off". */
static void set_traps(void)
{
    if (el2_caps.hcx)
        write_sysreg(HCRX_EL2, 0);
    if (el2_caps.fgt) {
        write_sysreg(HFGRTR_EL2, 0);
        write_sysreg(HFGWTR_EL2, 0);
        write_sysreg(HFGITR_EL2, 0);
        write_sysreg(HDFGRTR_EL2, 0);
        write_sysreg(HDFGWTR_EL2, 0);
    }
    if (id_has_mpam(read_sysreg(id_aa64pfr0_el1), read_sysreg(id_aa64pfr1_el1)))
        write_sysreg(MPAM2_EL2, MPAM2_TRAPS);
    /* EL1PCTEN, EL1PCEN 0 in either layout: the physical timer is emulated */
    write_sysreg(cnthctl_el2, 0);
    write_sysreg(mdcr_el2, el2_caps.mdcr);
    write_sysreg(oslar_el1, 0);
    write_sysreg(vpidr_el2, read_sysreg(midr_el1));
}

static int el2_cpu_enable(void)
{
    write_sysreg(vtcr_el2, el2_caps.vtcr);
    write_sysreg(vttbr_el2, 0);
    set_traps();
    isb();
    el2_fp_cpu_enable();
    merge_ids();
    el2_spectre_cpu_enable();
    flush_everything();
    return el2_gic->cpu_enable();
}

/* ---- machines and vCPUs ---- */

static size_t vm_size(void) { return sizeof(struct el2_vm) + cpu_count * sizeof(uint16_t); }

static int el2_vm_init(struct vm *vm)
{
    struct el2_vm *m = vm_alloc(vm, vm_size());

    assert_cpu0();
    if (!m)
        return -ENOMEM;
    m->vm = vm;
    m->vmid = vmid_get(&vmids);
    if (!m->vmid) {
        vm_free(vm, m, vm_size());
        return -ENOSPC;
    }
    m->vttbr = vm->gmem.s2.root.v | (uint64_t)m->vmid << VTTBR_VMID_SHIFT;
    vm->gmem.s2.forget = el2_forget;
    vm->arch = m;
    return 0;
}

static void el2_vm_fini(struct vm *vm)
{
    struct el2_vm *m = vm->arch;

    assert_cpu0();
    vm->gmem.s2.forget = NULL;
    vmid_put(&vmids, m->vmid);
    vm_free(vm, m, vm_size());
    vm->arch = NULL;
}

static uint64_t first_hcr(void) { return el2_caps.hcr | (el2_caps.fwb ? 0 : HCR_DC | HCR_TVM); }

static void el2_vcpu_reset(struct vcpu *v)
{
    struct el2_vcpu *s = el2_of(v);

    assert_own_cpu(v);
    el2_fp_reset(s);
    el2_debug_reset(s);
    s->gic = (struct el2_gic){ .lr_live = s->gic.lr_live };
    if (el2_loaded(v))
        el2_gic->load(&s->gic);
    s->watch_mmu = false;
    el2_hcr_set(v, first_hcr());
    el2_regs_reset(v);
}

static int el2_vcpu_init(struct vcpu *v)
{
    struct el2_vcpu *s = vm_alloc(v->vm, sizeof *s);

    assert_cpu0();
    if (!s)
        return -ENOMEM;
    v->arch = s;
    s->key = el2_caps.pauth ? &s->sys[R_APIAKEYLO_EL1] : NULL;
    if (el2_fp_init(v)) {
        vm_free(v->vm, s, sizeof *s);
        v->arch = NULL;
        return -ENOMEM;
    }
    el2_vcpu_reset(v);
    return 0;
}

static void el2_vcpu_fini(struct vcpu *v)
{
    assert_cpu0();
    hv_assert(!el2_loaded(v));
    if (!v->arch)
        return;
    el2_fp_fini(v);
    vm_free(v->vm, v->arch, sizeof(struct el2_vcpu));
    v->arch = NULL;
}

/*
 * A vCPU's own TLB maintenance may reach only the CPU that it was on; another vCPU of its VM finds
 * nothing of its there.
 */
static void forget_other_vcpu(struct el2_vm *m, const struct vcpu *v)
{
    uint16_t *last = &m->last_vcpu[this_cpu()->id];

    if (*last == v->id + 1)
        return;
    *last = (uint16_t)(v->id + 1);
    el2_spectre_use(); /* the VM's first load on this CPU is among these */
    __asm__ volatile("tlbi vmalle1\n\tic iallu" : : : "memory");
    dsb_nsh();
    isb();
}

/* Spinning guests give way only where somebody waits. */
static uint64_t yield_trap(const struct vcpu *v)
{
    return sched_slice_end(v) == UINT64_MAX ? 0 : HCR_TWE;
}

static void el2_load(struct vcpu *v)
{
    struct el2_vcpu *s = el2_of(v);
    struct el2_vm *m = v->vm->arch;

    debug_assert_own_cpu(v);
    dsb_ishst();
    s->hcr = (s->hcr & ~HCR_TWE) | yield_trap(v);
    write_sysreg(vttbr_el2, m->vttbr);
    write_sysreg(hcr_el2, s->hcr);
    isb();
    forget_other_vcpu(m, v);
    el2_regs_load(s);
    el2_debug_load(s);
    el2_gic->load(&s->gic);
    /* unload() left all empty */
    ((struct arm_gic_cpu *)v->vintc)->dirty |= ((struct arm_gic_cpu *)v->vintc)->used;
    gic->set_active(ARM_PPI_VTIMER, el2_guest(v)->vtimer_active(v));
    el2_guest(v)->vtimer_loaded(v);
}

/* With both walks disabled and stage 2 off nothing of the guest's is used until the next load. */
static void close_regime(void)
{
    uint64_t tcr = TCR_EPD0 | TCR_EPD1;

    if (el2_caps.vhe)
        write_sysreg(S3_5_C2_C0_2, tcr);
    else
        write_sysreg(tcr_el1, tcr);
    isb();
    write_sysreg(hcr_el2, HCR_HOST | (el2_caps.vhe ? HCR_E2H : 0));
    write_sysreg(vttbr_el2, 0);
    isb();
}

static void el2_unload(struct vcpu *v)
{
    struct el2_vcpu *s = el2_of(v);

    debug_assert(el2_loaded(v));
    el2_serror_window(v);
    el2_regs_save(s);
    if (el2_caps.vhe)
        write_sysreg(S3_5_C14_C3_1, 0);
    else
        write_sysreg(cntv_ctl_el0, 0);
    isb();
    el2_gic->unload(&s->gic);
    el2_fp_unload(s);
    el2_debug_unload(s);
    close_regime();
    el2_guest(v)->vtimer_unloaded(v, s->sys[R_CNTV_CTL_EL0], s->sys[R_CNTV_CVAL_EL0]);
}

/* ---- what has no place here: interrupts and exceptions do not go through v->event ---- */

static bool never_ready(struct vcpu *v)
{
    (void)v;
    return false;
}

static void no_irq_window(struct vcpu *v, bool on) { (void)v, (void)on; }

static void no_nmi_window(struct vcpu *v) { (void)v; }

static void el2_features(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    uint64_t val = 0;
    unsigned index;

    (void)subleaf;
    regs[0] = regs[1] = regs[2] = regs[3] = 0;
    if (leaf == ARM_FEATURE_GIC) {
        el2_gic_features(regs);
        return;
    }
    if (leaf == ARM_FEATURE_WORKAROUNDS) {
        el2_spectre_answers(regs);
        return;
    }
    if (id_index(leaf, &index))
        val = el2_caps.id[index];
    else if (leaf == ARM_MIDR_EL1)
        val = arm_features.midr;
    regs[0] = (uint32_t)val;
    regs[1] = (uint32_t)(val >> 32);
}

const struct vcpu_ops el2_ops = {
    .name = "el2",
    .guest_isas = 1u << ISA_AARCH64,
    .s2 = &stage2_format,
    .probe = el2_probe,
    .cpu_enable = el2_cpu_enable,
    .vm_init = el2_vm_init,
    .vm_fini = el2_vm_fini,
    .vcpu_init = el2_vcpu_init,
    .vcpu_fini = el2_vcpu_fini,
    .vcpu_reset = el2_vcpu_reset,
    .load = el2_load,
    .unload = el2_unload,
    .run = el2_run,
    .irq_ready = never_ready,
    .nmi_ready = never_ready,
    .irq_window = no_irq_window,
    .nmi_window = no_nmi_window,
    .skip_insn = el2_skip_insn,
    .get_fpu_regs = el2_fp_get,
    .set_fpu_regs = el2_fp_set,
    .get_sysreg = el2_get_sysreg,
    .set_sysreg = el2_set_sysreg,
    .sysregs = el2_sysreg_list,
    .nsysregs = EL2_SYSREGS,
    .state = el2_states,
    .tlb_flush = el2_tlb_flush,
    .vcpu_tlb_flush = el2_vcpu_tlb_flush,
    .features = el2_features,
};
