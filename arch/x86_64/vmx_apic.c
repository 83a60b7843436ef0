/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_apic.c: the guest's local APIC kept by the CPU: virtual-interrupt delivery, APIC-register
 * virtualization, and virtualized accesses to the APIC page or to the x2APIC's MSRs. Intel SDM
 * volume 3 chapter 29; 24.4.2, 24.6.8, 24.9.1. What changes waits for the next entry.
 */
#include <hv/assert.h>
#include <hv/gmem.h>
#include <hv/pmm.h>
#include <hv/vm.h>

#include <string.h>

#include "private.h"
#include "vmx.h"

#define DELIVERY (S_APIC_REGISTERS | S_VIRTUAL_INTR)
#define APIC_BITS (DELIVERY | S_APIC_ACCESSES | S_X2APIC)
#define X2APIC_MSRS 0x800u
/* Offsets in the page. */
#define VAPIC_EOI 0xb0u
#define VAPIC_ISR 0x100u
#define VAPIC_IRR 0x200u

/*
 * Reads that the page answers (29.5); not the current count, and none that #GPs. Writes: only these
 * do not fault or need us.
 */
static const uint8_t x2_reads[] = {
    0x02, 0x03, 0x08, 0x0a, 0x0d, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
    0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25,
    0x26, 0x27, 0x28, 0x30, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x3e,
};
static const uint8_t x2_writes[] = { 0x08, 0x0b, 0x3f }; /* TPR, EOI, self-IPI */

static void allow(uint8_t *map, const uint8_t *regs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned bit = X2APIC_MSRS + regs[i];

        map[bit / 8] &= (uint8_t) ~(1u << bit % 8);
    }
}

static int make_bitmaps(void)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        hpa_t pa = pmm_alloc(0, PMM_HV); /* charge: Trivet's own */
        uint8_t *map;

        if (!pa.v)
            return -ENOMEM;
        map = memcpy(phys_to_virt(pa), phys_to_virt(hpa(vmx_caps.msr_bitmap_pa[pass])), PAGE_SIZE);
        allow(map, x2_reads, ARRAY_SIZE(x2_reads));
        allow(map + 0x800, x2_writes, ARRAY_SIZE(x2_writes));
        vmx_caps.x2_bitmap_pa[pass] = pa.v;
    }
    return 0;
}

int vmx_apic_probe(void)
{
    if ((vmx_limits.secondary.may & DELIVERY) != DELIVERY)
        return 0;
    vmx_caps.apic = vmx_limits.secondary.may & APIC_BITS;
    vmx_caps.posted = (vmx_limits.pin.may & PIN_POSTED) && (vmx_limits.exit.may & X_ACK_INT);
    if (vmx_caps.posted)
        vmx_caps.exit |= X_ACK_INT;
    return make_bitmaps();
}

const char *vmx_apic_words(void)
{
    static const char *const words[8] = {
        ", APICv",
        ", APICv (xAPIC)",
        ", APICv (x2APIC)",
        ", APICv (xAPIC and x2APIC)",
        ", APICv, posted interrupts",
        ", APICv (xAPIC), posted interrupts",
        ", APICv (x2APIC), posted interrupts",
        ", APICv (xAPIC and x2APIC), posted interrupts",
    };
    unsigned which = (vmx_caps.apic & S_APIC_ACCESSES ? 1u : 0) |
                     (vmx_caps.apic & S_X2APIC ? 2u : 0) | (vmx_caps.posted ? 4u : 0);

    return vmx_caps.apic ? words[which] : ", local APICs emulated: no virtual-interrupt delivery";
}

/* ---- from the guest's code ---- */

static void stale(struct vcpu *v, enum vmx_apic_part part)
{
    struct vmx_vcpu *s = vmx_of(v);
    struct vmx_cpu *c = &vmx_cpus[x86_this_cpu()->id];

    s->apic_stale |= (uint8_t)part;
    if (c->fit == s)
        c->fit = NULL;
}

/*
 * A page for each VM: what one guest might reach of it by a fault of the CPU or of ours is no
 * other's.
 */
int vmx_apic_vm_init(struct vm *vm)
{
    hpa_t page = hpa(0);

    assert_cpu0();
    if (vmx_caps.apic & S_APIC_ACCESSES) {
        page = vm_pages(vm, 0);
        if (!page.v)
            return -ENOMEM;
    }
    vm->arch = page.v ? phys_to_virt(page) : NULL;
    return 0;
}

void vmx_apic_vm_fini(struct vm *vm)
{
    assert_cpu0();
    if (vm->arch)
        vm_pages_free(vm, virt_to_phys(vm->arch), 0);
    vm->arch = NULL;
}

