/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HVC and SMC: SMCCC 1.2 (DEN0028), PSCI 1.1 (DEN0022), TRNG 1.0 (DEN0098) and paravirtual time
 * (DEN0057), in one table of function IDs. Every register is the guest's; results go to X0..X3 and
 * the others stay (SMCCC §3.3).
 */
#include "arm.h"
#include <hv/assert.h>
#include <hv/random.h>
#include <string.h>

/*
 * Function IDs, SMCCC §2.4: fast call 31, 64-bit 30, owner 29:24 (0 architecture, 4 standard, 5
 * hypervisor standard)
 */
enum {
    SMCCC_VERSION = 0x80000000,
    SMCCC_ARCH_FEATURES = 0x80000001,
    WORKAROUND_1 = 0x80008000,
    WORKAROUND_2 = 0x80007fff,
    WORKAROUND_3 = 0x80003fff,
    PSCI_VERSION = 0x84000000,
    PSCI_CPU_SUSPEND32 = 0x84000001,
    PSCI_CPU_OFF = 0x84000002,
    PSCI_CPU_ON32 = 0x84000003,
    PSCI_AFFINITY_INFO32 = 0x84000004,
    PSCI_MIGRATE_INFO_TYPE = 0x84000006,
    PSCI_SYSTEM_OFF = 0x84000008,
    PSCI_SYSTEM_RESET = 0x84000009,
    PSCI_FEATURES = 0x8400000a,
    PSCI_SYSTEM_RESET2_32 = 0x84000012,
    TRNG_VERSION = 0x84000050,
    TRNG_FEATURES = 0x84000051,
    TRNG_GET_UUID = 0x84000052,
    TRNG_RND32 = 0x84000053,
    SMC64 = 0x40000000,
    PSCI_CPU_SUSPEND64 = PSCI_CPU_SUSPEND32 | SMC64,
    PSCI_CPU_ON64 = PSCI_CPU_ON32 | SMC64,
    PSCI_AFFINITY_INFO64 = PSCI_AFFINITY_INFO32 | SMC64,
    PSCI_SYSTEM_RESET2_64 = PSCI_SYSTEM_RESET2_32 | SMC64,
    TRNG_RND64 = TRNG_RND32 | SMC64,
};
#define PV_TIME_FEATURES 0xc5000020u
#define PV_TIME_ST 0xc5000021u
#define SMCCC_1_2 0x10002
#define PSCI_1_1 0x10001
#define TRNG_1_0 0x10000

/* Results, SMCCC §7.1 and PSCI §5.2.2, TRNG §2.1 */
enum {
    SUCCESS = 0,
    NOT_REQUIRED = 1,
    NOT_SUPPORTED = -1,
    INVALID_PARAMETERS = -2,
    ALREADY_ON = -4,
    ON_PENDING = -5,
    INVALID_ADDRESS = -9,
    TRNG_INVALID_PARAMETERS = -2,
    TRNG_NO_ENTROPY = -3,
    PSCI_TOS_NOT_PRESENT = 2,
};

/* x: X0..X3, in and out; 32-bit calls get the low halves. */
typedef int64_t call_fn(struct vcpu *, uint64_t x[4]);
struct call {
    uint32_t id;
    bool more;
    call_fn *fn;
}; /* more: X1 to X3 are results, too */
static const struct call *find(uint32_t id);

static int64_t smccc_version(struct vcpu *v, uint64_t *x)
{
    (void)v, (void)x;
    return SMCCC_1_2;
}
static int64_t psci_version(struct vcpu *v, uint64_t *x)
{
    (void)v, (void)x;
    return PSCI_1_1;
}
static int64_t trng_version(struct vcpu *v, uint64_t *x)
{
    (void)v, (void)x;
    return TRNG_1_0;
}
static int64_t migrate_info_type(struct vcpu *v, uint64_t *x)
{
    (void)v, (void)x;
    return PSCI_TOS_NOT_PRESENT;
}

/* ---- stolen time: DEN0057 §3 ---- */

struct stolen_time {
    uint32_t revision, attributes;
    uint64_t stolen_ns;
    uint8_t reserved[48];
};
static_assert(sizeof(struct stolen_time) == 64, "DEN0057 §3.2.1, and plat_pvtime_len()");
static_assert(offsetof(struct stolen_time, attributes) == 4, "DEN0057 §3.2.1");
static_assert(offsetof(struct stolen_time, stolen_ns) == 8, "DEN0057 §3.2.1");

static uint64_t stolen_time_at(const struct vcpu *v)
{
    return PLAT_PVTIME + v->id * sizeof(struct stolen_time);
}

