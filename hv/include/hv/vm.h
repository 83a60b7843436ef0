/* SPDX-License-Identifier: BSD-2-Clause */
/* Life of a VM. All calls on CPU 0's loop (mgmt's CPU) unless stated. */
#pragma once
#include <hv/charge.h>
#include <hv/config.h>
#include <hv/event.h>
#include <hv/gmem.h>
#include <hv/io.h>
#include <hv/lock.h>
#include <hv/random.h>
#include <hv/save.h>
#include <hv/screen.h>
#include <hv/share.h>
#include <hv/types.h>
struct console;
struct vcpu;
struct vpci;
struct pvpanic;
enum vm_state { VM_OFF, VM_STARTING, VM_RUNNING, VM_PAUSED, VM_STOPPING, VM_CRASHED };
extern const char *const vm_state_names[];
struct uefi;
/* What becomes of the variables of a guest with UEFI firmware when it stops: for people. */
enum vm_variables { VARIABLES_NOT_ASKED, VARIABLES_KEPT, VARIABLES_FORGOTTEN };
struct vm {
    uint32_t id;
    const struct guest_config *config;
    struct guest_config *own; /* the same, for change.c */
    const struct vcpu_ops *ops;
    const struct guest_ops *guest_ops;
    uint32_t state; /* enum vm_state; written on CPU 0 only */
    uint32_t nvcpus;
    struct vcpu *vcpu[MAX_VCPUS];
    struct gmem gmem;
    struct io_space_map *io; /* private to io.c */
    void *arch;              /* backend's (NPT root, ASID ...) */
    void *guest;             /* guest ISA's machine (struct x86_machine ...) */
    /* interrupt controllers' VM-wide state (struct x86_intc ...) */
    void *vintc;
    struct vpci *pci;                /* NULL: no PCI bus */
    struct pvpanic *pvpanic;         /* NULL: there is none */
    struct passthrough *passthrough; /* functions of the machine, private to hv/pci */
    /*
     * Atomic; NULL, or called each time that a vCPU has left the guest, on its CPU, no lock held,
     * before its exit is looked at
     */
    void (*after_run)(struct vm *);
    struct vio *vio; /* virtio devices, private to hv/vio */
    /* firmware's flash and fw_cfg, private to hv/guest/uefi; NULL: the guest has no firmware */
    struct uefi *uefi;
    uint8_t variables; /* enum vm_variables; CPU 0 */
    /* lives as long as the configuration: output survives a stop */
    struct console *console;
    /* enum vm_pending bits, atomic: what the lifecycle event shall do */
    uint32_t pending;
    uint8_t panic_told;     /* atomic; enum pvpanic_event: since the machine was made */
    struct event lifecycle; /* on CPU 0 */
    struct spinlock lock;
    /* guest monotonic time = time_ns() + offset (stands still while paused) */
    int64_t time_offset_ns;
    /* of the counter that the guest reads, from start to stop; the engine's to say */
    uint64_t clock_hz;
    uint64_t scrub_ns; /* of this start, so far */
    /* since the machine is up; of this start: its memory is zeroed after that of earlier ones */
    uint64_t start_number;
    bool scrubbed;
    uint64_t asked_ns; /* when this start or reset began */
    uint64_t started_ns;
    /* of warnings and information; of debug lines */
    struct log_bucket {
        uint64_t tokens, last_ns, dropped;
    } log_bucket[2];
    char why[200]; /* why it stopped, crashed, did not start or is left out: see vm_why() */
    int exit_code; /* of debug-exit; -1: none */
    /* VM_STOPPING: the machine is gone, what it had of memory is being freed */
    bool emptying;
    /* the same: every CPU leaves its view, or has left it; nothing may touch its RAM */
    bool left;
    bool not_started;   /* OFF, or on the way there: its machine could not be made */
    bool left_out;      /* it cannot be started at all: it is for another machine, or wrong */
    uint32_t end_state; /* enum vm_state, after that */
    bool end_restarts;  /* and then it starts again */
    /* VM_STARTING: the machine is there, guest_ops.build_more goes on */
    bool building;
    uint32_t resets, quick_resets; /* quick: in a row, each soon after the start */
    uint32_t ends;                 /* in a row, each soon after the start: see policy.c */
    uint64_t by_hand_ns;           /* when somebody asked it to end or to reset; 0: nobody did */
    uint64_t not_before;           /* STARTING: time_ns() before which it does not go on */
    uint64_t again_ns;             /* it starts again then, by `again`; 0: it does not */
    struct event again;
    bool held;                 /* PAUSED for good, by its policy */
    bool waits;                /* OFF: its turn to start by itself has not come */
    struct guest_config *next; /* in place of *config from the next start on; NULL: that stays */
    bool files_wait;           /* newer ones than it has started with are there */
    bool removed;              /* trivet.conf names it no more: it goes when it is off */
    struct vm *next_gone;      /* private to vm.c */
    uint64_t files;            /* generation of the files that it started with: <hv/files.h> */
    char unsaved[100];         /* keys that were set on the console since the boot; "": none */
    char last_reset[200];      /* why it was reset last; "" it was not */
    uint64_t paused_ns;        /* time_ns() at which it was paused; 0: it is not */
    /* time_ns() at which all its clocks stopped, and went on, for the last time */
    uint64_t stopped_ns, resumed_ns;
    /* what this guest gets of random numbers: by virtio, TRNG, seeds */
    struct random_stream random;
    struct share share;
    struct charge charge[CHARGES]; /* private to charge.c; read by anybody */
    bool limited;                  /* the limits count: set from start to stop */
    struct saved *saved;           /* held in host memory, private to save.c; NULL: nothing is */
    struct vm_save save;
    struct vm_restore restore;
    struct vm_shot shot;
};
enum vm_pending { VMP_RESET = 1, VMP_OFF = 2, VMP_KILL = 4, VMP_PAUSE = 8, VMP_EXITED = 16 };

