/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.h: a store, and a load of something else after it that must not be done first. One CPU
 * stores A and then reads B, another stores B and then reads A, and at least one of the two must
 * see what the other has stored. No CPU promises that by itself: x86 does loads before earlier
 * stores (SDM vol 3 §9.2.3.4), and on ARM64 only a load-acquire stays behind a store-release (Arm
 * ARM B2.3), while many of these loads are plain. QEMU 7.2 on x86 hosts swaps even STLR and LDAR,
 * in one try of five. So a full barrier stands between, and the lint rule `seq-cst-stores` knows
 * two kinds of stores: released, and released with this behind it. An atomic read-modify-write
 * needs no barrier before sequentially consistent loads.
 */
#pragma once

/* Any CPU, any context. Between the store and the load. */
static inline void store_before_load(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
