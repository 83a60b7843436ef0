/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC while the CPU keeps it (hv/guest/x86_64/lapic_page.c), against a model of such a
 * CPU: Intel SDM vol 3 chapter 29 on the page. An emulated APIC that is sent the same must deliver
 * the same; and with threads that send, each interrupt arrives once.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/x86_fakes.h"

#define VCPUS 4
#define EMULATED 0u
#define KEPT 1u
#define SENDER 2u

static struct cpu {
    _Alignas(64) uint8_t page[4096];
    /* told: calls of changed() and mode() since the last entry */
    unsigned mode, rvi, svi, told;
    uint64_t eoi_exits[4];
    unsigned exits, threshold;
    uint32_t notified; /* the notification vector waits; atomic */
} cpus[VCPUS];
static unsigned windows, window_calls;

/* ---- the CPU ---- */

static uint32_t *word(struct cpu *c, unsigned reg) { return (uint32_t *)(c->page + (reg << 4)); }
static bool test(struct cpu *c, unsigned reg, unsigned vec)
{
    return *word(c, reg + vec / 32) >> (vec & 31) & 1;
}
static void set(struct cpu *c, unsigned reg, unsigned vec)
{
    *word(c, reg + vec / 32) |= 1u << (vec & 31);
}
static void clear(struct cpu *c, unsigned reg, unsigned vec)
{
    *word(c, reg + vec / 32) &= ~(1u << (vec & 31));
}

static unsigned top(struct cpu *c, unsigned reg)
{
    for (unsigned vec = 255; vec; vec--)
        if (test(c, reg, vec))
            return vec;
    return 0;
}

/* PPR virtualization, 29.1.3 */
static void ppr(struct cpu *c)
{
    uint32_t t = *word(c, APIC_TPR) & 0xff;

    *word(c, APIC_PPR) = t >> 4 >= c->svi >> 4 ? t : c->svi & 0xf0;
}

/* As hv/vm/vcpu.c looks before each entry. The vector of the PIC, or -1. */
static int enter(unsigned v)
{
    struct cpu *c = &cpus[v];
    int vec = -1;

    if (__atomic_fetch_and(&fake_vcpu[v].requests, ~(uint32_t)REQ_IRQ, __ATOMIC_SEQ_CST) &
        REQ_IRQ) {
        vec = x86_vintc.pending(&fake_vcpu[v]);
        vec = vec < 0 ? -1 : x86_vintc.accept(&fake_vcpu[v], vec);
        if (vec >= 0 && x86_vintc.pending(&fake_vcpu[v]) >= 0)
            fake_vcpu[v].requests |= REQ_IRQ; /* the interrupt window */
    }
    if (c->told) {
        c->rvi = top(c, APIC_IRR);
        c->svi = top(c, APIC_ISR);
    }
    c->told = 0;
    if (c->mode & VAPIC_DELIVERS)
        ppr(c);
    return vec;
}

/* Virtual-interrupt delivery, 29.2.2. The vector, or -1. */
static int deliver(struct cpu *c)
{
    unsigned vec = c->rvi;

    if (!(c->mode & VAPIC_DELIVERS) || vec >> 4 <= (*word(c, APIC_PPR) & 0xff) >> 4)
        return -1;
    assert_true(test(c, APIC_IRR, vec));
    set(c, APIC_ISR, vec);
    clear(c, APIC_IRR, vec);
    c->svi = vec;
    *word(c, APIC_PPR) = vec & 0xf0;
    c->rvi = top(c, APIC_IRR);
    return (int)vec;
}

static int kept_take(unsigned v)
{
    int vec = enter(v);

    return vec >= 0 ? vec : deliver(&cpus[v]);
}

static void exit_to(unsigned v, unsigned reg, unsigned vec)
{
    struct vcpu_exit e = { .reason = EXIT_VINTC,
                           .vintc = { .reg = (uint16_t)(reg << 4), .vector = (uint8_t)vec } };

    cpus[v].exits++;
    x86_vintc.exit(&fake_vcpu[v], &e);
}

