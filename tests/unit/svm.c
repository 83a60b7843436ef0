/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SVM's injection and interrupt shadow, above a CPU that the test plays: as the manual has it, and
 * as QEMU 7.2 does it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <hv/percpu.h>
#include <hv/x86.h>

#include "arch/host/host.h"
#include "arch/x86_64/private.h"
#include "arch/x86_64/svm.h"

#define RFLAGS_TF 0x100u
#define RFLAGS_IF 0x200u
#define RFLAGS_RF 0x10000u
#define AT 0x1000u /* where the guest is */

struct svm_caps svm_caps;
struct svm_cpu svm_cpus[MAX_CPUS];
static struct vmcb vmcb;
static struct svm_vcpu svm;
static struct vcpu v;

/*
 * What the next run of the guest does: it ends with `code`, after `steps` bytes of code, in the
 * shadow or not.
 */
static struct {
    uint64_t code;
    unsigned steps;
    bool takes, shadow;
    uint64_t cut; /* EXITINTINFO */
} plan;
static uint64_t injected, pushed; /* what VMRUN was to deliver, and RFLAGS then */
static unsigned checks, entries;

void svm_enter(struct vcpu_regs *regs, struct vmcb *b, uint64_t vmcb_pa, uint64_t host_pa)
{
    (void)vmcb_pa, (void)host_pa;
    entries++;
    injected = b->eventinj;
    pushed = regs->flags;
    if (plan.takes)
        b->v_intr &= ~(uint32_t)V_IRQ;
    regs->pc += plan.steps;
    b->interrupt_shadow = plan.shadow;
    b->exitcode = plan.code;
    b->exitintinfo = plan.cut;
}

void svm_enter_guarded(struct vcpu_regs *regs, struct vmcb *b, uint64_t vmcb_pa, uint64_t host_pa,
                       struct spec_vcpu *s)
{
    (void)s;
    svm_enter(regs, b, vmcb_pa, host_pa);
}

static bool survived; /* the machine check that an exit is about */

bool mca_in_guest(void) { return survived; }

static const char *rule; /* that the state breaks */

const char *svm_check(const struct vmcb *b, const struct svm_limits *l)
{
    (void)b, (void)l;
    checks++;
    return rule;
}

static enum exit_reason run(uint64_t code, unsigned steps, bool shadow)
{
    struct vcpu_exit e = { .insn_len = 1 };

    plan.code = code;
    plan.steps = steps;
    plan.shadow = shadow;
    svm_run(&v, &e);
    v.stats.entries++;
    assert_true(e.reason != EXIT_HALT || e.insn_len == 0);
    return e.reason;
}

static int set_up(void **state)
{
    (void)state;
    memset(&vmcb, 0, sizeof vmcb);
    svm = (struct svm_vcpu){ .vmcb = &vmcb, .generation = 1 };
    svm_cpus[0] = (struct svm_cpu){ .generation = 1 };
    v = (struct vcpu){ .arch = &svm, .regs = { .pc = AT, .flags = RFLAGS_IF } };
    plan.takes = false;
    rule = NULL;
    checks = entries = 0;
    plan.cut = 0;
    host_kicks[0] = 0;
    return 0;
}

static void irq(uint8_t vector)
{
    v.event = (struct vcpu_event){ .type = VEV_IRQ, .vector = vector };
}

/* A machine check of the host's ends the guest only if it has lost something. */
static void a_machine_check(void **state)
{
    (void)state;
    survived = true;
    assert_int_equal(run(VMEXIT_EXCP0 + X86_MC, 0, false), EXIT_NONE);
    survived = false;
    assert_int_equal(run(VMEXIT_EXCP0 + X86_MC, 0, false), EXIT_FAIL);
}

static void an_interrupt_is_taken(void **state)
{
    (void)state;
    irq(0x41);
    plan.takes = true;
    assert_int_equal(run(VMEXIT_INTR, 9, false), EXIT_IRQ);
    assert_int_equal(vmcb.v_intr_vector, 0x41);
    assert_int_equal(v.event.type, VEV_NONE);
    assert_int_equal(injected, 0);
    assert_int_equal(host_kicks[0], 0);
}

static void an_interrupt_that_was_cut_off_comes_back(void **state)
{
    (void)state;
    irq(0x41);
    run(VMEXIT_INTR, 0, false);
    assert_int_equal(v.event.type, VEV_IRQ);
    assert_int_equal(v.event.vector, 0x41);
    assert_false(vmcb.v_intr & V_IRQ);
    run(VMEXIT_INTR, 0, false);
    assert_int_equal(injected, 0);
    assert_int_equal(host_kicks[0], 0);
}

/*
 * A better one came meanwhile: the slot is its window. QEMU forgets what EVENTINJ left behind only
 * when the guest's run ends.
 */
