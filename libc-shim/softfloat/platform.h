/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What SoftFloat asks of a platform. Its rounding mode and flags are one thread's: the functions
 * say whose, since a hypervisor has no thread-local storage: state.c there,
 * tests/dbt/softfloat.c in the hosted program.
 */
#ifndef SOFTFLOAT_PLATFORM_H
#define SOFTFLOAT_PLATFORM_H

#define LITTLEENDIAN 1
#define INLINE_LEVEL 5
#define SOFTFLOAT_FAST_INT64 1
#define SOFTFLOAT_FAST_DIV32TO16 1
#define SOFTFLOAT_FAST_DIV64TO32 1
#define SOFTFLOAT_BUILTIN_CLZ 1
#define SOFTFLOAT_INTRINSIC_INT128 1
#define INLINE inline
#define THREAD_LOCAL

#include <stdint.h>

uint_fast8_t *softfloat_rounding_of(void);
uint_fast8_t *softfloat_flags_of(void);
uint_fast8_t *softfloat_tininess_of(void);
/* softfloat.h declares these three as variables: so they are functions, whose value is one. */
#define softfloat_roundingMode (*softfloat_rounding_of())
#define softfloat_exceptionFlags (*softfloat_flags_of())
#define softfloat_detectTininess (*softfloat_tininess_of())

#endif
