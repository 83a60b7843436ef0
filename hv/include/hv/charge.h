/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that Trivet takes on behalf of one guest, beyond the guest's own RAM. Each kind has a
 * limit from trivet.conf, and the limits are set aside when the guest starts: a guest that uses all
 * it may use takes nothing from others, or from the shell. What is for a guest is got by vm_alloc()
 * and vm_pages(), or charged by hand where a comment says so: the lint asks for one at every other
 * call of malloc() and pmm_alloc(). In debug builds all must have come back when the guest is off.
 */
#pragma once
#include <hv/types.h>
struct vm;
enum charge_kind {
    CHARGE_OVERHEAD /* vCPUs, tables, devices, the console */,
    CHARGE_DISK /* changes of RAM disks */,
    CHARGES
};
/*
 * Bytes. used: atomic; kept: of it what lives as long as the configuration; limit: 0 while the
 * guest is off.
 */
struct charge {
    uint64_t used, kept, limit;
    bool told;
};
/* CPU 0, once: for the struct vm itself. -ENOSPC: beyond the limit. */
int must_check charge_new(struct vm *);
/*
 * CPU 0, the guest is off: takes the limits from its configuration and sets that memory aside.
 * -ENOMEM, with vm->why; -ENOSPC: beyond them.
 */
int must_check charge_begin(struct vm *);
/* CPU 0: the limit in force; of a guest that is off, what its configuration makes it. Bytes. */
uint64_t charge_limit(const struct vm *, enum charge_kind);
/* CPU 0: the guest is off again: gives back what is still set aside. */
void charge_end(struct vm *);
/* Whether a limit was reached since the start; vm->why then says which key to raise. CPU 0. */
bool charge_explain(struct vm *);
/*
 * Any CPU. 0, or -ENOSPC: the limit is reached; the first time since the start, one log line says
 * which key to raise.
 */
int must_check charge(struct vm *, enum charge_kind, uint64_t bytes);
void uncharge(struct vm *, enum charge_kind, uint64_t bytes);
/* A `pt_pay` whose payer is a struct vm: page tables are overhead of that guest. As charge(). */
int must_check charge_tables(void *vm, int64_t bytes);
/*
 * Zeroed memory of the guest's overhead. NULL: none, or beyond the limit. Free with the same size;
 * debug builds poison it then.
 */
void *vm_alloc(struct vm *, size_t);
void vm_free(struct vm *, void *, size_t);
/*
 * 2^order zeroed pages of the guest's overhead, for what hardware reads. hpa(0): none, or beyond
 * the limit.
 */
hpa_t must_check vm_pages(struct vm *, unsigned order);
void vm_pages_free(struct vm *, hpa_t, unsigned order);
/*
 * Contiguous memory for a moment, such as while a guest's kernel is unpacked; charged to nobody: up
 * to a GiB, of what is free beyond promises and PMM_RESERVE; contents undefined. NULL: there is not
 * so much. Give it back with the same length. Any CPU.
 */
void *must_check scratch_take(size_t len);
void scratch_give(void *p, size_t len); /* harmless for NULL */
