/* SPDX-License-Identifier: BSD-2-Clause */
/* backends.c: the engines that run guests on this ISA, in order of preference. */
#include <arch/cpu.h>

#include <stddef.h>

#include "el2.h"

const struct vcpu_ops *const arch_vcpu_backends[] = { &el2_ops, NULL };