void arm_steal_init(struct vm *vm)
{
    uint64_t len = plat_pvtime_len(vm->config->vcpus);
    void *p = gmem_ptr(vm, gpa(PLAT_PVTIME), len, PROT_R);

    assert_cpu0();
    if (p)
        memset(p, 0, len);
}

/* The page is Trivet's: the guest only reads it. */
void arm_steal_tell(struct vcpu *v)
{
    struct stolen_time *t = gmem_ptr(v->vm, gpa(stolen_time_at(v)), sizeof *t, PROT_R);

    if (t)
        __atomic_store_n(&t->stolen_ns, arm_of(v)->s.stolen_ns, __ATOMIC_RELAXED);
}

void arm_steal_update(struct vcpu *v)
{
    uint64_t stolen = arm_stolen_ns(v);

    debug_assert_own_cpu(v);
    if (arm_of(v)->s.stolen_ns == stolen || !arm_machine_of(v) || !arm_machine_of(v)->pv)
        return;
    arm_of(v)->s.stolen_ns = stolen;
    arm_steal_tell(v);
}

static int64_t pv_time_features(struct vcpu *v, uint64_t *x)
{
    bool known = (uint32_t)x[1] == PV_TIME_FEATURES || (uint32_t)x[1] == PV_TIME_ST;

    return arm_machine_of(v)->pv && known ? SUCCESS : NOT_SUPPORTED;
}

static int64_t pv_time_st(struct vcpu *v, uint64_t *x)
{
    (void)x;
    return arm_machine_of(v)->pv ? (int64_t)stolen_time_at(v) : NOT_SUPPORTED;
}

/*
 * ---- against attacks by speculation ----
 * SMCCC §7.5 to §7.8. What is to be done is done on the way here.
 */

static const uint32_t workarounds[] = { WORKAROUND_1, WORKAROUND_2, WORKAROUND_3 };

/* What SMCCC_ARCH_FEATURES says of it. */
static int64_t workaround(struct vcpu *v, uint32_t id)
{
    static const int8_t answers[] = { [ARM_WORKAROUND_ABSENT] = NOT_SUPPORTED,
                                      [ARM_WORKAROUND_CALL] = SUCCESS,
                                      [ARM_WORKAROUND_NOT_NEEDED] = NOT_REQUIRED };
    uint32_t regs[4] = { 0 };

    v->ops->features(ARM_FEATURE_WORKAROUNDS, 0, regs);
    for (unsigned i = 0; i < ARRAY_SIZE(workarounds); i++)
        if (workarounds[i] == id && regs[i] < ARRAY_SIZE(answers))
            return answers[regs[i]]; /* nospec: the engine's answer, not the guest's */
    return NOT_SUPPORTED;
}

static int64_t do_workaround(struct vcpu *v, uint32_t id)
{
    return workaround(v, id) < 0 ? NOT_SUPPORTED : SUCCESS;
}
static int64_t workaround_1(struct vcpu *v, uint64_t *x)
{
    (void)x;
    return do_workaround(v, WORKAROUND_1);
}
static int64_t workaround_2(struct vcpu *v, uint64_t *x)
{
    (void)x;
    return do_workaround(v, WORKAROUND_2);
}
static int64_t workaround_3(struct vcpu *v, uint64_t *x)
{
    (void)x;
    return do_workaround(v, WORKAROUND_3);
}

/* ---- features ---- */

static int64_t arch_features(struct vcpu *v, uint64_t *x)
{
    uint32_t id = (uint32_t)x[1];

    if (id == WORKAROUND_1 || id == WORKAROUND_2 || id == WORKAROUND_3)
        return workaround(v, id);
    if (id == PV_TIME_FEATURES || id == PV_TIME_ST)
        return arm_machine_of(v)->pv ? SUCCESS : NOT_SUPPORTED;
    return find(id) ? SUCCESS : NOT_SUPPORTED;
}

static bool is_psci(uint32_t id)
{
    return (id & ~(uint32_t)SMC64) >= PSCI_VERSION && (id & ~(uint32_t)SMC64) < TRNG_VERSION;
}

/* PSCI §5.15: flags of CPU_SUSPEND are 0: original format, no OS-initiated mode. */
static int64_t psci_features(struct vcpu *v, uint64_t *x)
{
    uint32_t id = (uint32_t)x[1];

    (void)v;
    return id == SMCCC_VERSION || (is_psci(id) && find(id)) ? SUCCESS : NOT_SUPPORTED;
}

/* ---- power ---- */

static struct vcpu *by_affinity(struct vm *vm, uint64_t affinity)
{
    for (uint32_t i = 0; i < vm->nvcpus; i++)
        if (vgic_affinity(i) == affinity)
            return vm->vcpu[i];
    return NULL;
}

