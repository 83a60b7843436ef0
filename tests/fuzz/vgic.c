/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The GICv3, GICv2, ITS and timers under a hostile guest. The first byte chooses the version; then
 * a program of 12-byte steps: register accesses, lines, MSIs, SGIs, ITS commands, guest memory,
 * interrupts taken and ended, time. After each step every interrupt must be where it belongs.
 */
#include "tests/unit/vgic_fakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VCPUS 4u
#define QUEUE (PLAT_RAM + 0x50000)
struct step {
    uint8_t op, a;
    uint16_t off;
    uint64_t val;
} __attribute__((packed));

static void check(bool ok)
{
    if (!ok)
        abort();
}

static unsigned in_lrs(struct vgic *g, unsigned v, unsigned idx)
{
    unsigned found = 0;

    for (uint32_t used = g->cpu[v]->gic.used; used; used &= used - 1) {
        uint32_t id = (uint32_t)g->cpu[v]->gic.lr[__builtin_ctz(used)];

        found += (g->version == 2 ? id & 0x3ff : id) == vgic_intid(idx);
    }
    return found;
}

/*
 * Of one interrupt, on one vCPU: ready exactly when it shall be delivered here, in a register
 * exactly when it says so.
 */
static void check_irq(struct vgic *g, struct vgic_cpu *c, unsigned idx, unsigned *active)
{
    const struct vgic_irq i = vgic_irq_at(g, c, idx);
    bool ready = c->ready[idx >> 6] >> (idx & 63) & 1, mine = i.b->home[i.n] == c->id;
    bool wanted = vgic_bank_wanted(i.b) & ~i.b->in_lr & i.bit;

    check((c->gic.used ? in_lrs(g, c->id, idx) : 0u) == (mine && i.b->in_lr & i.bit ? 1u : 0u));
    check(!ready || (mine && wanted));
    check(!(i.b->in_lr & i.b->active & i.bit));
    if (mine && i.b->active & i.bit)
        ++*active;
    if (wanted && i.b->route[i.n] != ROUTE_ANY)
        check(ready == (vgic_target(g, c, i, idx) == c));
}

static void check_cpu(struct vgic *g, struct vgic_cpu *c)
{
    unsigned active = 0, ready = 0;

    check(!(c->gic.used >> g->nlrs));
    for (unsigned idx = 0; idx < 32u + g->nspis; idx++)
        check_irq(g, c, idx, &active);
    for (unsigned n = 0; n < VGIC_WORDS; n++) {
        ready += (unsigned)__builtin_popcountll(c->ready[n]);
        check(!!c->ready[n] == (c->ready_words[n >> 6] >> (n & 63) & 1));
    }
    check(ready == c->nready && active == c->active_out);
}

/* All 8192 LPIs at each step would be slow: those that the steps can name, and now and then all. */
static void check_all(struct vgic *g, bool thorough)
{
    unsigned active = 0;

    lock_assert_none();
    check(!g->servicing);
    spin_lock(&g->lock);
    for (unsigned v = 0; v < VCPUS; v++) {
        check_cpu(g, g->cpu[v]);
        for (unsigned n = 0; g->lpi && n < (thorough ? VGIC_LPIS : 64); n++)
            check_irq(g, g->cpu[v], VGIC_LPI + n, &active);
    }
    spin_unlock(&g->lock);
    check(active == 0);
}

static void do_ack(unsigned v)
{
    if (fake_cpu[v].depth < ARRAY_SIZE(fake_cpu[v].active))
        (void)ack(v);
}

static void do_eoi(unsigned v, uint64_t val)
{
    const struct arm_gic_cpu *g = &cpu_of(v)->gic;

    if (!fake_cpu[v].depth)
        return;
    /* one that is active, or anything */
    for (unsigned n = 0; n < ARM_LRS_MAX && !(val & 0x8000); n++)
        if (g->used >> n & 1 && g->lr[n] & ARM_LR_ACTIVE) {
            val = (uint32_t)g->lr[n];
            break;
        }
    eoi(v, (uint32_t)val & 0x3fff);
}

