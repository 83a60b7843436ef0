/* SPDX-License-Identifier: BSD-2-Clause */
/* i8042.h: a PC's keyboard controller. For drivers/ only. */
#pragma once
#include <hv/types.h>

/*
 * CPU 0, once, with events: what is typed on its keyboard goes to the console from here on. Waits
 * for the controller for 0.2 s at most. -ENODEV: the machine has none, or it does not answer.
 */
int must_check i8042_init(void);