/* Posted-interrupt processing, 29.6. */
static void take_posted(unsigned v)
{
    struct cpu *c = &cpus[v];

    if (!__atomic_exchange_n(&c->notified, 0, __ATOMIC_SEQ_CST) || !(c->mode & VAPIC_DELIVERS))
        return;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t new =
            __atomic_exchange_n(&lapic_of(&fake_vcpu[v])->hw.posted[i], 0, __ATOMIC_SEQ_CST);

        *word(c, APIC_IRR + 2 * i) |= (uint32_t) new;
        *word(c, APIC_IRR + 2 * i + 1) |= (uint32_t)(new >> 32);
        if (new)
            c->rvi = (uint32_t)max_u64(c->rvi, 64 * i + 63 - (unsigned)__builtin_clzll(new));
    }
}

/* EOI virtualization, 29.1.4 */
static void kept_eoi(unsigned v)
{
    struct cpu *c = &cpus[v];
    unsigned vec = c->svi;

    if (!(c->mode & VAPIC_DELIVERS)) {
        apic_write(v, APIC_EOI, 0);
        return;
    }
    clear(c, APIC_ISR, vec);
    c->svi = top(c, APIC_ISR);
    ppr(c);
    if (c->eoi_exits[vec >> 6] >> (vec & 63) & 1)
        exit_to(v, APIC_EOI, vec);
}

static void kept_tpr(unsigned v, uint32_t val)
{
    *word(&cpus[v], APIC_TPR) = val;
    if (cpus[v].mode & VAPIC_DELIVERS)
        ppr(&cpus[v]);
    else if (val >> 4 < cpus[v].threshold)
        fake_vcpu[v].requests |= REQ_IRQ; /* the TPR threshold */
}

/* 29.1.5, 29.4.3: the guest's write to its page. */
static void kept_write(unsigned v, unsigned reg, uint32_t val)
{
    struct cpu *c = &cpus[v];

    if (!(c->mode & VAPIC_DELIVERS)) {
        apic_write(v, reg, val);
        return;
    }
    *word(c, reg) = val;
    if (reg == APIC_ICR && (val & 0xfff3b700) == 0 && (val >> 18 & 3) == 1 && (val & 0xff) >= 16) {
        set(c, APIC_IRR, val & 0xff);
        c->rvi = (uint32_t)max_u64(c->rvi, val & 0xff);
    } else if (reg == APIC_ICR2) {
        *word(c, reg) &= 0xff000000;
    } else {
        exit_to(v, reg, 0);
    }
}

/* ---- the engine ---- */

static int window(struct vm *vm, bool open)
{
    (void)vm;
    windows = open;
    window_calls++;
    return 0;
}

static void mode(struct vcpu *v, unsigned m)
{
    cpus[v->id].mode = m;
    cpus[v->id].told++;
}

static void changed(struct vcpu *v) { cpus[v->id].told++; }

static void eoi_exits(struct vcpu *v, const uint64_t vectors[4])
{
    memcpy(cpus[v->id].eoi_exits, vectors, sizeof cpus[0].eoi_exits);
}

static int set_reg(struct vcpu *v, uint32_t id, uint64_t val)
{
    if (id == X86_CR8 && lapic_of(v)->hw.apic)
        *lapic_of(v)->hw.tpr = (uint8_t)(val << 4);
    return 0;
}

static void tpr_window(struct vcpu *v, unsigned priority) { cpus[v->id].threshold = priority; }

static void notify(struct vcpu *v) { __atomic_store_n(&cpus[v->id].notified, 1, __ATOMIC_SEQ_CST); }

static const struct vapic_ops vapic = {
    .window = window, .mode = mode, .changed = changed, .eoi_exits = eoi_exits, .notify = notify
};
static const struct x86_engine engine = { .tpr_window = tpr_window, .vapic = &vapic };
static struct vcpu_ops ops;

