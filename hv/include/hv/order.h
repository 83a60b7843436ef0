/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.h: a store, and a load after it that must not come before it. One CPU stores A and looks at
 * B, another stores B and looks at A, and one of the two must see the other. No store of the memory
 * model promises that for any load that follows, so a full barrier stands between. Nor is a
 * sequentially consistent pair (STLR, LDAR) enough where Trivet is emulated: QEMU 7.2 swaps it on
 * x86 hosts, in one try of five. So `lint/seq-cst-stores` knows only two kinds: a store that is
 * released, and one that is released and followed by this. A read-modify-write before
 * sequentially consistent loads needs nothing.
 */
#pragma once

static inline void store_before_load(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
