/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What workloads share. Each is a program of one file with main(), whose result is its exit status.
 * ROUNDS scales all of them.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifndef ROUNDS
#define ROUNDS 1
#endif

int main(void);
static inline uint32_t next_random(uint32_t *s) { return *s = *s * 1664525u + 1013904223u; }
/* The result's digest. */
static inline int digest(uint64_t v) { return (int)((v ^ v >> 8 ^ v >> 16 ^ v >> 32) & 0xff); }
