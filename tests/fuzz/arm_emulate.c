/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever an ARM64 guest does: any instruction on a device, any page tables and registers, any
 * HVC, any access to the small devices. Nothing outside of the guest is touched, no lock stays
 * held, and the guest always gets on: its pc moves, or it takes an exception.
 */
#define FAKE_RAM (128 * KIB)
#include "../unit/arm_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

static uint64_t take(struct input *in, unsigned n)
{
    uint64_t v = 0;

    n = (unsigned)min_u64(n, in->left);
    memcpy(&v, in->at, n);
    in->at += n;
    in->left -= n;
    return v;
}

/* Mostly addresses that lead somewhere. */
static uint64_t address(struct input *in)
{
    static const uint64_t base[] = { PLAT_PL011,  PLAT_PL031,        PLAT_PL061,
                                     PLAT_PVTIME, PLAT_RAM,          PLAT_RAM + FAKE_RAM - 8,
                                     0,           0xffff800000000000 };
    uint64_t where = take(in, 1);

    return where & 0x80 ? take(in, 8) : base[where & 7] + take(in, 2);
}

static void devices(struct input *in)
{
    uint64_t at = address(in), val = take(in, 4);
    unsigned size = 1u << (take(in, 1) & 3);

    if (take(in, 1) & 1)
        mmio_write(at, size, val);
    else
        (void)mmio_read(at, size);
    if (take(in, 1) == 0)
        advance(take(in, 5));
}

static void call(struct vcpu *v, struct input *in)
{
    static const uint32_t ids[] = { 0x80000000, 0x84000000, 0xc4000000, 0x84000050, 0xc5000020 };
    struct vcpu_exit e = { .reason = EXIT_CALL };

    v->regs.gpr[0] = ids[take(in, 1) % ARRAY_SIZE(ids)] + take(in, 1) % 32;
    v->regs.gpr[1] = take(in, 2);
    v->regs.gpr[2] = take(in, 1) & 1 ? PLAT_RAM : take(in, 8);
    if (arm_call(v, &e))
        abort();
    for (unsigned i = 0; i < fake_vm.nvcpus; i++)
        if (fake_vcpu[i].requests & REQ_GUEST) {
            fake_vcpu[i].requests = 0;
            arm_psci_request(&fake_vcpu[i]);
        }
}

static void access_device(struct vcpu *v, struct input *in)
{
    struct vcpu_exit e = { .reason = EXIT_MEM, .insn_len = 4, .syndrome = take(in, 4) };
    uint32_t insn = (uint32_t)take(in, 4);
    uint64_t pc;

    v->regs.pc = pc = take(in, 1) ? PLAT_RAM + 0x1000 : take(in, 8);
    v->regs.flags = take(in, 1) & 1 ? take(in, 4) : PSTATE_RESET;
    memcpy(fake_ram + 0x1000, &insn, 4);
    for (unsigned i = 0; i < 31; i++)
        v->regs.gpr[i] = i & 1 ? address(in) : v->regs.gpr[i];
    e.mem.gpa = gpa(e.mem.io.addr = address(in));
    e.mem.gva = address(in);
    e.mem.prot = (uint8_t)(1u << take(in, 1) % 3);
    e.mem.decoded = take(in, 1) & 1;
    e.mem.reg = take(in, 1) & 31;
    e.mem.wide = e.mem.sext = take(in, 1) & 1;
    e.mem.io.size = (uint8_t)(1u << (take(in, 1) & 3));
    e.mem.io.write = e.mem.prot == PROT_W;
    set_sysreg(0, ARM_VBAR_EL1, 0x5000000000000800);
    if (arm_emulate(v, &e))
        abort();
    if (v->regs.pc == pc && !(e.mem.decoded && fake_at(e.mem.gpa.v, 1)))
        abort();
}

static void translation(struct input *in)
{
    set_sysreg(0, ARM_SCTLR_EL1, take(in, 4));
    set_sysreg(0, ARM_TCR_EL1, take(in, 8));
    set_sysreg(0, ARM_TTBR0_EL1, PLAT_RAM + (take(in, 2) << 6));
    set_sysreg(0, ARM_TTBR1_EL1, take(in, 8));
    for (unsigned i = 0; i < 16; i++) {
        uint64_t d = take(in, 1) & 1 ? take(in, 8) : PLAT_RAM + take(in, 3);

        memcpy(fake_ram + (take(in, 2) & 0x1fff) * 8 % FAKE_RAM, &d, 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    struct arm_devices *d;

    fake_start(3);
    fake_machine();
    if (arm_devices_create(&fake_vm, &fake_config, &d))
        abort();
    arm_machine_of(&fake_vcpu[0])->devices = d;
    while (in.left) {
        switch (take(&in, 1) & 3) {
        case 0: devices(&in); break;
        case 1: call(&fake_vcpu[0], &in); break;
        case 2: translation(&in); break;
        default: access_device(&fake_vcpu[0], &in);
        }
        lock_assert_none();
    }
    arm_devices_destroy(d);
    vm_free(&fake_vm, fake_vm.guest, sizeof(struct arm_machine));
    fake_vm.guest = NULL;
    fake_stop();
    return 0;
}
