/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * random.c: the pool (BLAKE2s over all that was gathered) and the streams that it keys (ChaCha20
 * with fast key erasure).
 */
#include <arch/cpu.h>
#include "boot/boot_info.h"
#include <hv/assert.h>
#include <hv/blake2s.h>
#include <hv/log.h>
#include <hv/random.h>
#include <hv/time.h>
#include <string.h>

enum { KEY_LEN = 32, RESEED_BLOCKS = 4096, FROM_FIRMWARE = 8, IRQS_PER_BIT = 4 };
/* interrupts whose times wait to be added together: a digest costs as much as an exit */
enum { IRQS_TO_SEED = 4, IRQS_LATER = 64 };

/* Where the counted bits came from. */
enum source { BOOT_SERVICES, GENERATOR, INTERRUPTS, OTHER };

static struct {
    struct spinlock lock;
    uint8_t state[BLAKE2S_LEN]; /* a digest of everything that was added */
    uint32_t bits;              /* counted, at most RANDOM_BITS */
    bool ready;                 /* bits was RANDOM_BITS once; atomic */
} pool = { .lock = SPINLOCK_INIT(LOCK_LOG) };

static struct {
    /* cycles: time of the last interrupt, and differences of first and second order */
    uint64_t last, delta, delta2;
    uint32_t count; /* those that count for IRQS_PER_BIT-ths of a bit */
    /* times that wait to be added, one or several turned and folded into a word */
    uint64_t gathered[IRQS_TO_SEED];
    uint32_t n;
} irqs;
static struct spinlock irqs_lock = SPINLOCK_INIT(LOCK_RANDOM);

/* the CPU's or the firmware's, in words; NULL: none has answered */
static const char *generator;
static uint32_t boot_bytes; /* from the boot program */
struct random_stream random_own = { .lock = SPINLOCK_INIT(LOCK_RANDOM) };

static uint32_t rotl(uint32_t v, unsigned n) { return v << n | v >> (32 - n); }

static void quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b;
    *d = rotl(*d ^ *a, 16);
    *c += *d;
    *b = rotl(*b ^ *c, 12);
    *a += *b;
    *d = rotl(*d ^ *a, 8);
    *c += *d;
    *b = rotl(*b ^ *c, 7);
}

static uint32_t random_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* RFC 8439 §2.3 */
void chacha20_block(const uint8_t key[32], uint32_t counter, const uint8_t nonce[12],
                    uint8_t out[64])
{
    uint32_t s[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }, x[16];

    for (unsigned i = 0; i < 8; i++)
        s[4 + i] = random_le32(key + 4 * i);
    s[12] = counter;
    for (unsigned i = 0; i < 3; i++)
        s[13 + i] = random_le32(nonce + 4 * i);
    memcpy(x, s, sizeof x);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 4; i++)
            quarter(&x[i], &x[4 + i], &x[8 + i], &x[12 + i]);
        for (unsigned i = 0; i < 4; i++)
            quarter(&x[i], &x[4 + ((i + 1) & 3)], &x[8 + ((i + 2) & 3)], &x[12 + ((i + 3) & 3)]);
    }
    for (unsigned i = 0; i < 64; i++)
        out[i] = (uint8_t)((x[i / 4] + s[i / 4]) >> (8 * (i % 4)));
    wipe(s, sizeof s);
    wipe(x, sizeof x);
}

/* ---- the pool ---- */

/*
 * digest = BLAKE2s(what || state || data); the two uses of a state, to go on and to key a stream,
 * differ in `what`.
 */
static void digest(uint8_t out[BLAKE2S_LEN], char what, const void *data, size_t bytes)
{
    struct blake2s s;

    assert_held(&pool.lock);
    blake2s_begin(&s);
    blake2s_add(&s, &what, 1);
    blake2s_add(&s, pool.state, sizeof pool.state);
    blake2s_add(&s, data, bytes);
    blake2s_end(&s, out);
}

void random_add(const void *data, size_t bytes, uint32_t bits)
{
    hv_assert(data || bytes == 0);
    spin_lock(&pool.lock);
    digest(pool.state, 'a', data, bytes);
    pool.bits = (uint32_t)min_u64(pool.bits + min_u64(bits, 8 * bytes), RANDOM_BITS);
    if (pool.bits == RANDOM_BITS)
        __atomic_store_n(&pool.ready, true, __ATOMIC_RELEASE);
    spin_unlock(&pool.lock);
}

bool random_ready(void) { return __atomic_load_n(&pool.ready, __ATOMIC_ACQUIRE); }

/* A key for a stream, which no other will get, and the pool cannot tell afterwards. */
static void new_key(uint8_t key[KEY_LEN])
{
    uint64_t now = time_cycles();

    spin_lock(&pool.lock);
    digest(key, 'k', &now, sizeof now);
    digest(pool.state, 'n', &now, sizeof now);
    spin_unlock(&pool.lock);
}

/*
 * Asks the CPU's or the firmware's generator. A word that is the same as the one before is not
 * counted: a broken one repeats itself.
 */
