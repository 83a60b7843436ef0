/* SPDX-License-Identifier: BSD-2-Clause */
/* SoftFloat's rounding mode and flags: each thread's. */
#include <stdint.h>

/* The names are libc-shim/softfloat/platform.h's. */
uint_fast8_t *softfloat_rounding_of(void);
uint_fast8_t *softfloat_flags_of(void);
uint_fast8_t *softfloat_tininess_of(void);

static _Thread_local uint_fast8_t rounding, flags, tininess;

uint_fast8_t *softfloat_rounding_of(void) { return &rounding; }
uint_fast8_t *softfloat_flags_of(void) { return &flags; }
uint_fast8_t *softfloat_tininess_of(void) { return &tininess; }