static void keep(unsigned v)
{
    struct x86_shared *hw = &lapic_of(&fake_vcpu[v])->hw;

    hw->apic = cpus[v].page;
    hw->tpr = &cpus[v].page[APIC_TPR << 4];
    lapic_power_on(lapic_of(&fake_vcpu[v]));
}

static int start(void **state)
{
    (void)state;
    fake_start(VCPUS);
    memset(cpus, 0, sizeof cpus);
    windows = window_calls = 0;
    ops = *fake_vm.ops;
    ops.set_sysreg = set_reg;
    ops.isa_ops = &engine;
    fake_vm.ops = &ops;
    for (unsigned i = 0; i < VCPUS; i++)
        fake_vcpu[i].ops = &ops;
    keep(KEPT);
    for (unsigned i = 0; i < VCPUS; i++)
        apic_write(i, APIC_SVR, 0x1ff);
    apic_write(0, APIC_LVT + LVT_LINT0, LVT_MASKED);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

/* An interrupt from outside: fixed, edge or level. */
static void send(unsigned to, unsigned vec, bool level)
{
    assert_int_equal(
        x86_vintc.send_msi(&fake_vm, 0, PLAT_MSI | to << 12, vec | (level ? 0x8000u : 0)), 0);
}

/* ---- tests ---- */

static void test_modes(void **state)
{
    (void)state;
    assert_int_equal(cpus[KEPT].mode, VAPIC_PAGE | VAPIC_DELIVERS);
    apic_write(KEPT, APIC_SVR, 0xff);
    assert_int_equal(cpus[KEPT].mode, VAPIC_PAGE);
    apic_write(KEPT, APIC_SVR, 0x1ff);
    (void)enter(KEPT);
    kept_tpr(KEPT, 0x35);
    lapic_take_back(lapic_of(&fake_vcpu[KEPT]));
    assert_int_equal(lapic_of(&fake_vcpu[KEPT])->s.tpr, 0x35); /* all of its state is there */
    assert_int_equal(lapic_set_base(&fake_vcpu[KEPT], 0xfed00000 | BASE_EN), 0);
    assert_int_equal(cpus[KEPT].mode, VAPIC_DELIVERS);
    assert_int_equal(lapic_set_base(&fake_vcpu[KEPT], PLAT_LAPIC | BASE_EN | BASE_X2), 0);
    assert_int_equal(cpus[KEPT].mode, VAPIC_X2 | VAPIC_DELIVERS);
    assert_int_equal(lapic_set_base(&fake_vcpu[KEPT], PLAT_LAPIC), 0);
    assert_int_equal(cpus[KEPT].mode, 0);
    assert_int_equal(lapic_set_base(&fake_vcpu[KEPT], PLAT_LAPIC | BASE_EN), 0);
    assert_int_equal(cpus[KEPT].mode, VAPIC_PAGE); /* off has reset SVR */
    assert_int_equal(cpus[EMULATED].mode, 0);
}

/* The page is there only while every vCPU has its APIC at it. */
static void test_window(void **state)
{
    struct x86_intc *x = fake_vm.vintc;

    (void)state;
    lapic_window(x);
    assert_int_equal(window_calls, 0); /* three are emulated */
    for (unsigned i = 0; i < VCPUS; i++)
        keep(i);
    lapic_window(x);
    assert_true(windows == 1 && x->window);
    assert_int_equal(lapic_set_base(&fake_vcpu[3], PLAT_LAPIC | BASE_EN | BASE_X2), 0);
    assert_true(windows == 0 && window_calls == 2 && !x->window);
    assert_int_equal(lapic_set_base(&fake_vcpu[2], PLAT_LAPIC), 0);
    assert_int_equal(window_calls, 2);
}

/* What the guest reads in its page is what it would read of an emulated APIC. */
static void same_copies(unsigned v)
{
    for (unsigned r = 0; r < APIC_REGS; r++)
        if (r != APIC_PPR && r != APIC_TMCCT && !(r >= APIC_ISR && r < APIC_ESR))
            assert_int_equal(*word(&cpus[v], r), lapic_show_reg(lapic_of(&fake_vcpu[v]), r));
}

static void test_copies(void **state)
{
    static const unsigned written[] = { APIC_LDR,     APIC_DFR,     APIC_ESR,     APIC_LVT,
                                        APIC_LVT + 1, APIC_LVT + 3, APIC_LVT + 5, APIC_TMICT,
                                        APIC_TDCR,    APIC_ICR,     APIC_ID };
    uint64_t icr = 3ull << 32 | 0x4041;

    (void)state;
    same_copies(KEPT);
    for (unsigned i = 0; i < 200; i++) {
        kept_write(KEPT, written[i % ARRAY_SIZE(written)], (i * 0x01030507) ^ 0x41);
        same_copies(KEPT);
    }
    kept_write(KEPT, APIC_TMICT, 1000);
    kept_write(KEPT, APIC_LVT, 0x40061); /* TSC deadline: clears the count */
    assert_int_equal(*word(&cpus[KEPT], APIC_TMICT), 0);
    assert_int_equal(lapic_set_base(&fake_vcpu[KEPT], PLAT_LAPIC | BASE_EN | BASE_X2), 0);
    same_copies(KEPT);
    assert_int_equal(*word(&cpus[KEPT], APIC_ID), KEPT);
    assert_int_equal(lapic_msr(&fake_vcpu[KEPT], 0x830, true, &icr), 0);
    assert_int_equal(*(uint64_t *)(cpus[KEPT].page + 0x300), icr);
    assert_int_equal(take(3), 0x41);
}

/* The high half of ICR is written without an exit. */
static void test_icr(void **state)
{
    (void)state;
    kept_write(KEPT, APIC_ICR2, 3u << 24 | 0xffffff);
    assert_int_equal(cpus[KEPT].exits, 0);
    assert_int_equal(apic_read(KEPT, APIC_ICR2), 3u << 24);
    kept_write(KEPT, APIC_ICR, 0x4051);
    assert_int_equal(cpus[KEPT].exits, 1);
    assert_int_equal(take(3), 0x51);
    assert_int_equal(take(EMULATED), -1);
}

/* EOI exits for level-triggered interrupts, and the IOAPIC's pin is served again. */
static void test_level(void **state)
{
    struct x86_intc *x = fake_vm.vintc;

    (void)state;
    mem_write(PLAT_IOAPIC, 0x10 + 2 * 20 + 1);
    mem_write(PLAT_IOAPIC + 0x10, KEPT << 24);
    mem_write(PLAT_IOAPIC, 0x10 + 2 * 20);
    mem_write(PLAT_IOAPIC + 0x10, 0x8000 | 0x71);
    x86_vintc.set_line(&fake_vm, 20, true);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(kept_take(KEPT), 0x71);
        assert_true(x->ioapic.rte[20] & RTE_REMOTE);
        kept_eoi(KEPT);
        assert_int_equal(cpus[KEPT].exits, i + 1);
    }
    x86_vintc.set_line(&fake_vm, 20, false);
    assert_int_equal(kept_take(KEPT), 0x71);
    kept_eoi(KEPT);
    assert_false(x->ioapic.rte[20] & RTE_REMOTE);
    assert_int_equal(kept_take(KEPT), -1);
    send(KEPT, 0x71, false);
    assert_int_equal(kept_take(KEPT), 0x71);
    kept_eoi(KEPT);
    assert_int_equal(cpus[KEPT].exits, 4); /* edge: none */
}

