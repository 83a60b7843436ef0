/* Fast-key-erasure generator: each block's first half becomes the next key, so that old output cannot be computed from the state. */
#include <arch/cpu.h>
#include <hv/lock.h>
#include <hv/random.h>
#include <hv/time.h>
#include <string.h>

#define RESEED_BLOCKS 4096
static struct {
    struct spinlock lock;
    uint8_t key[32];
    uint8_t out[32];
    unsigned left;            /* unused bytes at the end of out */
    uint64_t blocks;
} rng = { .lock = SPINLOCK_INIT(LOCK_LOG) };

static uint32_t rotl(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static void quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b; *d = rotl(*d ^ *a, 16);
    *c += *d; *b = rotl(*b ^ *c, 12);
    *a += *b; *d = rotl(*d ^ *a, 8);
    *c += *d; *b = rotl(*b ^ *c, 7);
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* RFC 8439 §2.3 */
void chacha20_block(const uint8_t key[32], uint32_t counter, const uint8_t nonce[12], uint8_t out[64])
{
    uint32_t s[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }, x[16];

    for (unsigned i = 0; i < 8; i++)
        s[4 + i] = le32(key + 4 * i);
    s[12] = counter;
    for (unsigned i = 0; i < 3; i++)
        s[13 + i] = le32(nonce + 4 * i);
    memcpy(x, s, sizeof x);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 4; i++)
            quarter(&x[i], &x[4 + i], &x[8 + i], &x[12 + i]);
        for (unsigned i = 0; i < 4; i++)
            quarter(&x[i], &x[4 + ((i + 1) & 3)], &x[8 + ((i + 2) & 3)], &x[12 + ((i + 3) & 3)]);
    }
    for (unsigned i = 0; i < 64; i++)
        out[i] = (uint8_t)((x[i / 4] + s[i / 4]) >> (8 * (i % 4)));
}

static void reseed(void)
{
    for (unsigned i = 0; i < sizeof rng.key; i += 8) {
        uint64_t r = arch_random() ^ (time_cycles() << (i & 31)), old;

        memcpy(&old, rng.key + i, 8);
        r ^= old;
        memcpy(rng.key + i, &r, 8);
    }
}

static void next_block(void)
{
    static const uint8_t nonce[12] = "trivet";
    uint8_t block[64];

    if (rng.blocks++ % RESEED_BLOCKS == 0)
        reseed();
    chacha20_block(rng.key, 0, nonce, block);
    memcpy(rng.key, block, 32);
    memcpy(rng.out, block + 32, 32);
    memset(block, 0, sizeof block);
    rng.left = sizeof rng.out;
}

void hv_random_fill(void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len) {
        size_t n;

        spin_lock(&rng.lock);
        if (rng.left == 0)
            next_block();
        n = len < rng.left ? len : rng.left;
        memcpy(p, rng.out + sizeof rng.out - rng.left, n);
        memset(rng.out + sizeof rng.out - rng.left, 0, n);
        rng.left -= (unsigned)n;
        spin_unlock(&rng.lock);
        p += n;
        len -= n;
    }
}

uint64_t hv_random(void)
{
    uint64_t v;

    hv_random_fill(&v, sizeof v);
    return v;
}
