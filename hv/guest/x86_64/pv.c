/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The KVM paravirtual interface (Linux Documentation/virt/kvm/x86: cpuid.rst, msr.rst,
 * hypercalls.rst): kvmclock, steal time, end-of-interrupt by memory, IPIs by hypercall, kick of a
 * halted vCPU.
 */
#include "x86.h"
#include "platform.h"
#include "x86_devices.h"
#include <hv/assert.h>
#include <hv/nospec.h>
#include <hv/time.h>
#include <string.h>

enum {
    FEATURE_NOP_IO_DELAY = 1,
    FEATURE_CLOCKSOURCE2 = 3,
    FEATURE_STEAL_TIME = 5,
    FEATURE_PV_EOI = 6,
    FEATURE_PV_UNHALT = 7,
    FEATURE_PV_TLB_FLUSH = 9,
    FEATURE_PV_SEND_IPI = 11,
    FEATURE_PV_SCHED_YIELD = 13,
    FEATURE_CLOCKSOURCE_STABLE = 24
};
enum { HC_VAPIC_POLL_IRQ = 1, HC_KICK_CPU = 5, HC_SEND_IPI = 10, HC_SCHED_YIELD = 11 };
/* hypercalls.rst: what a call returns, negated */
enum { KVM_ENOSYS = 1000, KVM_EPERM = 1, KVM_EINVAL = 22 };
enum { CLOCK_TSC_STABLE = 1, CLOCK_GUEST_STOPPED = 2 };

/* ABI between guest and hypervisor, all three from msr.rst. */
struct pvclock_vcpu_time_info {
    uint32_t version, pad0;
    uint64_t tsc_timestamp, system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags, pad[2];
};
struct pvclock_wall_clock {
    uint32_t version, sec, nsec;
};
struct kvm_steal_time {
    uint64_t steal;
    uint32_t version, flags;
    uint8_t preempted, pad8[3];
    uint32_t pad[11];
};
static_assert(sizeof(struct pvclock_vcpu_time_info) == 32 &&
                  sizeof(struct pvclock_wall_clock) == 12 && sizeof(struct kvm_steal_time) == 64,
              "ABI");
static_assert(offsetof(struct kvm_steal_time, version) == 8, "Linux virt/kvm/x86/msr.rst");
static_assert(offsetof(struct kvm_steal_time, flags) == 12, "Linux virt/kvm/x86/msr.rst");
static_assert(offsetof(struct kvm_steal_time, preempted) == 16, "Linux virt/kvm/x86/msr.rst");
static_assert(offsetof(struct pvclock_vcpu_time_info, tsc_timestamp) == 8,
              "Linux virt/kvm/x86/msr.rst");
static_assert(offsetof(struct pvclock_vcpu_time_info, system_time) == 16,
              "Linux virt/kvm/x86/msr.rst");
static_assert(offsetof(struct pvclock_vcpu_time_info, tsc_to_system_mul) == 24,
              "Linux virt/kvm/x86/msr.rst");
static_assert(offsetof(struct pvclock_vcpu_time_info, tsc_shift) == 28,
              "Linux virt/kvm/x86/msr.rst");
static_assert(offsetof(struct pvclock_vcpu_time_info, flags) == 29, "Linux virt/kvm/x86/msr.rst");

uint32_t x86_pv_features(void)
{
    return 1u << FEATURE_NOP_IO_DELAY | 1u << FEATURE_CLOCKSOURCE2 | 1u << FEATURE_STEAL_TIME |
           1u << FEATURE_PV_EOI | 1u << FEATURE_PV_UNHALT | 1u << FEATURE_PV_TLB_FLUSH |
           1u << FEATURE_PV_SEND_IPI | 1u << FEATURE_PV_SCHED_YIELD |
           1u << FEATURE_CLOCKSOURCE_STABLE;
}

void x86_pv_scale(uint64_t hz, uint32_t *mul, int8_t *shift)
{
    uint64_t base = 1000000000;
    int s = 0;

    hv_assert(hz > 0);
    /*
     * ns = cycles * 10^9 / hz; bring the quotient into [1/2, 1) so that a 32-bit fraction holds it
     * best.
     */
    while (hz <= base) {
        hz <<= 1;
        s++;
    }
    while (hz > 2 * base) {
        hz >>= 1;
        s--;
    }
    *mul = (uint32_t)((base << 32) / hz);
    *shift = (int8_t)s;
}