static void do_mmio(const struct step *s)
{
    static const uint64_t bases[] = {
        PLAT_GICD, PLAT_GICD + 0x6000,  PLAT_GICR,           PLAT_ITS,
        PLAT_V2M,  PLAT_GICR + 0x10000, PLAT_GICR + 0x30000, PLAT_GICD
    };
    unsigned size = 1u << (s->a >> 3 & 3);

    on(s->a >> 6 & (VCPUS - 1));
    (void)fake_io(bases[s->a & 7] + (s->off & 0x1fff), size, s->a & 0x20, s->val);
}

static void do_sysreg(const struct step *s, unsigned v)
{
    static const uint32_t ids[] = { ARM_ICC_SGI1R_EL1, ARM_ICC_SGI0R_EL1, ARM_ICC_ASGI1R_EL1,
                                    ARM_ICC_SRE_EL1,   ARM_CNTP_CTL_EL0,  ARM_CNTP_CVAL_EL0,
                                    ARM_CNTP_TVAL_EL0, ARM_CNTPCT_EL0 };
    uint64_t val = s->off & 8 ? s->val & 0xfffff : s->val;

    on(v);
    (void)!vgic_sysreg(&fake_vcpu[v], ids[s->off & 7], s->a & 0x80, &val);
}

/*
 * The host's side of the virtual timer: the interrupt comes only while the physical one is inactive
 * and the timer asserts it.
 */
static void do_timer(const struct step *s, unsigned v)
{
    struct fake_cpu *f = &fake_cpu[v];

    on(v);
    switch (s->off & 3) {
    case 0:
        f->cntv_ctl = s->val & 3;
        f->cntv_cval = host_now - f->cntvoff + (s->val >> 8 & 0xfff);
        break;
    case 1:
        if (!f->phys_active && vtimer_due(cpu_of(v))) {
            f->phys_active = 1;
            arm_vtimer_irq(&fake_vcpu[v]);
        }
        break;
    case 2:
        arm_vtimer_unloaded(&fake_vcpu[v], f->cntv_ctl, f->cntv_cval);
        this_cpu()->loaded = this_cpu()->current = NULL;
        advance(s->val & 0xfff);
        on(v);
        f->phys_active = arm_vtimer_active(&fake_vcpu[v]);
        arm_vtimer_loaded(&fake_vcpu[v]);
        break;
    default: advance(s->val & 0xffff);
    }
}

/* A command that is nearly right, at the queue's head. */
static void do_command(const struct step *s)
{
    struct its *its = &((struct vgic *)fake_vm.vintc)->its;
    uint64_t cmd[4] = { (s->off & 15) | (s->val & 7) << 32, s->val >> 8 & 0x1f, s->val >> 16 & 3,
                        0 };
    uint64_t at = its->s.cwriter & 0xfe0;

    cmd[1] |= (8190 + (s->val >> 24 & 0x3f)) << 32;
    cmd[2] |= (s->val >> 32 & 7) << 16 |
              (s->off & 0x100 ? PLAT_RAM + 0x70000 + ((s->val & 7) << 8) : 0) |
              (uint64_t)(s->off & 0x80) << 56;
    cmd[3] = (s->val >> 40 & 7) << 16;
    if (s->off & 0x200)
        cmd[s->off >> 10 & 3] ^= s->val;
    memcpy(fake_ram + (QUEUE - PLAT_RAM) + at, cmd, sizeof cmd);
    wr64(GITS(0x88), (at + 32) & 0xfff);
}

