/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ARM64 guest's interrupt controller and timers: what the rest of hv/guest/aarch64 needs of
 * them. GICv3 is IHI 0069, GICv2 IHI 0048. virq_set()'s line is an INTID (32 and up), each with one
 * owner: the level counts, repeats do nothing. virq_msi(devid, addr, data): GICv3: addr is
 * GITS_TRANSLATER, data the EventID; GICv2: addr is MSI_SETSPI_NS of the v2m frame, data an INTID.
 */
#pragma once
#include <hv/types.h>
#include <hv/vintc.h>
struct state_ops;
struct vm;
struct vcpu;

#define VGIC_SPIS_MAX 988u /* INTIDs 32..1019 */
#define VGIC_V2_VCPUS 8u
#define VGIC_GICD_LEN 0x10000ull    /* GICv3; a GICv2's is 4 KiB */
#define VGIC_GICR_STRIDE 0x20000ull /* one vCPU's two frames */
#define VGIC_ITS_LEN 0x20000ull     /* control frame, translation frame */
#define VGIC_GICC_LEN 0x2000ull
#define VGIC_V2M_LEN 0x1000ull
/* offset from the ITS's address: what a device writes its EventID to */
#define GITS_TRANSLATER 0x10040ull
#define V2M_SETSPI_NS 0x40ull /* offset in the v2m frame */
#define ITS_DEVICE_BITS 8u    /* DeviceIDs 0..255: the requester IDs of one PCI bus */

/*
 * version 2 or 3: that of the engine's virtual CPU interface, see vgic_host_version(). Addresses
 * not of that version are ignored; its 0: no ITS; v2m 0: none. nr_spis: a multiple of 32, or
 * VGIC_SPIS_MAX. v2m_first: INTID of the first of v2m_count SPIs for MSIs.
 */
struct vgic_layout {
    uint8_t version;
    uint32_t nr_spis;
    uint64_t gicd, gicr, its, gicc, v2m;
    uint32_t v2m_first, v2m_count;
};

/*
 * CPU 0, from build(): registers the MMIO regions; GICv2: maps GICV at gicc. -EINVAL, -ENOMEM, or
 * io_register()'s. The vintc_ops undo it.
 */
int must_check vgic_create(struct vm *, const struct vgic_layout *);
/* What the engine's CPU interface is: 2 or 3; 0: it has none. Before or after vgic_create. */
unsigned vgic_host_version(const struct vm *);

/* Own CPU. A trapped ICC_SGI0R/SGI1R/ASGI1R_EL1, ICC_SRE_EL1, CNTP_CTL/CVAL/TVAL_EL0 or CNTPCT_EL0.
 * *val: read or written. -ENOENT: not one of these, or this guest's GIC has no such register:
 * undefined. The caller advances the pc. */
int must_check vgic_sysreg(struct vcpu *, uint32_t id, bool write, uint64_t *val);
/*
 * Own CPU, v halted: an interrupt would wake it: enabled, its group enabled, priority above the
 * mask (the PSTATE masks do not matter).
 */
bool vgic_wakeable(struct vcpu *);
/*
 * Own CPU: PSCI CPU_ON, just before the vCPU starts: its CPU interface and timers as at reset; what
 * is pending stays so.
 */
void vgic_vcpu_reset(struct vcpu *);
/*
 * CPU 0, no vCPU runs, the VM's clock does: sets CNTVOFF_EL2 so that the virtual count follows
 * vm_time_ns(); at build() and resumed().
 */
void vtimer_sync_clock(struct vm *);
/* vtimer.c: <hv/arm.h> has them as an engine's calls */
void arm_vtimer_irq(struct vcpu *);
void arm_vtimer_loaded(struct vcpu *);
bool arm_vtimer_active(const struct vcpu *);
void arm_vtimer_unloaded(struct vcpu *, uint64_t ctl, uint64_t cval);

/*
 * All that a guest can see of its GIC and timers, but for the engine's registers (ICH_VMCR, active
 * priorities, CNTV_CTL, CNTV_CVAL). The number of list registers may differ between the machine
 * that was saved and this one.
 */
extern const struct state_ops vgic_state;

/*
 * MPIDR_EL1's affinity fields of vCPU id: 16 to a cluster, so that an SGI's target list reaches all
 * of one. In the device tree too.
 */
static inline uint64_t vgic_affinity(uint32_t id) { return (id & 15) | (uint64_t)(id >> 4) << 8; }

extern const struct vintc_ops vintc_arm;