/* INIT forgets what waits and what is in service, in the page too. */
static void test_init(void **state)
{
    (void)state;
    send(KEPT, 0x41, false);
    send(KEPT, 0x61, true);
    assert_int_equal(kept_take(KEPT), 0x61);
    apic_write(SENDER, APIC_ICR2, KEPT << 24);
    apic_write(SENDER, APIC_ICR, 0x4500);
    assert_true(lapic_take_init(&fake_vcpu[KEPT]));
    assert_int_equal(cpus[KEPT].mode, VAPIC_PAGE);
    apic_write(KEPT, APIC_SVR, 0x1ff);
    assert_int_equal(kept_take(KEPT), -1);
    assert_int_equal(cpus[KEPT].svi, 0);
    assert_int_equal(cpus[KEPT].eoi_exits[1], 0);
    send(KEPT, 0x31, false);
    assert_int_equal(kept_take(KEPT), 0x31);
}

/* The PIC's interrupt comes through us, and does not leave a stale page behind. */
static void test_extint(void **state)
{
    (void)state;
    send(KEPT, 0x41, false);
    assert_int_equal(kept_take(KEPT), 0x41);
    assert_int_equal(apic_read(KEPT, APIC_ISR + 2), 2); /* takes the state back */
    apic_write(SENDER, APIC_ICR2, KEPT << 24);
    apic_write(SENDER, APIC_ICR, 0x4700);
    outb(0x20, 0x11), outb(0x21, 0x20), outb(0x21, 4), outb(0x21, 1), outb(0x21, 0xfe);
    x86_vintc.set_line(&fake_vm, LINE_PIT, true);
    assert_int_equal(enter(KEPT), 0x20);
    assert_int_equal(cpus[KEPT].svi, 0x41);
    kept_eoi(KEPT);
    assert_int_equal(apic_read(KEPT, APIC_ISR + 2), 0);
    x86_vintc.set_line(&fake_vm, LINE_PIT, false);
}