static void beside_a_window_the_run_ends_at_once(void **state)
{
    (void)state;
    irq(0x41);
    run(VMEXIT_INTR, 0, false);
    svm_irq_window(&v, true);
    run(VMEXIT_INTR, 0, false);
    assert_int_equal(injected & 0xff, 0x41);
    assert_true(injected & EVENT_VALID);
    assert_true(svm_has_window(&vmcb) && vmcb.v_intr & V_IRQ);
    assert_int_equal(v.event.type, VEV_NONE);
    assert_int_equal(host_kicks[0], 1);
    run(VMEXIT_INTR, 5, false);
    assert_int_equal(host_kicks[0], 1);
}

static void exceptions_need_no_kick(void **state)
{
    (void)state;
    v.event = (struct vcpu_event){ .type = VEV_EXCEPTION, .vector = X86_GP, .has_error = true };
    run(VMEXIT_INTR, 9, false);
    assert_true(injected & EVENT_VALID);
    assert_int_equal(host_kicks[0], 0);
}

/* STI; HLT, and the host's interrupts come before HLT: the guest's must be taken after it. */
static void the_shadow_outlives_exits(void **state)
{
    (void)state;
    run(VMEXIT_INTR, 0, true);
    assert_false(svm_irq_ready(&v));
    svm_irq_window(&v, true);
    run(VMEXIT_INTR, 0, false); /* QEMU has lost it */
    assert_false(svm_irq_ready(&v));
    assert_int_equal(run(VMEXIT_VINTR, 0, false), EXIT_HALT);
    assert_true(v.requests & REQ_IRQ);
    assert_false(svm_has_window(&vmcb));
    assert_true(svm_irq_ready(&v)); /* no HLT: it goes on, and the interrupt comes */
}

static void the_shadow_ends_with_its_instruction(void **state)
{
    (void)state;
    run(VMEXIT_INTR, 0, true);
    run(VMEXIT_INTR, 1, false);
    assert_true(svm_irq_ready(&v));
    run(VMEXIT_INTR, 0, true);
    svm_irq_window(&v, true);
    assert_int_equal(run(VMEXIT_VINTR, 1, false), EXIT_IRQ_WINDOW);
    assert_true(svm_irq_ready(&v));
}

/* The same place later, by another way. */
static void the_shadow_is_not_remembered_for_long(void **state)
{
    (void)state;
    run(VMEXIT_INTR, 0, true);
    assert_int_equal(run(VMEXIT_HLT, 0, true), EXIT_HALT);
    svm_skip_insn(&v, 1);
    v.regs.pc = AT;
    assert_int_equal(run(VMEXIT_INTR, 0, false), EXIT_IRQ);
    assert_true(svm_irq_ready(&v));
}

/* ---- NMIs ---- */

/* In the shadow it waits for one instruction, by a trap flag that the guest never sees. */
static void an_nmi_comes_after_the_shadow(void **state)
{
    (void)state;
    v.regs.flags = 2; /* MOV SS in code that takes no interrupts */
    run(VMEXIT_INTR, 0, true);
    assert_false(svm_nmi_ready(&v));
    svm_nmi_window(&v);
    assert_true(v.regs.flags & RFLAGS_TF);
    assert_int_equal(run(VMEXIT_EXCP0 + X86_DB, 3, false), EXIT_IRQ_WINDOW);
    assert_int_equal(v.regs.flags, 2);
    assert_int_equal(v.event.type, VEV_NONE);
    assert_true(svm_nmi_ready(&v));
}

/* The instruction exits, and Trivet carries it out; HLT, for one. */
static void an_nmi_comes_after_an_exit_in_the_shadow(void **state)
{
    (void)state;
    run(VMEXIT_INTR, 0, true);
    svm_nmi_window(&v);
    run(VMEXIT_HLT, 0, true);
    svm_skip_insn(&v, 1);
    assert_int_equal(v.regs.flags, RFLAGS_IF);
    assert_int_equal(v.event.type, VEV_NONE);
    assert_true(svm_nmi_ready(&v));
}

/* It faults: the guest must not find our trap flag on its stack, and the NMI comes next. */
static void an_nmi_comes_after_a_fault_in_the_shadow(void **state)
{
    (void)state;
    run(VMEXIT_INTR, 0, true);
    svm_nmi_window(&v);
    v.event = (struct vcpu_event){ .type = VEV_EXCEPTION, .vector = X86_GP, .has_error = true };
    run(VMEXIT_INTR, 9, false);
    assert_false(pushed & RFLAGS_TF);
    assert_int_equal(host_kicks[0], 1);
    assert_true(svm_nmi_ready(&v));
}

/* A guest that steps has its own trap; it is not taken away. */
static void a_guest_that_steps_keeps_its_trap(void **state)
{
    (void)state;
    v.regs.flags = 2 | RFLAGS_TF;
    run(VMEXIT_INTR, 0, true);
    svm_nmi_window(&v);
    assert_int_equal(run(VMEXIT_EXCP0 + X86_DB, 3, false), EXIT_NONE);
    assert_int_equal(v.event.vector, X86_DB);
    assert_true(v.regs.flags & RFLAGS_TF);
}