static void set_up(void)
{
    wr(GICD(0), 3);
    for (unsigned v = 0; v < VCPUS; v++) {
        on(v);
        wr(GICD(0x100), ~0u);
        if (fake_version == 2)
            continue;
        wr(GICS(v, 0x100), ~0u);
        wr64(GICR(v, 0x70), PLAT_RAM | 13);
        wr64(GICR(v, 0x78), (PLAT_RAM + 0x10000 * (v + 1)) | 1ull << 62);
        wr(GICR(v, 0), 1);
    }
    wr(GICD(0x104), ~0u);
    memset(fake_ram, 0xa1, 0x100);
    wr64(GITS(0x100), (PLAT_RAM + 0x60000) | 1ull << 63);
    wr64(GITS(0x108), (PLAT_RAM + 0x61000) | 1ull << 63);
    wr64(GITS(0x80), QUEUE | 1ull << 63);
    wr(GITS(0), 1);
}

/* What the registers tell: enabled, pending and active, of every bank. */
static unsigned tell(uint32_t *out)
{
    unsigned n = 0;

    for (unsigned v = 0; v < VCPUS; v++) {
        on(v);
        for (unsigned reg = 0x100; reg < 0x400; reg += 0x100)
            for (unsigned k = 0; k < 16; k += 4)
                out[n++] = fake_version == 2 || k ? rd(GICD(reg + k)) : rd(GICS(v, reg));
    }
    return n;
}

/*
 * Saved and put back, whole or with a byte changed: the first is the same to the guest, the second
 * is refused or as good as any.
 */
static void do_save(const struct step *s)
{
    static uint32_t before[64 * VCPUS], after[64 * VCPUS];
    static _Alignas(8) uint8_t buf[256 * 1024];
    static _Alignas(8) uint8_t again[sizeof buf];
    size_t len = saved_size();
    bool whole = !(s->off & 4);
    int err;

    check(len <= sizeof buf);
    if (whole)
        (void)tell(before);
    save_parked(buf);
    if (!whole)
        buf[(s->val >> 8) % len] ^= (uint8_t)(s->val | 1);
    err = restore_only(buf);
    check(!whole || !err);
    save_parked(again);
    check(!whole || !memcmp(buf, again, len));
    resume_parked();
    on(0);
    for (unsigned n = whole ? tell(after) : 0; n-- > 0;)
        check(before[n] == after[n]);
}

static void run(const struct step *s)
{
    unsigned v = s->a >> 6 & (VCPUS - 1);

    switch (s->op % 12) {
    case 0:
    case 1: do_mmio(s); break;
    case 2: do_sysreg(s, v); break;
    case 3: virq_set(&fake_vm, s->off & 0xff, s->a & 1); break;
    case 4:
        (void)!virq_msi(&fake_vm, s->val & 7,
                        s->a & 1 ? PLAT_ITS + GITS_TRANSLATER : PLAT_V2M + 0x40, s->off & 0xff);
        break;
    case 5: do_ack(v); break;
    case 6: do_eoi(v, s->val); break;
    case 7: do_timer(s, v); break;
    case 8: do_command(s); break;
    case 9: memcpy(fake_ram + (s->val & (FAKE_RAM - 1) & ~7ull), &s->val, 8); break;
    case 10:
        visit(v);
        fake_cpu[v].vmcr = s->off & 1 ? 0xff000003 : (s->val & 0xf8000003);
        (void)wakes(v);
        break;
    default:
        if (s->off & 2) {
            do_save(s);
        } else if (s->off & 1) {
            vgic_vcpu_reset(&fake_vcpu[v]);
            fake_cpu[v].depth = 0;
        }
        visit(v);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vgic *g;
    struct step s;

    if (!size)
        return 0;
    fake_lrs = (data[0] >> 4 & 3) + 1;
    fake_start(data[0] & 1 ? 2 : 3, VCPUS);
    set_up();
    g = fake_vm.vintc;
    for (data++, size--; size >= sizeof s; data += sizeof s, size -= sizeof s) {
        memcpy(&s, data, sizeof s);
        run(&s);
        check_all(g, size < 2 * sizeof s && (s.val & 15) == 0);
    }
    fake_stop();
    return 0;
}