void x86_pv_origin(struct vm *vm, struct x86_machine *m)
{
    assert_cpu0();
    assert_parked(vm);
    m->clock_ns = vm_time_ns(vm);
    m->clock_tsc = time_cycles_at(vm_time_to_host(vm, m->clock_ns)) + m->tsc_offset;
}

void x86_pv_resumed(struct vm *vm)
{
    x86_pv_origin(vm, vm->guest);
    for (unsigned i = 0; i < vm->nvcpus; i++) {
        __atomic_fetch_or(&x86_of(vm->vcpu[i])->clock_requests,
                          X86_CLOCK_UPDATE | X86_CLOCK_STOPPED, __ATOMIC_RELEASE);
        vcpu_request(vm->vcpu[i], REQ_GUEST);
    }
}

/*
 * All vCPUs count from the same origin, so that their clocks agree to the nanosecond, as
 * CLOCK_TSC_STABLE promises. The version is odd while the record changes, so that another vCPU's
 * reader tries again.
 */
static void update_clock(struct vcpu *v, uint8_t flags)
{
    uint64_t msr = x86_of(v)->s.kvm_system_time;
    struct pvclock_vcpu_time_info *p, t = { 0 };

    debug_assert_own_cpu(v);
    if ((msr & 1) == 0)
        return;
    p = gmem_ptr(v->vm, gpa(msr & ~1ull), sizeof *p, PROT_RW);
    if (p == NULL)
        return;
    x86_pv_scale(time_cycles_hz(), &t.tsc_to_system_mul, &t.tsc_shift);
    t.flags = flags | CLOCK_TSC_STABLE;
    t.version = (p->version | 1) + 1;
    __atomic_store_n(&p->version, t.version - 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    t.tsc_timestamp = x86_machine_of(v)->clock_tsc + x86_of(v)->s.tsc_adjust;
    t.system_time = x86_machine_of(v)->clock_ns;
    memcpy((char *)p + sizeof p->version, (const char *)&t + sizeof t.version,
           sizeof t - sizeof t.version);
    __atomic_store_n(&p->version, t.version, __ATOMIC_RELEASE);
}

static int set_wall_clock(struct vcpu *v, uint64_t addr)
{
    uint64_t ns = x86_machine_of(v)->wall_boot_ns;
    struct pvclock_wall_clock w = { 2, (uint32_t)(ns / 1000000000), (uint32_t)(ns % 1000000000) };

    x86_of(v)->s.kvm_wall_clock = addr;
    if (gmem_write(v->vm, gpa(addr), &w, sizeof w) != 0)
        vm_log(v->vm, LOG_WARN, "wall clock asked for at %#llx, which is not RAM",
               (unsigned long long)addr);
    return 0;
}

static void update_steal(struct vcpu *v)
{
    uint64_t msr = x86_of(v)->s.kvm_steal_time;
    struct kvm_steal_time *p;
    uint32_t version;

    debug_assert_own_cpu(v);
    if ((msr & 1) == 0)
        return;
    p = gmem_ptr(v->vm, gpa(msr & ~63ull), sizeof *p, PROT_RW);
    if (p == NULL)
        return;
    version = (p->version | 1) + 1;
    __atomic_store_n(&p->version, version - 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    p->steal = v->sched.steal_ns;
    __atomic_store_n(&p->version, version, __ATOMIC_RELEASE);
}

/*
 * msr.rst, MSR_KVM_STEAL_TIME: bits of `preempted`. Others need not wait for one that does not run,
 * nor interrupt it to flush its TLB.
 */
enum { VCPU_PREEMPTED = 1, VCPU_FLUSH_TLB = 2 };

void x86_pv_off_cpu(struct vcpu *v, bool off)
{
    uint64_t msr = x86_of(v)->s.kvm_steal_time;
    struct kvm_steal_time *p =
        msr & 1 ? gmem_ptr(v->vm, gpa(msr & ~63ull), sizeof *p, PROT_RW) : NULL;

    debug_assert_own_cpu(v);
    if (p == NULL)
        return;
    if (__atomic_exchange_n(&p->preempted, off ? VCPU_PREEMPTED : 0, __ATOMIC_SEQ_CST) &
        VCPU_FLUSH_TLB)
        v->ops->vcpu_tlb_flush(v);
}

static int set_system_time(struct vcpu *v, uint64_t val)
{
    x86_of(v)->s.kvm_system_time = val;
    update_clock(v, 0);
    return 0;
}

static int set_steal_time(struct vcpu *v, uint64_t val)
{
    if ((val & 0x3e) != 0)
        return -EINVAL;
    x86_of(v)->s.kvm_steal_time = val;
    update_steal(v);
    return 0;
}

int x86_pv_get(struct vcpu *v, uint32_t msr, uint64_t *val)
{
    const struct x86_state *s = &x86_of(v)->s;

    if (!x86_machine_of(v)->pv)
        return -EINVAL;
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_WALL_CLOCK_NEW: *val = s->kvm_wall_clock; return 0;
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_SYSTEM_TIME_NEW: *val = s->kvm_system_time; return 0;
    case MSR_KVM_STEAL_TIME: *val = s->kvm_steal_time; return 0;
    case MSR_KVM_PV_EOI_EN: *val = lapic_get_pv_eoi(v); return 0;
    default: return -EINVAL;
    }
}

int x86_pv_set(struct vcpu *v, uint32_t msr, uint64_t val)
{
    if (!x86_machine_of(v)->pv)
        return -EINVAL;
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_WALL_CLOCK_NEW: return set_wall_clock(v, val);
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_SYSTEM_TIME_NEW: return set_system_time(v, val);
    case MSR_KVM_STEAL_TIME: return set_steal_time(v, val);
    case MSR_KVM_PV_EOI_EN: return lapic_set_pv_eoi(v, val);
    default: return -EINVAL;
    }
}