static void ask_generator(void)
{
    uint64_t word[FROM_FIRMWARE] = { 0 };
    uint32_t n = arch_entropy(word, FROM_FIRMWARE, &generator), bits = 0;

    for (uint32_t i = 1; i < n; i++)
        bits += word[i] != word[i - 1] && word[i] != 0 && word[i] != UINT64_MAX ? 64 : 0;
    random_add(word, sizeof word, bits);
    wipe(word, sizeof word);
}

void random_init(struct boot_info *bi)
{
    assert_cpu0();
    boot_bytes = (uint32_t)min_u64(bi->random_bytes, sizeof bi->random);
    random_add(bi->random, sizeof bi->random, 8 * boot_bytes);
    wipe(bi->random, sizeof bi->random);
    bi->random_bytes = 0;
    ask_generator();
}

int random_start(void)
{
    assert_cpu0();
    if (!generator)
        ask_generator();
    if (random_ready())
        log_info("random numbers: seeded by %s%s%s",
                 boot_bytes ? "the firmware (EFI_RNG_PROTOCOL)" : "",
                 boot_bytes && generator ? " and " : "", generator ? generator : "");
    else
        log_warn("random numbers: not seeded: neither the CPU nor the firmware has a generator; "
                 "guests get none "
                 "until enough interrupt times are collected");
    return 0;
}

/* ---- when devices interrupt ---- */

static uint64_t apart(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

/*
 * Does its time follow from those before? Regular ones have differences that hardly change (in
 * cycles: noise of a dozen is no surprise).
 */
static bool surprising(uint64_t cycles)
{
    enum { NOISE = 64 };
    uint64_t delta = cycles - irqs.last, delta2 = apart(delta, irqs.delta);
    bool yes = delta > NOISE && delta2 > NOISE && apart(delta2, irqs.delta2) > NOISE;

    debug_assert_held(&irqs_lock);
    irqs.last = cycles;
    irqs.delta = delta;
    irqs.delta2 = delta2;
    return yes;
}

/* By an odd number, so that no two of a word's times lie alike. */
static void fold_time(uint64_t *word, uint64_t cycles)
{
    *word = (*word << 19 | *word >> 45) ^ cycles;
}

void random_interrupt(uint64_t cycles)
{
    uint64_t data[ARRAY_SIZE(irqs.gathered)];
    uint32_t n = 0, bits = 0;
    bool before;

    spin_lock(&irqs_lock);
    irqs.count += surprising(cycles);
    fold_time(&irqs.gathered[irqs.n++ % ARRAY_SIZE(irqs.gathered)], cycles);
    if (irqs.n >= (random_ready() ? IRQS_LATER : IRQS_TO_SEED)) {
        n = irqs.n;
        bits = irqs.count / IRQS_PER_BIT;
        irqs.count %= IRQS_PER_BIT;
        irqs.n = 0;
        memcpy(data, irqs.gathered, sizeof data);
    }
    spin_unlock(&irqs_lock);
    if (n == 0)
        return;
    before = random_ready();
    random_add(data, sizeof data, bits);
    if (!before && random_ready())
        log_info(
            "random numbers: seeded from interrupt times; guests that start from now on get them");
}

/* ---- streams ---- */

static void next_block(struct random_stream *s)
{
    static const uint8_t nonce[12] = "trivet";
    uint8_t block[64];

    assert_held(&s->lock);
    hv_assert(s->keyed);
    chacha20_block(s->key, 0, nonce, block);
    memcpy(s->key, block, 32);
    memcpy(s->out, block + 32, 32);
    wipe(block, sizeof block);
    s->left = sizeof s->out;
    s->blocks++;
}

/* The key that is there stays part of the next one: what keyed a stream never weakens it. */
static void rekey(struct random_stream *s)
{
    uint8_t key[KEY_LEN];

    assert_held(&s->lock);
    ask_generator();
    new_key(key);
    for (unsigned i = 0; i < KEY_LEN; i++)
        s->key[i] ^= key[i];
    wipe(key, sizeof key);
    s->keyed = true;
    s->left = 0;
    s->blocks = 0;
}

int random_fill(struct random_stream *s, void *buf, size_t bytes)
{
    uint8_t *p = buf;

    hv_assert(buf || bytes == 0);
    if (!random_ready())
        return -EAGAIN;
    spin_lock(&s->lock);
    while (bytes) {
        size_t n = min_u64(bytes, s->left);

        if (n == 0) {
            if (!s->keyed || s->blocks == RESEED_BLOCKS)
                rekey(s);
            next_block(s);
            continue;
        }
        memcpy(p, s->out + sizeof s->out - s->left, n);
        wipe(s->out + sizeof s->out - s->left, n);
        s->left -= (uint32_t)n;
        p += n;
        bytes -= n;
    }
    spin_unlock(&s->lock);
    return 0;
}

void random_stream_init(struct random_stream *s)
{
    *s = (struct random_stream){ .lock = SPINLOCK_INIT(LOCK_RANDOM) };
}

void random_forget(struct random_stream *s)
{
    spin_lock(&s->lock);
    wipe(s->key, sizeof s->key);
    wipe(s->out, sizeof s->out);
    s->left = s->blocks = 0;
    s->keyed = false;
    spin_unlock(&s->lock);
}