static int64_t claim(struct arm_machine *m, struct vcpu *t, uint64_t entry, uint64_t context)
{
    static const int already[] = {
        [ARM_OFF] = SUCCESS, [ARM_ON_PENDING] = ON_PENDING, [ARM_ON] = ALREADY_ON
    };
    struct arm_state *s = &arm_of(t)->s;
    uint32_t was;

    spin_lock(&m->lock);
    was = s->power;
    if (was == ARM_OFF) {
        s->power = ARM_ON_PENDING;
        s->entry = entry;
        s->context = context;
    }
    spin_unlock(&m->lock);
    return already[was];
}

/* PSCI §5.4. The entry is a physical address: the vCPU starts with its MMU off. */
static int64_t cpu_on(struct vcpu *v, uint64_t *x)
{
    struct vcpu *t = by_affinity(v->vm, x[1]);
    int64_t err;

    if (!t)
        return INVALID_PARAMETERS;
    if ((x[2] & 3) || !gmem_ptr(v->vm, gpa(x[2]), 4, PROT_R))
        return INVALID_ADDRESS;
    err = claim(arm_machine_of(v), t, x[2], x[3]);
    if (err == SUCCESS)
        vcpu_request(t, REQ_GUEST);
    return err;
}

/* On the vCPU's own CPU. */
void arm_psci_request(struct vcpu *v)
{
    struct arm_machine *m = arm_machine_of(v);
    struct arm_state *s = &arm_of(v)->s;
    uint64_t entry, context;
    bool start;

    debug_assert_own_cpu(v);
    spin_lock(&m->lock);
    start = s->power == ARM_ON_PENDING;
    entry = s->entry;
    context = s->context;
    if (start)
        s->power = ARM_ON;
    spin_unlock(&m->lock);
    if (!start)
        return;
    v->ops->vcpu_reset(v);
    vgic_vcpu_reset(v);
    memset(v->regs.gpr, 0, sizeof v->regs.gpr);
    v->regs.gpr[0] = context;
    v->regs.pc = entry;
    v->regs.flags = PSTATE_RESET;
    v->mp = MP_RUNNABLE;
}

static int64_t cpu_off(struct vcpu *v, uint64_t *x)
{
    struct arm_machine *m = arm_machine_of(v);

    (void)x;
    v->mp = MP_OFF;
    spin_lock(&m->lock);
    arm_of(v)->s.power = ARM_OFF;
    spin_unlock(&m->lock);
    return SUCCESS; /* nobody reads it: the next CPU_ON starts afresh */
}

/*
 * A power-down state may be entered as a standby state (§5.20.1): it ends like WFI, and the
 * caller's context is intact.
 */
static int64_t cpu_suspend(struct vcpu *v, uint64_t *x)
{
    (void)x;
    arm_steal_update(v);
    v->mp = MP_HALTED;
    return SUCCESS;
}

/* §5.5: 0 on, 1 off, 2 pending. Affinity levels above 0: on if any of the group is. */
static int64_t affinity_info(struct vcpu *v, uint64_t *x)
{
    static const int level_shift[] = { 0, 8, 16, 32 };
    struct arm_machine *m = arm_machine_of(v);
    int64_t best = INVALID_PARAMETERS;

    if (x[2] > 3)
        return INVALID_PARAMETERS;
    spin_lock(&m->lock);
    for (uint32_t i = 0; i < v->vm->nvcpus; i++) {
        static const int64_t info[] = { [ARM_OFF] = 1, [ARM_ON_PENDING] = 2, [ARM_ON] = 0 };
        int64_t is = info[arm_of(v->vm->vcpu[i])->s.power];

        if ((vgic_affinity(i) ^ x[1]) >> level_shift[x[2] & 3])
            continue;
        if (best < 0 || is == 0 || (is == 2 && best == 1))
            best = is;
    }
    spin_unlock(&m->lock);
    return best;
}

static int64_t system_off(struct vcpu *v, uint64_t *x)
{
    (void)x;
    v->mp = MP_OFF;
    vm_request_off(v->vm, "PSCI SYSTEM_OFF");
    return SUCCESS;
}

static int64_t system_reset(struct vcpu *v, uint64_t *x)
{
    (void)x;
    v->mp = MP_OFF;
    vm_request_reset(v->vm, "PSCI SYSTEM_RESET");
    return SUCCESS;
}

/* §5.12: type 0 is SYSTEM_WARM_RESET; bit 31 marks a vendor's own. */
static int64_t system_reset2(struct vcpu *v, uint64_t *x)
{
    return (uint32_t)x[1] == 0 ? system_reset(v, x) : INVALID_PARAMETERS;
}

