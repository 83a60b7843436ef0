/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Assertions: what a header asks of those who call, checked at the top of the function that was
 * promised it. One that fails is a bug of Trivet's own and panics. So nothing that a guest, a
 * device, the serial line or the stick can bring about is ever asserted: that is checked, and
 * answered with an error.
 *
 * Those without `debug_` stay in release builds. The others are for what runs at each exit, each
 * buffer of a ring and each event, where an instruction counts. (DEBUG_LOCKS: 1 in debug builds.)
 */
#pragma once
#include <hv/lock.h>
#include <hv/panic.h>
#include <hv/percpu.h>

#define debug_assert(c) hv_assert(!DEBUG_LOCKS || (c))

/* This is the boot CPU: the life of VMs, the shell and the configuration are its own. */
#define assert_cpu0() hv_assert(this_cpu()->id == 0)

/* This CPU holds the lock; in release builds, which keep no note of that: somebody does. */
#define assert_held(lock) lock_assert_held(lock)
#define debug_assert_held(lock) (DEBUG_LOCKS ? lock_assert_held(lock) : (void)0)
/* This CPU holds no lock. Debug builds; costs nothing in others. */
#define debug_assert_no_locks() (DEBUG_LOCKS ? lock_assert_none() : (void)0)

/*
 * Of vCPUs and VMs, for those who include <hv/vcpu.h> or <hv/vm.h>. On: this CPU runs v. Own: it
 * does, or none does, so that v is this CPU's to change. Parked: no vCPU of the VM runs, or will
 * before CPU 0 lets it.
 */
#define assert_on_cpu(v) hv_assert(vcpu_is_here(v))
#define assert_own_cpu(v) hv_assert(vcpu_is_own(v))
#define assert_parked(vm) hv_assert(vm_is_parked(vm))
#define debug_assert_on_cpu(v) debug_assert(vcpu_is_here(v))
#define debug_assert_own_cpu(v) debug_assert(vcpu_is_own(v))

/* a: a power of two */
#define assert_aligned(v, a) hv_assert(((v) & ((uint64_t)(a)-1)) == 0)