static void same_state(void)
{
    assert_int_equal(apic_read(EMULATED, APIC_PPR), apic_read(KEPT, APIC_PPR));
    for (unsigned r = APIC_ISR; r < APIC_ESR; r++)
        assert_int_equal(apic_read(EMULATED, r), apic_read(KEPT, r));
}

/* An entry gives the guest an interrupt only while the CPU does not deliver. */
static void enter_both(void)
{
    int vec = enter(KEPT);

    if (vec >= 0)
        assert_int_equal(take(EMULATED), vec);
}

static void op_take(unsigned x)
{
    (void)x;
    assert_int_equal(take(EMULATED), kept_take(KEPT));
}
static void op_eoi(unsigned x)
{
    (void)x;
    enter_both(), apic_write(EMULATED, APIC_EOI, 0), kept_eoi(KEPT);
}
static void op_tpr(unsigned x)
{
    apic_write(EMULATED, APIC_TPR, x & 0xff), kept_tpr(KEPT, x & 0xff);
}
static void op_state(unsigned x)
{
    (void)x;
    same_state();
}
static void op_wakes(unsigned x)
{
    (void)x;
    assert_int_equal(lapic_wakes(&fake_vcpu[EMULATED]), lapic_wakes(&fake_vcpu[KEPT]));
}
static void op_cr8(unsigned x)
{
    lapic_set_cr8(&fake_vcpu[EMULATED], x & 15), lapic_set_cr8(&fake_vcpu[KEPT], x & 15);
}
static void op_eoi_page(unsigned x)
{
    (void)x;
    apic_write(EMULATED, APIC_EOI, 0), apic_write(KEPT, APIC_EOI, 0);
}

static void op_send(unsigned x)
{
    unsigned vec = 16 + x % 240;

    send(EMULATED, vec, x >> 8 & 1);
    send(KEPT, vec, x >> 8 & 1);
}

static void op_self(unsigned x)
{
    uint32_t icr = 0x44000 | (16 + x % 240);

    enter_both();
    apic_write(EMULATED, APIC_ICR, icr);
    kept_write(KEPT, APIC_ICR, icr);
}

static void op_svr(unsigned x)
{
    uint32_t svr = x & 3 ? 0x1ff : 0xff;

    enter_both();
    apic_write(EMULATED, APIC_SVR, svr);
    kept_write(KEPT, APIC_SVR, svr);
}

