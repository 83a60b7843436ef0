/* Random numbers: ChaCha20 (RFC 8439) seeded from the CPU's generator and counters, with its key replaced after each block. Any CPU, any context but NMI. */
#pragma once
#include <hv/types.h>
uint64_t hv_random(void);
void hv_random_fill(void *, size_t);    /* bytes */
/* One ChaCha20 block: 32 bytes of key, counter, 12 bytes of nonce -> 64 bytes. Exposed for its test. */
void chacha20_block(const uint8_t key[32], uint32_t counter, const uint8_t nonce[12], uint8_t out[64]);