/* ---- random numbers: DEN0098 ---- */

static int64_t trng_features(struct vcpu *v, uint64_t *x)
{
    uint32_t id = (uint32_t)x[1];

    (void)v;
    return (id & ~(uint32_t)SMC64) >= TRNG_VERSION && (id & ~(uint32_t)SMC64) <= TRNG_RND32 &&
                   find(id)
               ? SUCCESS
               : NOT_SUPPORTED;
}

static int64_t trng_uuid(struct vcpu *v, uint64_t *x)
{
    (void)v;
    x[1] = 0x454a4b1d, x[2] = 0x9c2a1e8f, x[3] = 0x5176a92c; /* of this generator; a constant */
    return 0x7a3f2c61;
}

/* x[1] bits, at most three registers of `width`; X3 holds the lowest. */
static int64_t trng(struct vcpu *v, uint64_t *x, unsigned width)
{
    uint64_t bits = x[1], word[3];

    x[1] = x[2] = x[3] = 0;
    if (bits == 0 || bits > 3 * width)
        return TRNG_INVALID_PARAMETERS;
    if (random_fill(&v->vm->random, word, sizeof word))
        return TRNG_NO_ENTROPY;
    for (unsigned reg = 3; reg >= 1; reg--) {
        unsigned n = (unsigned)min_u64(bits, width);

        x[reg] = n == 0 ? 0 : word[reg - 1] >> (64 - n);
        bits -= n;
    }
    wipe(word, sizeof word);
    return SUCCESS;
}

static int64_t trng_rnd32(struct vcpu *v, uint64_t *x) { return trng(v, x, 32); }
static int64_t trng_rnd64(struct vcpu *v, uint64_t *x) { return trng(v, x, 64); }

/* ---- the table ---- */

static const struct call calls[] = {
    { SMCCC_VERSION, false, smccc_version },
    { SMCCC_ARCH_FEATURES, false, arch_features },
    { PSCI_VERSION, false, psci_version },
    { PSCI_FEATURES, false, psci_features },
    { PSCI_MIGRATE_INFO_TYPE, false, migrate_info_type },
    { PSCI_CPU_ON32, false, cpu_on },
    { PSCI_CPU_ON64, false, cpu_on },
    { PSCI_CPU_OFF, false, cpu_off },
    { PSCI_CPU_SUSPEND32, false, cpu_suspend },
    { PSCI_CPU_SUSPEND64, false, cpu_suspend },
    { PSCI_AFFINITY_INFO32, false, affinity_info },
    { PSCI_AFFINITY_INFO64, false, affinity_info },
    { PSCI_SYSTEM_OFF, false, system_off },
    { PSCI_SYSTEM_RESET, false, system_reset },
    { PSCI_SYSTEM_RESET2_32, false, system_reset2 },
    { PSCI_SYSTEM_RESET2_64, false, system_reset2 },
    { TRNG_VERSION, false, trng_version },
    { TRNG_FEATURES, false, trng_features },
    { TRNG_GET_UUID, true, trng_uuid },
    { TRNG_RND32, true, trng_rnd32 },
    { TRNG_RND64, true, trng_rnd64 },
    { PV_TIME_FEATURES, false, pv_time_features },
    { PV_TIME_ST, false, pv_time_st },
    { WORKAROUND_1, false, workaround_1 },
    { WORKAROUND_2, false, workaround_2 },
    { WORKAROUND_3, false, workaround_3 },
};

static const struct call *find(uint32_t id)
{
    for (unsigned i = 0; i < ARRAY_SIZE(calls); i++)
        if (calls[i].id == id)
            return &calls[i];
    return NULL;
}

/*
 * HVC #0 and SMC #0 are the same (SMCCC §2.2); other immediates are nobody's. The engine has moved
 * the pc past the instruction.
 */
int arm_call(struct vcpu *v, struct vcpu_exit *e)
{
    uint64_t *g = v->regs.gpr, x[4], mask = g[0] & SMC64 ? UINT64_MAX : UINT32_MAX;
    const struct call *c = (e->syndrome & 0xffff) == 0 ? find((uint32_t)g[0]) : NULL;

    debug_assert_own_cpu(v);
    if (!c) {
        g[0] = (uint64_t)NOT_SUPPORTED;
        return 0;
    }
    x[0] = g[0] & mask, x[1] = g[1] & mask, x[2] = g[2] & mask, x[3] = g[3] & mask;
    g[0] = (uint64_t)c->fn(v, x);
    if (c->more)
        memcpy(&g[1], &x[1], 3 * sizeof x[1]);
    return 0;
}