static uint64_t kick_cpu(struct vcpu *v, uint64_t apic_id)
{
    if (apic_id >= v->vm->nvcpus)
        return (uint64_t)-KVM_EINVAL;
    apic_id = index_nospec(apic_id, v->vm->nvcpus);
    __atomic_fetch_or(&x86_of(v->vm->vcpu[apic_id])->clock_requests, X86_KICKED, __ATOMIC_RELEASE);
    vcpu_request(v->vm->vcpu[apic_id], REQ_GUEST);
    return 0;
}

static uint64_t yield_to(struct vcpu *v, uint64_t apic_id)
{
    if (apic_id < v->vm->nvcpus)
        sched_yield_to(v, v->vm->vcpu[index_nospec(apic_id, v->vm->nvcpus)]);
    vcpu_request(v, REQ_YIELD);
    return 0;
}

static uint64_t send_ipi(struct vcpu *v, const uint64_t arg[4])
{
    int64_t n = lapic_pv_ipi(v, arg[0], arg[1], arg[2], arg[3]);

    return n < 0 ? (uint64_t)-KVM_EINVAL : (uint64_t)n;
}

uint64_t x86_hypercall(struct vcpu *v, uint64_t nr, const uint64_t arg[4], unsigned cpl)
{
    debug_assert_own_cpu(v);
    if (!x86_machine_of(v)->pv)
        return (uint64_t)-KVM_ENOSYS;
    if (cpl != 0)
        return (uint64_t)-KVM_EPERM;
    switch (nr) {
    case HC_VAPIC_POLL_IRQ: return 0;
    case HC_KICK_CPU: return kick_cpu(v, arg[1]);
    case HC_SEND_IPI: return send_ipi(v, arg);
    case HC_SCHED_YIELD: return yield_to(v, arg[0]);
    default: return (uint64_t)-KVM_ENOSYS;
    }
}

bool x86_pv_kicked(struct vcpu *v)
{
    return (__atomic_fetch_and(&x86_of(v)->clock_requests, ~(uint32_t)X86_KICKED,
                               __ATOMIC_ACQUIRE) &
            X86_KICKED) != 0;
}

void x86_pv_tick(struct vcpu *v)
{
    struct x86_vcpu *x = x86_of(v);

    debug_assert_own_cpu(v);
    if ((x->s.kvm_steal_time & 1) == 0 || x->steal_told == v->sched.steal_ns)
        return;
    x->steal_told = v->sched.steal_ns;
    update_steal(v);
}

/*
 * REQ_GUEST: what others asked of this vCPU. A kick ends a HLT even with interrupts off; one that
 * comes early ends the next HLT.
 */
void x86_pv_request(struct vcpu *v)
{
    uint32_t todo = __atomic_fetch_and(&x86_of(v)->clock_requests, X86_KICKED, __ATOMIC_ACQUIRE);

    debug_assert_own_cpu(v);
    if (v->mp == MP_HALTED && x86_pv_kicked(v))
        v->mp = MP_RUNNABLE;
    if ((todo & X86_CLOCK_UPDATE) != 0)
        update_clock(v, (todo & X86_CLOCK_STOPPED) != 0 ? CLOCK_GUEST_STOPPED : 0);
    update_steal(v);
}