/* ---- what the guest's flags and instruction pointer become ---- */

static void faults_are_pushed_with_rf(void **state)
{
    static const struct {
        uint8_t type, vector;
        bool rf;
    } rows[] = { { VEV_EXCEPTION, X86_GP, true },
                 { VEV_EXCEPTION, X86_UD, true },
                 { VEV_EXCEPTION, X86_DB, false },
                 { VEV_EXCEPTION, X86_DF, false },
                 { VEV_NMI, X86_NMI, false } };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        set_up(state);
        v.event = (struct vcpu_event){ .type = rows[i].type, .vector = rows[i].vector };
        run(VMEXIT_INTR, 0, false);
        assert_int_equal((pushed & RFLAGS_RF) != 0, rows[i].rf);
    }
    set_up(state);
    v.regs.flags |= RFLAGS_RF;
    svm_skip_insn(&v, 2);
    assert_int_equal(v.regs.flags, RFLAGS_IF);
}

static void the_pc_wraps_in_32_bit_code(void **state)
{
    (void)state;
    v.regs.pc = 0xfffffffe;
    svm_skip_insn(&v, 3);
    assert_int_equal(v.regs.pc, 1);
    vmcb.efer = 1 << 10;
    vmcb.cs.attrib = 1 << 9;
    v.regs.pc = 0xfffffffe;
    svm_skip_insn(&v, 3);
    assert_int_equal(v.regs.pc, 0x100000001);
}

/* A vCPU that has never run has no past. */
static void the_first_run_has_no_shadow(void **state)
{
    (void)state;
    v.regs.pc = 0;
    run(VMEXIT_INTR, 0, false);
    assert_true(svm_irq_ready(&v));
}

/* By the manual and by QEMU, which says that it was an exception. */
static void an_interrupt_cut_off_in_its_delivery_comes_again(void **state)
{
    static const uint64_t type[] = { EVENT_INTR, EVENT_EXCEPTION };

    for (unsigned i = 0; i < 2; i++) {
        set_up(state);
        irq(0xec);
        plan.cut = EVENT_VALID | type[i] << 8 | 0xec;
        run(VMEXIT_NPF, 0, false);
        assert_int_equal(v.event.type, VEV_IRQ);
        assert_int_equal(v.event.vector, 0xec);
        assert_false(vmcb.v_intr & V_IRQ);
    }
}

/* Asked before the entry only when Trivet changed something; told as the rule says it. */
static void a_state_that_vmrun_refuses_is_named(void **state)
{
    struct vcpu_exit e = { 0 };

    (void)state;
    run(VMEXIT_INTR, 1, false);
    run(VMEXIT_INTR, 1, false);
    assert_int_equal(checks, 0);
    svm_dirty(&svm, CLEAN_CRX);
    rule = "CR4: a reserved bit is 1";
    svm_run(&v, &e);
    assert_int_equal(entries, 2);
    assert_int_equal(e.reason, EXIT_FAIL);
    assert_int_equal((uint32_t)e.fail.hw_code, VMEXIT_INVALID);
    assert_ptr_equal(e.fail.what, rule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_machine_check, set_up),
        cmocka_unit_test_setup(an_interrupt_is_taken, set_up),
        cmocka_unit_test_setup(an_interrupt_that_was_cut_off_comes_back, set_up),
        cmocka_unit_test_setup(an_interrupt_cut_off_in_its_delivery_comes_again, set_up),
        cmocka_unit_test_setup(beside_a_window_the_run_ends_at_once, set_up),
        cmocka_unit_test_setup(exceptions_need_no_kick, set_up),
        cmocka_unit_test_setup(the_shadow_outlives_exits, set_up),
        cmocka_unit_test_setup(the_shadow_ends_with_its_instruction, set_up),
        cmocka_unit_test_setup(the_shadow_is_not_remembered_for_long, set_up),
        cmocka_unit_test_setup(the_first_run_has_no_shadow, set_up),
        cmocka_unit_test_setup(a_state_that_vmrun_refuses_is_named, set_up),
        cmocka_unit_test_setup(an_nmi_comes_after_the_shadow, set_up),
        cmocka_unit_test_setup(an_nmi_comes_after_an_exit_in_the_shadow, set_up),
        cmocka_unit_test_setup(an_nmi_comes_after_a_fault_in_the_shadow, set_up),
        cmocka_unit_test_setup(a_guest_that_steps_keeps_its_trap, set_up),
        cmocka_unit_test_setup(faults_are_pushed_with_rf, set_up),
        cmocka_unit_test_setup(the_pc_wraps_in_32_bit_code, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
