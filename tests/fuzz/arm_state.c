/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An image of an ARM64 machine on the EL2 engine, without its GIC (vgic_restore.c), that somebody
 * has changed. It is refused, or it is taken: then it saves as it was read, the engine may enter
 * the guest without harm, and the devices go on under any use.
 */
#include <hv/state.h>

#define FAKE_RAM (64 * KIB) /* it is cleared twice for each input */
#include "arch/aarch64/el2.h"
#include "tests/fuzz/image_bytes.h"
#include "tests/unit/arm_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VCPUS = 2, OPS = 40, HOST_HCR = 1 };
#define HCR_GUESTS (HCR_VSE | HCR_DC | HCR_TVM)
struct el2_caps el2_caps;
uint32_t el2_gic_vtr;
static struct el2_vcpu engine[VCPUS];
static struct vcpu_ops ops;
static struct arm_devices *devices;
static _Alignas(8) uint8_t image[16 * 1024], good[16 * 1024], again[16 * 1024];

static void make(uint8_t how)
{
    el2_caps = (struct el2_caps){
        .gic_version = how & 1 ? 3 : 2, .fwb = how & 2, .breakpoints = 6, .watchpoints = 4
    };
    el2_caps.id[ID_AA64PFR0] = how & 4 ? 0x12 : 0x11;
    el2_gic_vtr = (how & 8 ? 6u : 4u) << 26;
    fake_start(VCPUS);
    fake_machine();
    ops = *fake_vm.ops;
    ops.sysregs = el2_sysreg_list;
    ops.nsysregs = EL2_SYSREGS;
    ops.state = el2_states;
    fake_vm.ops = &ops;
    for (unsigned i = 0; i < VCPUS; i++) {
        engine[i] = (struct el2_vcpu){ .hcr = HOST_HCR };
        fake_vcpu[i].arch = &engine[i];
        fake_vcpu[i].ops = &ops;
        fake_vcpu[i].regs.flags = PSTATE_RESET;
    }
    if (arm_devices_create(&fake_vm, &fake_config, &devices))
        abort();
    arm_machine_of(&fake_vcpu[0])->devices = devices;
}

static void unmake(void) { fake_machine_destroy(devices); }

static void use_cpu(struct vcpu *v, const uint8_t *op)
{
    struct vcpu_exit hvc = { .reason = EXIT_CALL };

    v->sched.steal_ns += op[2];
    arm_steal_update(v);
    arm_psci_request(v);
    v->regs.gpr[0] = op[3] & 1 ? 0xc4000003 : 0xc4000004; /* CPU_ON, AFFINITY_INFO */
    v->regs.gpr[1] = vgic_affinity(op[3] >> 1 & 1);
    v->regs.gpr[2] = op[3] & 1 ? PLAT_RAM : 0;
    if (arm_call(v, &hvc))
        abort();
}

/* Bytes of anything; the image's own are not read by these. */
static void use(const uint8_t *op)
{
    uint32_t val = op[2] | (uint32_t)op[3] << 8 | (uint32_t)op[3] << 24;
    static const uint64_t at[] = { PLAT_PL011, PLAT_PL031, PLAT_PL061 };
    uint64_t reg = at[op[1] % 3] + (op[1] >> 2) * 4 + (op[0] & 0x80 ? 0x400 : 0);

    switch (op[0] % 7) {
    case 0:
    case 1: mmio_write(reg, 4, val); break;
    case 2: (void)mmio_read(reg, 4); break;
    case 3: advance((uint64_t)val * 1000); break;
    case 4:
        fake_in_len = op[2] % sizeof fake_in;
        event_post(fake_listener);
        (void)event_run();
        break;
    case 5: (void)arm_power_button(&fake_vm); break;
    default: use_cpu(&fake_vcpu[op[1] % VCPUS], op); break;
    }
    fake_out_len = 0;
    lock_assert_none();
}

static void save(void *to)
{
    size_t len = state_size(&fake_vm);

    if (len > sizeof image || state_quiesce(&fake_vm) || event_next() != UINT64_MAX ||
        state_save(&fake_vm, to, len))
        abort();
}

/* ERET goes to EL0 or EL1, with the host's own traps. */
static void check_entry(unsigned v)
{
    uint64_t m = fake_vcpu[v].regs.flags & PSTATE_M;

    if (m != 0 && m != PSTATE_EL1T && m != PSTATE_EL1H && m != PSTATE_NRW)
        abort();
    if ((engine[v].hcr & ~HCR_GUESTS) != HOST_HCR || fake_vcpu[v].event.type != VEV_NONE)
        abort();
}

/* A register that the other machine lacked stays as it is here. */
static void forget_missing(void)
{
    const struct state_image *h = (const void *)good;

    for (unsigned n = 0; n < h->records; n++) {
        const struct state_record *r = (void *)image_byte(image, good, n, 0);

        for (unsigned k = 0; r->kind == STATE_SYSREGS && k < EL2_SYSREGS; k++) {
            struct state_sysreg *s = (struct state_sysreg *)(uintptr_t)(r + 1) + k;

            if (!s->there)
                memcpy(s, again + ((uint8_t *)s - image), sizeof *s);
        }
    }
}

static void put_back(size_t len)
{
    fake_vm.paused_ns = host_now;
    if (state_restore(&fake_vm, image, len)) {
        if (!fake_vm.why[0])
            abort();
        return; /* it is destroyed */
    }
    for (unsigned v = 0; v < VCPUS; v++)
        check_entry(v);
    if (state_size(&fake_vm) != len)
        abort();
    save(again);
    forget_missing();
    if (memcmp(image + sizeof(struct state_image), again + sizeof(struct state_image),
               len - sizeof(struct state_image)))
        abort();
}

static void resume(void)
{
    fake_vm.time_offset_ns -= (int64_t)(host_now - fake_vm.paused_ns);
    fake_vm.paused_ns = 0;
    state_resume(&fake_vm);
    lock_assert_none();
    (void)event_run();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned patches, before;
    uint8_t how;
    size_t len;

    if (size < 4)
        return 0;
    how = data[0];
    patches = data[1] & 15;
    before = data[2] & 15;
    make(how);
    for (data += 4, size -= 4; before && size >= 4; before--, data += 4, size -= 4)
        use(data);
    len = state_size(&fake_vm);
    save(good);
    memcpy(image, good, len);
    unmake();
    for (; patches && size >= 4; patches--, data += 4, size -= 4) {
        uint8_t *at = image_byte(image, good, data[0], data[1] * 8u + (data[3] >> 5));

        *at = data[3] & 2 ? (uint8_t)(*at ^ data[2]) : data[2];
    }
    make(how);
    put_back(len);
    if (fake_vm.why[0] == '\0') {
        resume();
        for (unsigned n = 0; n < OPS && size >= 4; n++, data += 4, size -= 4)
            use(data);
    }
    unmake();
    return 0;
}
