/* SPDX-License-Identifier: BSD-2-Clause */
/* What the gateway needs of Trivet, lwIP's port included. */
#pragma once
#include <hv/types.h>
/*
 * 32 random bits. Before there is randomness (<hv/random.h>) they are made of the time: better than
 * none for numbers that only must differ.
 */
uint32_t nat_random(void);