static inline bool vm_is_up(const struct vm *vm)
{
    return vm->state != VM_OFF && vm->state != VM_CRASHED;
}
struct vm *vm_find(const char *name); /* NULL: no such guest */
struct vm *vm_by_index(uint32_t i);   /* i < vm_count() */
uint32_t vm_count(void);              /* guests defined, in whatever state */
/*
 * CPU 0. State OFF; keeps the pointer, whose target vm_start() may write. One that has gone and was
 * called so comes back, with its console: it keeps its own and copies this. -EEXIST: the name is in
 * use; -ENOSPC: there are MAX_VMS, those that have gone counted; -ENOMEM.
 */
int must_check vm_define(struct guest_config *, struct vm **);
/*
 * CPU 0: trivet.conf names it no more. It goes as soon as it is off and nothing is saved of it, and
 * does not start any more; or names it again. A VM that has gone stays in memory, for those that
 * have a pointer to it.
 */
void vm_remove(struct vm *);
void vm_remove_not(struct vm *);
bool vm_is_gone(const struct vm *); /* it has gone, and vm_find() finds it no more */
/* For this machine: it has an engine. Else it is left out, with the reason in why. CPU 0; OFF */
bool vm_is_for_this_machine(struct vm *);
/* The oldest generation of files that a VM, or what is saved of one, uses. CPU 0 */
uint64_t vm_oldest_files(void);
/* why as people read it, such as "did not start: ..."; buf, "" where there is nothing to say */
const char *vm_why(const struct vm *, char *buf, size_t len);
/* OFF: it stays so, and vm_start() says why */
void vm_leave_out(struct vm *, const char *why_fmt, ...) printf_like(2, 3);
/*
 * CPU 0. OFF/CRASHED -> STARTING; goes on in events. -EBUSY: in another state; -ENOTSUP: it was
 * left out; -ENOSPC: beyond its limit of memory; -ENOMEM, -ENOEXEC (its kernel's file is none);
 * with vm->why set.
 */
int must_check vm_start(struct vm *);
/*
 * CPU 0. What `*next` says holds from the next vm_start() on; `key` is noted in vm->unsaved. The VM
 * owns a copy. -ENOMEM.
 */
int must_check vm_change(struct vm *, const struct guest_config *next, const char *key);
/*
 * CPU 0. The same for what trivet.conf says now: it takes the place of what was set before. files:
 * its files have changed. 0: nothing has; 1: from its next start on; -ENOMEM. One that is off has
 * it at once, and if it was left out it may be no longer.
 */
int must_check vm_reconfigure(struct vm *, const struct guest_config *, bool files);
/* CPU 0: what the next start will be by */
const struct guest_config *vm_next_config(const struct vm *);
/* RUNNING -> PAUSED soon; for who asks from outside: vm_pause_to_stay(). -EBUSY: it does not run */
int must_check vm_pause(struct vm *);
/* What it does next somebody asked for: policies do not count. Before the request. */
void vm_by_hand(struct vm *);
/* OFF, CRASHED: it does not start by itself any more; true: it would have */
bool vm_stay_down(struct vm *);
/* PAUSED -> RUNNING; its clock stood still. -EBUSY: it is not paused, held, or being saved */
int must_check vm_resume(struct vm *);
/* ACPI power button; -ENOTSUP when the guest has not enabled it */
int must_check vm_power_button(struct vm *);
/*
 * Any CPU, also from exit handlers of the VM itself; take effect soon, from CPU 0's loop, and are
 * then logged once.
 */
/* the answer to every guest fault that cannot be reflected: state CRASHED */
void vm_kill(struct vm *, const char *why_fmt, ...) printf_like(2, 3);
/* the guest asked (0xcf9, 0x64, PSCI ...) or the user */
void vm_request_reset(struct vm *, const char *why);
void vm_request_off(struct vm *, const char *why); /* S5, PSCI SYSTEM_OFF, or forced stop */
void vm_exited(struct vm *, int code);             /* debug-exit port */
/* Guest time in ns since the VM started, stands still while paused. Any CPU. */
uint64_t vm_time_ns(const struct vm *);
/*
 * The same as a count of vm->clock_hz, for engines that make up the guest's counter; and back,
 * rounded up: the time at which the count is reached. Any CPU.
 */
uint64_t vm_counter(const struct vm *);
uint64_t vm_counter_to_ns(const struct vm *, uint64_t count);
/* -> time_ns() scale, for event_at */
uint64_t vm_time_to_host(const struct vm *, uint64_t guest_ns);
/* No vCPU runs: each is parked, or has not been let run since it was made. CPU 0, any context. */
bool vm_is_parked(const struct vm *);