/*
 * The same done to both. A guest's own accesses come after an entry. A self-IPI clears TMR in an
 * emulated APIC, but not in the CPU's page when a level-triggered interrupt of the vector came
 * before: they are tried without level-triggered ones.
 */
static void test_same_as_emulated(void **state)
{
    static void (*const op[])(unsigned) = { op_take, op_take,     op_take, op_eoi,   op_eoi,
                                            op_send, op_send,     op_tpr,  op_state, op_wakes,
                                            op_cr8,  op_eoi_page, op_svr };
    uint32_t r = 1;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        r = r * 1664525 + 1013904223;
        op[(r >> 24) % ARRAY_SIZE(op)](r >> 7);
    }
    same_state();
}

static void test_same_with_self_ipis(void **state)
{
    static void (*const op[])(unsigned) = { op_take, op_take, op_take, op_eoi,   op_eoi,
                                            op_self, op_self, op_tpr,  op_wakes, op_cr8 };
    uint32_t r = 2;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        r = r * 1664525 + 1013904223;
        op[(r >> 24) % ARRAY_SIZE(op)](r >> 7);
    }
    same_state();
}

/* ---- senders on other CPUs ---- */

#define SENDERS 3u
#define STAYS 200000u
static uint32_t sent[256], taken[256], stop_sending;

/*
 * Vector v is sent again only once it has been taken: then it must come once more, and only once.
 */
static void *sender(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0, vec = 32 + me; !__atomic_load_n(&stop_sending, __ATOMIC_SEQ_CST); i++) {
        vec = vec + SENDERS < 256 ? vec + SENDERS : 32 + me;
        if (__atomic_load_n(&taken[vec], __ATOMIC_SEQ_CST) != sent[vec])
            continue;
        __atomic_fetch_add(&sent[vec], 1, __ATOMIC_SEQ_CST);
        lapic_raise(lapic_of(&fake_vcpu[KEPT]), (uint8_t)vec, vec & 1);
        if (i % 64 == 0)
            (void)sched_yield();
    }
    return NULL;
}

static bool all_taken(void)
{
    for (unsigned vec = 32; vec < 256; vec++)
        if (taken[vec] != __atomic_load_n(&sent[vec], __ATOMIC_SEQ_CST))
            return false;
    return true;
}

static void took(int vec)
{
    assert_true(vec >= 32);
    assert_true(taken[vec] < __atomic_load_n(&sent[vec], __ATOMIC_SEQ_CST));
    __atomic_fetch_add(&taken[vec], 1, __ATOMIC_SEQ_CST);
}

/* One stay in the guest, which ends when somebody wants it to, or soon. */
static void stay(unsigned steps)
{
    for (int vec;
         steps-- && !(__atomic_load_n(&fake_vcpu[KEPT].requests, __ATOMIC_SEQ_CST) & REQ_IRQ);) {
        vec = deliver(&cpus[KEPT]);
        if (vec >= 0)
            took(vec);
        if (vec >= 0 || steps % 2)
            kept_eoi(KEPT);
    }
}

/*
 * The same with posted interrupts: nothing ends a stay early; a notification that comes outside the
 * guest is lost to the CPU.
 */
static void posted_stay(unsigned steps)
{
    struct vcpu *v = &fake_vcpu[KEPT];

    __atomic_store_n(&v->in_guest, 1, __ATOMIC_SEQ_CST);
    if (!(__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQ_IRQ))
        for (int vec; steps--;) {
            take_posted(KEPT);
            vec = deliver(&cpus[KEPT]);
            if (vec >= 0) {
                took(vec);
                kept_eoi(KEPT);
            }
        }
    __atomic_store_n(&v->in_guest, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&cpus[KEPT].notified, 0, __ATOMIC_SEQ_CST); /* the host took it */
}

