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

/* Private to hv/vm/save.c but for what is marked: read by anybody on CPU 0. */
struct vm_save {
    struct event ev;
    struct saved *to;
    bool under_way; /* read */
    bool resume;    /* it ran: it goes on afterwards */
    int result;     /* read: of the last one: 0, or -Exxx and `why` */
    char why[96];   /* read */
    uint64_t began;
    uint64_t looked; /* read: bytes of memory so far */
    uint32_t list, instance;
    uint64_t page;
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
    uint64_t pages;       /* of memory that were kept */
    uint64_t saved_ns;    /* time_ns() when it was done */
    uint64_t guest_ns;    /* the guest's time */
};

/*
 * RUNNING or PAUSED: pauses it, saves it, and lets it go on if it ran. Goes on in events while
 * vm->save.under_way; then vm->save.result. What was saved before is dropped when this is done.
 * -EBUSY: in another state, or being saved. -ENOMEM.
 */
int must_check vm_save(struct vm *);
/*
 * OFF or CRASHED: as vm_start(), but it goes on where it was saved; what was saved stays. -ENOENT:
 * nothing is. When it fails later, the state is CRASHED and vm->why says why.
 */
int must_check vm_restore(struct vm *);
/* 0; -ENOENT: nothing is saved; -EBUSY: it is being restored. */
int must_check vm_drop(struct vm *);
bool vm_saved(const struct vm *, struct saved_info *); /* NULL is fine */
