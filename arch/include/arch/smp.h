/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
#include <hv/types.h>
struct boot_info;
/*
 * Boot step, once: starts every CPU; each ends in ap_main() (hv/main.c). A CPU that does not answer
 * in 1 s is logged and left out. -ENOMEM; -ENOTSUP: the firmware starts none (ARM64).
 */
int must_check smp_init(const struct boot_info *);
_Noreturn void ap_main(void); /* each further CPU, on its own stack, interrupts off */
