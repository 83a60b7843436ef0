/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SoftFloat's rounding mode and flags in the hypervisor: each CPU's, since nothing interrupts an
 * operation there.
 */
#include <hv/percpu.h>
#include <stdint.h>

/* The names are libc-shim/softfloat/platform.h's. */
uint_fast8_t *softfloat_rounding_of(void);
uint_fast8_t *softfloat_flags_of(void);
uint_fast8_t *softfloat_tininess_of(void);

static struct own_line softfloat_state {
    uint_fast8_t rounding, flags, tininess;
} softfloat_states[MAX_CPUS];

static struct softfloat_state *softfloat_here(void) { return &softfloat_states[this_cpu()->id]; }

uint_fast8_t *softfloat_rounding_of(void) { return &softfloat_here()->rounding; }
uint_fast8_t *softfloat_flags_of(void) { return &softfloat_here()->flags; }
uint_fast8_t *softfloat_tininess_of(void) { return &softfloat_here()->tininess; }
