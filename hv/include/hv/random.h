/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random numbers. One pool gathers what nobody can predict: the firmware's generator
 * (EFI_RNG_PROTOCOL, TRNG by SMCCC), the CPU's (RDRAND, RNDR), and when devices interrupt. What is
 * guessed easily, such as clocks, serial numbers and what is on the stick, never counts. Until 256
 * bits have been counted, nothing is given out: a guest must not be able to work out a neighbour's
 * keys.
 *
 * Streams give the numbers. Each is a ChaCha20 generator (RFC 8439) of its own whose key is
 * replaced after each block ("fast key erasure"): neither another stream nor a later look at this
 * one tells what it gave. One per guest, and one for Trivet itself.
 */
#pragma once
#include <hv/lock.h>
struct boot_info;

enum { RANDOM_BITS = 256 }; /* that must have been counted */

struct random_stream {
    struct spinlock lock;
    uint8_t key[32];
    uint8_t out[32]; /* the last block's second half; what was given is zero */
    uint32_t left;   /* unused bytes at the end of out */
    uint32_t blocks; /* since it was keyed */
    bool keyed;      /* false: the next use takes a key from the pool */
};

/*
 * Boot CPU, before everything else, before the log: takes the firmware's bytes (and wipes them) and
 * asks the CPU's generator.
 */
void random_init(struct boot_info *);
/*
 * Boot step, once the firmware's tables have been read: asks the firmware's generator too, and logs
 * how well the pool is seeded.
 */
int must_check random_start(void);
/* True once enough has been gathered; never false again. Any context. */
bool random_ready(void);
/*
 * Adds to the pool; bits: how many of them nobody can know, 0 for what does no harm but may not
 * count. Any CPU, any context but NMI.
 */
void random_add(const void *data, size_t bytes, uint32_t bits);
/*
 * A device has interrupted: counts a bit for each four whose time is not that of the ones before.
 * Once the pool is ready, the times of 64 are added to it together. Interrupts off, any CPU.
 */
void random_interrupt(uint64_t cycles);

/* Before anybody uses it: not keyed yet. Its lock is at LOCK_RANDOM. */
void random_stream_init(struct random_stream *);
/*
 * The stream's next bytes. Any CPU, any context but NMI. 0, or -EAGAIN: !random_ready(), and the
 * buffer is as it was.
 */
int must_check random_fill(struct random_stream *, void *buf, size_t bytes);
/* Forgets everything: the next use keys it anew. For a guest that ends or begins again. */
void random_forget(struct random_stream *);
extern struct random_stream random_own; /* Trivet's */

/*
 * One ChaCha20 block: 32 bytes of key, counter, 12 bytes of nonce -> 64 bytes. Exposed for its
 * test.
 */
void chacha20_block(const uint8_t key[32], uint32_t counter, const uint8_t nonce[12],
                    uint8_t out[64]);
