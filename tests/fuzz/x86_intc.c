/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LAPICs, IOAPIC, PIC and the timers under a hostile guest. The input is a program of 8-byte steps:
 * register writes of any kind, lines, MSIs, interrupts taken, time. After each step the priorities
 * must be consistent.
 */
#include "tests/unit/x86_fakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VCPUS 4
struct step {
    uint8_t op, a, b, c;
    uint32_t val;
};

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_lapic(const struct lapic *l)
{
    int top = -1;

    for (int i = 255; i >= 0 && top < 0; i--)
        if (l->s.isr[i >> 6] >> (i & 63) & 1)
            top = i;
    check(top == l->isr_top);
    check(!(l->s.isr[0] & 0xffff) && !(l->s.irr[0] & 0xffff));
    check((l->s.base & (BASE_EN | BASE_X2)) != BASE_X2);
    check(!l->pv_flag || (l->v->vintc_hooks && top >= 0));
    check(fake_cr8[l->v->id] == l->s.tpr >> 4);
}

static void check_all(void)
{
    const struct x86_intc *x = fake_vm.vintc;

    lock_assert_none();
    for (unsigned i = 0; i < VCPUS; i++)
        check_lapic(x->lapic[i]);
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        check(!(x->ioapic.rte[i] & RTE_REMOTE) || x->ioapic.rte[i] & RTE_LEVEL);
    check(!x->pic.chip[0].aeoi || x->pic.chip[0].low < 8);
}

/* An interrupt is never of a class that the priority holds back, and then it is in service. */
static void do_take(unsigned v)
{
    struct lapic *l = lapic_of(&fake_vcpu[v]);
    int vec = x86_vintc.pending(&fake_vcpu[v]);
    uint32_t ppr = lapic_ppr(l);

    if (vec < 0)
        return;
    check(vec == VEC_EXTINT || ((uint32_t)vec & 0xf0) > (ppr & 0xf0));
    check(x86_vintc.accept(&fake_vcpu[v], vec) < 256);
    check(vec == VEC_EXTINT || l->isr_top == vec);
}

static void do_apic(const struct step *s, unsigned v)
{
    uint64_t val = s->val | (uint64_t)s->c << 32;
    uint32_t v32 = s->val;

    if (s->c & 0x80)
        lapic_mmio(&fake_vcpu[v], (uint32_t)s->b << 4 | (s->c & 0xf), s->c & 0x40, &v32);
    else
        (void)lapic_msr(&fake_vcpu[v], 0x800u + s->b, s->c & 0x40, &val);
}

static void do_port(const struct step *s)
{
    static const uint16_t ports[] = { 0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,  0x41,
                                      0x42,  0x43,  0x61,  0x70,  0x71,  0x60,  0x64,  0x92,
                                      0x600, 0x602, 0x604, 0x608, 0x3f8, 0x3f9, 0x3fa, 0x3fb,
                                      0x3fc, 0x3fd, 0x3fe, 0x3ff, 0xf4,  0x80 };

    (void)fake_io(IO_PORT, ports[s->b % ARRAY_SIZE(ports)] + (s->a >> 6), 1u << (s->c & 3) % 3,
                  s->c & 0x40, s->val);
    fake_out_len = 0;
}

static void do_base(const struct step *s, unsigned v)
{
    if (s->c & 1)
        (void)lapic_set_base(&fake_vcpu[v], s->val);
    else
        (void)lapic_set_base(&fake_vcpu[v], PLAT_LAPIC | (uint64_t)(s->val & 3) << 10);
}

static void do_cpu(const struct step *s, unsigned v)
{
    struct vcpu *c = &fake_vcpu[v];

    switch (s->b % 8) {
    case 0: lapic_set_cr8(c, s->c); break;
    case 1: lapic_set_tsc_deadline(c, host_now + s->val); break;
    case 2: (void)lapic_set_pv_eoi(c, s->val); break;
    case 3: (void)lapic_pv_ipi(c, s->val, (uint64_t)s->val << 30, s->c & 31, s->val >> 16); break;
    case 4: (void)lapic_take_init(c); break;
    case 5: (void)lapic_take_sipi(c); break;
    case 6: (void)x86_power_button(&fake_vm); break;
    default: lapic_tsc_changed(c); break;
    }
}

static void run(const struct step *s)
{
    unsigned v = s->a & (VCPUS - 1);

    switch (s->op % 10) {
    case 0: do_apic(s, v); break;
    case 1: do_port(s); break;
    case 2: do_base(s, v); break;
    case 3: do_cpu(s, v); break;
    case 4:
        (void)fake_io(IO_MEM, PLAT_IOAPIC + (s->b & 0x50), 1u << (s->c & 3) % 3, s->c & 0x40,
                      s->val);
        break;
    case 5: virq_set(&fake_vm, s->b, s->c & 1); break;
    case 6: (void)!virq_msi(&fake_vm, s->b, PLAT_MSI | (uint64_t)s->c << 10, s->val); break;
    case 7: do_take(v); break;
    case 8: advance(s->val >> (s->c & 15)); break;
    default:
        fake_ram[s->b] = s->c;
        if (fake_vcpu[v].vintc_hooks)
            x86_vintc.leave(&fake_vcpu[v]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct step s;

    fake_start(VCPUS);
    for (size_t n = 0; size >= sizeof s && n < 400; n++, data += sizeof s, size -= sizeof s) {
        memcpy(&s, data, sizeof s);
        run(&s);
        check_all();
    }
    fake_stop();
    return 0;
}
