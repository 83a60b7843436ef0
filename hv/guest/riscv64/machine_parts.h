/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of hv/guest/riscv64. Offsets are within a device's range. */
#ifndef HV_GUEST_RISCV64_MACHINE_PARTS_H
#define HV_GUEST_RISCV64_MACHINE_PARTS_H

#include <hv/nospec.h>
#include <hv/rv_machine.h>

enum { PLIC_SIZE = 0x4000000, ACLINT_SIZE = 0x10000, SSWI_SIZE = 0x4000 };

uint32_t plic_read(struct rv_machine *m, uint64_t off);
void plic_write(struct rv_machine *m, uint64_t off, uint32_t value);
/* Could a machine of so many harts have that? */
bool plic_valid(const struct rvm_plic_state *p, unsigned harts);
/* The harts' lines: nobody is woken. */
void plic_restored(struct rv_machine *m);

bool aclint_read(struct rv_machine *m, uint64_t off, unsigned size, uint64_t *value);
bool aclint_write(struct rv_machine *m, uint64_t off, unsigned size, uint64_t value);
void sswi_write(struct rv_machine *m, uint64_t off, uint64_t value);
/* MTIP of hart n, from mtimecmp. */
void aclint_poll(struct rv_machine *m, unsigned n);

/* Hart n, below m->harts: also where a CPU guesses otherwise. */
static inline struct rv_hart *rvm_hart(struct rv_machine *m, uint64_t n)
{
    return m->hart[index_nospec(n, m->harts)];
}

/* Interrupts of hart n, below m->harts; wakes it. */
void rvm_raise(struct rv_machine *m, unsigned n, uint64_t bits);
/* `bytes` of RAM at pa, or NULL. */
uint8_t *rvm_ram(struct rv_machine *m, uint64_t pa, uint64_t bytes);
void rvm_end(struct rv_machine *m, enum rvm_end how, uint32_t code);

#endif