static int apic_window(struct vm *vm, bool open)
{
    const struct memslot slot = { .base = gpa(APIC_RESET_BASE),
                                  .len = PAGE_SIZE,
                                  .host = virt_to_phys(vm->arch),
                                  .prot = PROT_RW,
                                  .type = MEM_WB,
                                  .kind = MEMSLOT_MMIO };
    int err;

    if (!open)
        return gmem_unmap(vm, gpa(APIC_RESET_BASE), PAGE_SIZE);
    if (!(vmx_caps.apic & S_APIC_ACCESSES))
        return -ENOTSUP;
    err = gmem_map(vm, &slot);
    return err == -EEXIST ? 0 : err; /* from before a reset */
}

/* Translations may have been cached that lead to the page itself, or not to it (28.3.3.4). */
static void apic_mode(struct vcpu *v, unsigned mode)
{
    struct vmx_vcpu *s = vmx_of(v);
    uint32_t want = vmx_caps.secondary, old = s->secondary;

    assert_own_cpu(v);
    if (mode & VAPIC_DELIVERS)
        want |= DELIVERY;
    if (mode & VAPIC_PAGE)
        want |= vmx_caps.apic & S_APIC_ACCESSES;
    if (mode & VAPIC_X2)
        want |= vmx_caps.apic & S_X2APIC;
    s->secondary = want;
    if ((want ^ old) & S_APIC_ACCESSES)
        vmx_stale(s, true);
    stale(v, APIC_MODE | APIC_STATUS | APIC_EOI_EXITS);
}

static void apic_changed(struct vcpu *v)
{
    debug_assert_own_cpu(v);
    stale(v, APIC_STATUS);
}

static void apic_eoi_exits(struct vcpu *v, const uint64_t vectors[4])
{
    debug_assert_own_cpu(v);
    memcpy(vmx_of(v)->eoi_exits, vectors, sizeof vmx_of(v)->eoi_exits);
    stale(v, APIC_EOI_EXITS);
}

static void apic_notify(struct vcpu *v)
{
    debug_assert(v->last_cpu < cpu_count);
    lapic_send(percpus[v->last_cpu].hw_id, VEC_POSTED);
}

const struct vapic_ops vmx_vapic = { .window = apic_window,
                                     .mode = apic_mode,
                                     .changed = apic_changed,
                                     .eoi_exits = apic_eoi_exits,
                                     .notify = apic_notify };

/* ---- into the VMCS ---- */

static unsigned vmx_apic_highest(const uint8_t *first)
{
    for (int i = 7; i >= 0; i--) {
        uint32_t w = *(const volatile uint32_t *)(first + 16 * i);

        if (w)
            return (unsigned)(32 * i + 31 - __builtin_clz(w));
    }
    return 0;
}

static void put_posted(struct vmx_vcpu *s)
{
    if (!vmx_caps.posted)
        return;
    vmwrite(POSTED_VECTOR, VEC_POSTED);
    vmwrite(POSTED_DESC, virt_to_phys(vmx_posted(s)).v);
    vmwrite(PIN_CONTROLS, vmx_caps.pin | (s->secondary & S_VIRTUAL_INTR ? PIN_POSTED : 0));
}

void vmx_put_apic(struct vmx_vcpu *s)
{
    if (s->apic_stale & APIC_MODE) {
        vmwrite(SECONDARY_CONTROLS, s->secondary);
        vmx_put_spec(s);
        if (vmx_caps.apic & S_APIC_ACCESSES)
            vmwrite(APIC_ACCESS, s->apic_page_pa);
        put_posted(s);
    }
    if (s->apic_stale & APIC_EOI_EXITS && s->secondary & S_VIRTUAL_INTR)
        for (unsigned i = 0; i < 4; i++)
            vmwrite((enum vmcs_field)(EOI_EXIT0 + 2 * i), s->eoi_exits[i]);
    if (s->apic_stale & APIC_STATUS && s->secondary & S_VIRTUAL_INTR)
        /* SVI, RVI (24.4.2) */
        vmwrite(GUEST_INTR_STATUS, vmx_apic_highest(s->vapic + VAPIC_ISR) << 8 |
                                       vmx_apic_highest(s->vapic + VAPIC_IRR));
    s->apic_stale = 0;
    s->changed = true;
}

/* ---- out of the guest ---- */

/*
 * EOI of a vector whose EOI was asked for (29.1.4), and writes that the CPU has put into the page
 * (29.4.3.3): both behind the instruction.
 */
void vmx_exit_eoi(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    e->reason = EXIT_VINTC;
    e->vintc.reg = VAPIC_EOI;
    e->vintc.vector = (uint8_t)vmread(EXIT_QUALIFICATION);
}

void vmx_exit_apic_write(struct vcpu *v, struct vmx_vcpu *s, struct vcpu_exit *e)
{
    (void)v, (void)s;
    e->reason = EXIT_VINTC;
    e->vintc.reg = (uint16_t)(vmread(EXIT_QUALIFICATION) & 0xfff);
    e->vintc.vector = 0;
}
