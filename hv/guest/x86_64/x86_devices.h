/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices of an x86 guest's machine, towards the rest of hv/guest/x86_64. Unless stated: on the
 * vCPU's own CPU. References: Intel SDM vol 3 §11 (APIC), AMD APM vol 2 §16, 82093AA, 8259A,
 * 8254, MC146818, 16550A data sheets, ACPI 6.4 §4.8.
 */
#pragma once
#include <hv/types.h>
#include <hv/vintc.h>
struct guest_config;
struct vcpu;
struct vm;

/*
 * CPU 0, the vCPUs exist (their LAPICs by x86_vintc.vcpu_init) and none runs: resets all LAPICs,
 * IOAPIC and PIC to what firmware leaves (BSP: software-enabled, LINT0 ExtINT, LINT1 NMI), and
 * makes PIT, RTC, PM, UART, keyboard controller and debug port. 0 or -ENOMEM, -ENOSPC, -EEXIST.
 */
int must_check x86_devices_create(struct vm *, const struct guest_config *);
/*
 * CPU 0, no vCPU runs: stops timers and frees all that create made; also after a failed create, and
 * twice.
 */
void x86_devices_destroy(struct vm *);
/*
 * CPU 0. guest_ops.power_button: 0, or -ENOTSUP when the guest has not enabled the button's event.
 */
int must_check x86_power_button(struct vm *);

/*
 * guest_ops.vintc. pending() may return VEC_EXTINT (the PIC's turn): accept() then gives the real
 * vector.
 */
extern const struct vintc_ops x86_vintc;
#define VEC_EXTINT 256

/*
 * The APIC page's offsets in bytes: an aligned 32-bit access of the vCPU to its own page. Bad
 * registers read 0 and set ESR.
 */
void lapic_mmio(struct vcpu *, uint32_t off, bool write, uint32_t *val);
/*
 * An access of the vCPU to guest-physical memory. False: it is not to its APIC page (disabled, in
 * x2APIC mode, or elsewhere).
 */
bool must_check lapic_access(struct vcpu *, struct io_access *);
/* MSRs 0x800..0x8ff. -EINVAL: #GP(0). */
int must_check lapic_msr(struct vcpu *, uint32_t msr, bool write, uint64_t *val);
/*
 * IA32_APIC_BASE (MSR 0x1b). set: -EINVAL: #GP(0) (reserved bits, illegal transition: SDM vol 3
 * §11.12.5).
 */
uint64_t lapic_get_base(const struct vcpu *);
int must_check lapic_set_base(struct vcpu *, uint64_t val);
/*
 * IA32_TSC_DEADLINE (MSR 0x6e0): guest TSC value; 0 disarms. Ignored unless the LVT timer is in
 * that mode.
 */
uint64_t lapic_get_tsc_deadline(struct vcpu *);
void lapic_set_tsc_deadline(struct vcpu *, uint64_t tsc);
/* After the vCPU's TSC offset changed: re-arms a TSC deadline. */
void lapic_tsc_changed(struct vcpu *);
/*
 * CR8 (task priority 3:0). Every guest write of CR8 must come here; the LAPIC mirrors its TPR into
 * the backend's X86_CR8.
 */
uint8_t lapic_get_cr8(const struct vcpu *);
void lapic_set_cr8(struct vcpu *, uint8_t cr8);
uint32_t lapic_apic_id(const struct vcpu *);
bool lapic_wakes(struct vcpu *); /* halted with interrupts on: there is one to take */

/*
 * REQ_GUEST. take_init: true once for each INIT received; the LAPIC is already in its INIT state
 * then. take_sipi: vector (start page) or -1; ask after take_init.
 */
bool lapic_take_init(struct vcpu *);
int must_check lapic_take_sipi(struct vcpu *);
bool lapic_has_signal(const struct vcpu *);

/*
 * reset.c. Any CPU, no lock held: the processors are reset, by the guest's doing; memory and
 * devices stay. `why` as for vm_request_reset(), which it is unless the guest asked to go on
 * elsewhere.
 */
void x86_processor_reset(struct vm *, const char *why);
/* Own CPU, the boot processor after a reset: true: it goes on there, in real mode. */
bool must_check x86_warm_start(struct vcpu *, uint16_t *segment, uint16_t *offset);

/* KVM paravirtual. MSR_KVM_PV_EOI_EN 0x4b564d04: bit 0 enable, 63:2 address; -EINVAL: #GP(0). */
int must_check lapic_set_pv_eoi(struct vcpu *, uint64_t msr);
uint64_t lapic_get_pv_eoi(const struct vcpu *);
/*
 * KVM_HC_SEND_IPI: bitmap of APIC ids from `min`; icr: vector and delivery mode. Number of vCPUs
 * reached, or -EINVAL.
 */
int64_t must_check lapic_pv_ipi(struct vcpu *, uint64_t low, uint64_t high, uint64_t min,
                                uint64_t icr);
