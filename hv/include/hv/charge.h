/*
 * Memory that Trivet takes on behalf of one guest, beyond the guest's own RAM. Each kind has a limit from trivet.conf, and the
 * limits are set aside when the guest starts: a guest that uses all it may use takes nothing from others, or from the shell.
 */
#pragma once
#include <hv/types.h>
struct vm;
enum charge_kind { CHARGE_OVERHEAD /* vCPUs, tables, devices */, CHARGE_DISK /* changes of RAM disks */, CHARGES };
struct charge { uint64_t used, limit; bool told; };       /* bytes; used: atomic */
/* CPU 0, the guest is off: takes the limits from its configuration and sets that memory aside. -ENOMEM, with vm->why. */
int must_check charge_begin(struct vm *);
/* CPU 0: the guest is off again: gives back what is still set aside. */
void charge_end(struct vm *);
/* Any CPU. 0, or -ENOSPC: the limit is reached; the first time since the start, one log line says which key to raise. */
int must_check charge(struct vm *, enum charge_kind, uint64_t bytes);
void uncharge(struct vm *, enum charge_kind, uint64_t bytes);
/* Zeroed memory of the guest's overhead. NULL: none, or beyond the limit. Free with the same size; debug builds poison it then. */
void *vm_alloc(struct vm *, size_t);
void vm_free(struct vm *, void *, size_t);
