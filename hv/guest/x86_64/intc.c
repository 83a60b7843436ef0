/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An x86 VM's interrupt controllers as vintc_ops: how lines and messages reach LAPICs, IOAPIC and
 * PIC.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/vm.h>
#include "x86_devices.h"
#include "x86_intc.h"

static int intc_vm_init(struct vm *vm)
{
    struct x86_intc *x = vm_alloc(vm, sizeof *x);

    assert_cpu0();
    hv_assert(!vm->vintc);
    if (!x)
        return -ENOMEM;
    x->vm = vm;
    spin_init(&x->lock, LOCK_VINTC);
    spin_init(&x->window_lock, LOCK_VINTC);
    spin_lock(&x->lock);
    pic_reset(x);
    ioapic_reset(x);
    spin_unlock(&x->lock);
    vm->vintc = x;
    return 0;
}

static void intc_vm_fini(struct vm *vm)
{
    assert_cpu0();
    assert_parked(vm);
    x86_devices_destroy(vm);
    vm_free(vm, vm->vintc, sizeof(struct x86_intc));
    vm->vintc = NULL;
}

static int intc_vcpu_init(struct vcpu *v)
{
    struct x86_intc *x = v->vm->vintc;
    struct lapic *l;

    assert_cpu0();
    hv_assert(x);
    if (v->id >= X86_VCPUS_MAX)
        return -EINVAL;
    l = lapic_new(x, v);
    if (!l)
        return -ENOMEM;
    v->vintc = l;
    x->lapic[v->id] = l; /* nospec: at creation */
    if (x->nlapics <= v->id)
        x->nlapics = v->id + 1;
    return 0;
}

static void intc_vcpu_fini(struct vcpu *v)
{
    struct x86_intc *x = v->vm->vintc;

    assert_cpu0();
    if (x && v->id < X86_VCPUS_MAX && x->lapic[v->id] == v->vintc) /* nospec: at the end */
        x->lapic[v->id] = NULL;                                    /* nospec: at the end */
    lapic_free(v->vintc);
    v->vintc = NULL;
}

/* Lines 16 and up are shared: asserted while any source asserts them. */
static bool line_level(struct x86_intc *x, uint32_t line, bool level)
{
    uint16_t *n = &x->shared[line]; /* nospec: a device's own line */

    debug_assert_held(&x->lock);
    if (line < 16)
        *n = level;
    else if (level && *n < UINT16_MAX)
        ++*n;
    else if (!level && *n)
        --*n;
    return *n != 0;
}

static void set_pic(struct x86_intc *x, uint32_t line)
{
    unsigned irq = plat_pic_irq(line);
    bool level = x->shared[line]; /* nospec: a device's own line */

    debug_assert_held(&x->lock);
    if (line >= 16) /* two lines or more meet at one input */
        for (unsigned i = 16; i < IOAPIC_PINS; i++)
            level |= plat_pic_irq(i) == irq && x->shared[i];
    pic_set_irq(x, irq, level);
}

static void intc_set_line(struct vm *vm, uint32_t line, bool level)
{
    struct x86_intc *x = vm->vintc;

    if (!x || line >= IOAPIC_PINS || line == PLAT_GSI_PIT)
        return;
    spin_lock(&x->lock);
    level = line_level(x, line, level);
    set_pic(x, line);
    ioapic_set_pin(x, line == LINE_PIT ? PLAT_GSI_PIT : line, level);
    spin_unlock(&x->lock);
}

/*
 * Address: fee in 31:20, destination 19:12, logical 2. Data: vector 7:0, mode 10:8, trigger 15. SDM
 * vol 3 §11.11.
 */
static int intc_send_msi(struct vm *vm, uint32_t devid, uint64_t addr, uint32_t data)
{
    struct x86_intc *x = vm->vintc;
    struct apic_msg m = {
        .dest = (uint32_t)(addr >> 12) & 0xff,
        .vector = (uint8_t)data,
        .mode = (data >> 8) & 7,
        .logical = addr >> 2 & 1,
        .level = data >> 15 & 1,
    };

    if (!x || addr >> 20 != PLAT_MSI >> 20) {
        vm_log(vm, LOG_DEBUG, "device %#x: MSI to %#llx, which is no APIC", (unsigned)devid,
               (unsigned long long)addr);
        return -EINVAL;
    }
    m.broadcast = m.dest == 0xff;
    m.level = m.level && m.mode <= DM_LOWEST;
    (void)apic_send(x, &m);
    return 0;
}

static int intc_pending(struct vcpu *v) { return lapic_pending(lapic_of(v)); }

static int intc_accept(struct vcpu *v, int vec) { return lapic_accept(lapic_of(v), vec); }

static void intc_enter(struct vcpu *v) { (void)v; }

const struct vintc_ops x86_vintc = {
    .vm_init = intc_vm_init,
    .vm_fini = intc_vm_fini,
    .vcpu_init = intc_vcpu_init,
    .vcpu_fini = intc_vcpu_fini,
    .set_line = intc_set_line,
    .send_msi = intc_send_msi,
    .pending = intc_pending,
    .accept = intc_accept,
    .enter = intc_enter,
    .leave = lapic_pv_leave,
    .exit = lapic_exit,
};