static void senders(void (*stay_in)(unsigned))
{
    pthread_t thread[SENDERS];
    bool done = false;
    uint32_t r = 3;

    memset(sent, 0, sizeof sent);
    memset(taken, 0, sizeof taken);
    stop_sending = 0;
    for (unsigned i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, sender, (void *)(uintptr_t)i), 0);
    for (unsigned i = 0, idle = 0; idle < 1000; i++) {
        r = r * 1664525 + 1013904223;
        (void)enter(KEPT);
        stay_in(r >> 24 & 15);
        if (i % 5 == 0)
            (void)lapic_wakes(&fake_vcpu[KEPT]);
        if (i % 7 == 0)
            (void)apic_read(KEPT, APIC_ISR);
        if (i % 11 == 0)
            kept_tpr(KEPT, 0);
        if (!done && i > STAYS) {
            __atomic_store_n(&stop_sending, 1, __ATOMIC_SEQ_CST);
            for (unsigned t = 0; t < SENDERS; t++)
                (void)pthread_join(thread[t], NULL);
            done = true;
        }
        idle = done ? idle + 1 : 0;
    }
    assert_true(all_taken());
    assert_true(sent[200] > 10);
}

static void test_senders(void **state)
{
    (void)state;
    senders(stay);
}

static void post_to(unsigned v)
{
    lapic_of(&fake_vcpu[v])->hw.posted = (uint64_t *)(cpus[v].page + 0x800);
}

static void test_senders_post(void **state)
{
    (void)state;
    post_to(KEPT);
    senders(posted_stay);
}

/*
 * Into the guest without an exit; what comes as it leaves, or is level-triggered, by the look
 * before the next entry.
 */
static void test_posted(void **state)
{
    struct vcpu *v = &fake_vcpu[KEPT];
    const uint64_t *posted;

    (void)state;
    post_to(KEPT);
    posted = lapic_of(v)->hw.posted;
    (void)enter(KEPT);
    v->in_guest = 1;
    send(KEPT, 0x41, false);
    assert_true(cpus[KEPT].notified && posted[1] == 2 && v->requests & REQ_IRQ);
    take_posted(KEPT);
    assert_int_equal(deliver(&cpus[KEPT]), 0x41);
    kept_eoi(KEPT);
    send(KEPT, 0x51, false);
    cpus[KEPT].notified = 0;
    v->in_guest = 0;
    send(KEPT, 0x61, false);
    send(KEPT, 0x31, true);
    assert_int_equal(cpus[KEPT].notified, 0);
    assert_int_equal(posted[0] | posted[2] | posted[3], 0);
    assert_true(lapic_wakes(v));
    assert_int_equal(kept_take(KEPT), 0x61);
    assert_int_equal(posted[1], 0);
    kept_eoi(KEPT);
    assert_int_equal(kept_take(KEPT), 0x51);
    kept_eoi(KEPT);
    assert_int_equal(cpus[KEPT].exits, 0);
    assert_int_equal(kept_take(KEPT), 0x31);
    kept_eoi(KEPT);
    assert_int_equal(cpus[KEPT].exits, 1);
    send(KEPT, 0x71, false);
    /* posted, and then the CPU delivers no more */
    apic_write(KEPT, APIC_SVR, 0xff);
    assert_int_equal(kept_take(KEPT), 0x71);
    assert_int_equal(kept_take(KEPT), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_modes, start, stop),
        cmocka_unit_test_setup_teardown(test_window, start, stop),
        cmocka_unit_test_setup_teardown(test_copies, start, stop),
        cmocka_unit_test_setup_teardown(test_icr, start, stop),
        cmocka_unit_test_setup_teardown(test_level, start, stop),
        cmocka_unit_test_setup_teardown(test_init, start, stop),
        cmocka_unit_test_setup_teardown(test_extint, start, stop),
        cmocka_unit_test_setup_teardown(test_same_as_emulated, start, stop),
        cmocka_unit_test_setup_teardown(test_same_with_self_ipis, start, stop),
        cmocka_unit_test_setup_teardown(test_senders, start, stop),
        cmocka_unit_test_setup_teardown(test_senders_post, start, stop),
        cmocka_unit_test_setup_teardown(test_posted, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
