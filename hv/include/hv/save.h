/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest saved into host memory, within one boot: one for each guest, which outlives its machine.
 * All calls on CPU 0's loop; what takes long goes on in events.
 */
#pragma once
#include <hv/event.h>
#include <hv/types.h>
struct vm;
struct saved;
struct block;

/*
 * A guest that runs is paused to begin its log (gmem_log_start()), runs while its RAM is copied,
 * and is paused again for the rest: what it has written to since, and its state. While it runs,
 * what it has written to is copied again, in a bounded number of rounds, each of which must have
 * half as much to do as the one before: so a guest that writes as fast as is copied is soon paused,
 * and what is held is at most three times its RAM. Without a log, or when that takes too much
 * memory, everything is copied once, in the second pause.
 */
enum save_phase { SAVE_BEGIN, SAVE_LIVE, SAVE_REST };
/* Private to hv/vm/save.c but for what is marked: read by anybody on CPU 0. */
struct vm_save {
    struct event ev;
    struct saved *to;
    bool under_way; /* read */
    bool resume;    /* it ran: it goes on afterwards */
    bool stay;      /* unless somebody has asked for it to be paused */
    bool logged;    /* RAM was copied live: of it only what the log tells is left */
    uint8_t phase;  /* read: enum save_phase */
    uint8_t round;  /* of SAVE_LIVE */
    int result;     /* read: of the last one: 0, or -Exxx and `why` */
    char why[96];   /* read */
    uint64_t began;
    uint64_t looked; /* read: bytes of memory so far */
    uint32_t list, instance;
    uint64_t page;
    uint64_t copied, copied_before; /* pages: in this round, in the one before */
};
enum restore_phase { RESTORE_NO, RESTORE_BUILD, RESTORE_SCRUB, RESTORE_PAGES };
struct vm_restore {
    struct block *block; /* the next page is page `at` of it */
    uint32_t at;
    uint32_t phase; /* enum restore_phase */
};
struct saved_info {
    uint64_t bytes;       /* of host memory */
    uint64_t state_bytes; /* of it the state of vCPUs and devices */
    uint64_t pages;       /* copies of pages of memory, sometimes several of one */
    uint64_t live_pages;  /* of these made while the guest ran */
    uint64_t stood_ns;    /* how long it stood still for it, in all */
    uint64_t saved_ns;    /* time_ns() when it was done */
    uint64_t guest_ns;    /* the guest's time */
    uint64_t files;       /* generation of its files: <hv/files.h> */
};

/*
 * RUNNING or PAUSED: saves it, mostly while it runs, and lets it go on if it ran. Goes on in events
 * while vm->save.under_way; then vm->save.result. What was saved before is dropped when this is
 * done. CPU 0. -EBUSY: in another state, or being saved. -ENOTSUP: a riscv64
 * guest; -EPERM: one with `passthrough`. -ENOMEM.
 */
int must_check vm_save(struct vm *);
/*
 * RUNNING -> PAUSED soon, or PAUSED as long as it is saved; a save does not let it go on. -EBUSY:
 * in another state. CPU 0.
 */
int must_check vm_pause_to_stay(struct vm *);
/*
 * OFF or CRASHED: as vm_start(), but it goes on where it was saved; what was saved stays. -ENOENT:
 * nothing is; -EBUSY, -ENOEXEC, -ENOMEM, -ENOSPC, -ENOTSUP: as vm_start(). When it fails later, the
 * state is CRASHED and vm->why says why.
 */
int must_check vm_restore(struct vm *);
/* 0; -ENOENT: nothing is saved; -EBUSY: it is being restored. */
int must_check vm_drop(struct vm *);
bool vm_saved(const struct vm *, struct saved_info *); /* NULL is fine */
