/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * microcode.c: finds the update for a CPU in a file of Intel's or AMD's. The file lies on a stick,
 * and is read as if somebody hostile had written it: the CPU checks the signature of an update, but
 * nobody checks the headers for us.
 */
#include "microcode.h"

/* Within the file: the callers check. */
static uint32_t word(const uint8_t *p) { return (uint32_t)get_le(p, 4); }

/* Revisions are signed: those of development are below 0. */
static bool is_newer(uint32_t a, uint32_t b) { return (int32_t)a > (int32_t)b; }

const char *ucode_words(enum ucode_answer a)
{
    static const char *const words[] = {
        [UCODE_FOUND] = "has an update",
        [UCODE_NOT_NEWER] = "has nothing newer for this CPU",
        [UCODE_OTHER_CPUS] = "has nothing for this CPU",
        [UCODE_BROKEN] = "is damaged: a length or a checksum in it is wrong",
        [UCODE_NO_FORMAT] = "is not a microcode file of this CPU's maker",
    };

    return words[a];
}

/* ---- Intel: tables 9-7 and 9-8 ---- */

enum {
    I_VERSION = 0,
    I_REVISION = 4,
    I_DATE = 8, /* mmddyyyy, BCD */
    I_SIGNATURE = 12,
    I_CHECKSUM = 16,
    I_LOADER = 20,
    I_FLAGS = 24,
    I_DATA_SIZE = 28,
    I_TOTAL_SIZE = 32,
    I_HEADER = 48,
    I_DATA_DEFAULT = 2000,
    I_UNIT = 1024, /* total sizes are multiples of it */
    /* the extended signature table: a head, then entries */
    X_COUNT = 0,
    X_HEAD = 20,
    X_SIGNATURE = 0,
    X_FLAGS = 4,
    X_CHECKSUM = 8,
    X_ENTRY = 12,
};

struct intel {
    const uint8_t *at;
    uint32_t data, total; /* bytes; data without the header */
};

static uint32_t sum(const uint8_t *p, uint32_t len)
{
    uint32_t s = 0;

    for (uint32_t i = 0; i + 4 <= len; i += 4)
        s += word(p + i);
    return s;
}

/* False: what follows cannot be found either. */
static bool intel_sizes(const uint8_t *at, uint64_t left, struct intel *u)
{
    if (left < I_HEADER || word(at + I_VERSION) != 1 || word(at + I_LOADER) != 1)
        return false;
    u->at = at;
    u->data = word(at + I_DATA_SIZE);
    u->total = word(at + I_TOTAL_SIZE);
    if (!u->data) {
        u->data = I_DATA_DEFAULT;
        u->total = I_DATA_DEFAULT + I_HEADER;
    }
    return u->total % I_UNIT == 0 && u->data % 4 == 0 && u->total <= left && u->total >= I_HEADER &&
           u->data <= u->total - I_HEADER;
}

static uint32_t more_signatures(const struct intel *u)
{
    uint32_t room = u->total - I_HEADER - u->data;

    if (room < X_HEAD)
        return 0;
    return (uint32_t)min_u64(word(u->at + I_HEADER + u->data + X_COUNT), (room - X_HEAD) / X_ENTRY);
}

static const uint8_t *signature_at(const struct intel *u, uint32_t i)
{
    return u->at + I_HEADER + u->data + X_HEAD + i * X_ENTRY;
}

/*
 * Header and data add up to 0; so does the extended table; and so would the update with each of
 * its entries in the header's place.
 */
static bool intel_sums(const struct intel *u)
{
    uint32_t n = more_signatures(u), head = sum(u->at, I_HEADER + u->data),
             own = word(u->at + I_SIGNATURE) + word(u->at + I_FLAGS) + word(u->at + I_CHECKSUM);

    if (head != 0)
        return false;
    if (u->total - I_HEADER - u->data < X_HEAD)
        return true;
    if (n != word(u->at + I_HEADER + u->data + X_COUNT) ||
        sum(u->at + I_HEADER + u->data, X_HEAD + n * X_ENTRY) != 0)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (sum(signature_at(u, i), X_ENTRY) != own)
            return false;
    return true;
}

/* Flags 0: for every platform. */
static bool ucode_fits(const struct ucode_cpu *c, uint32_t signature, uint32_t flags)
{
    return signature == c->signature && (!flags || (flags & c->platform));
}

static bool intel_fits(const struct intel *u, const struct ucode_cpu *c)
{
    if (ucode_fits(c, word(u->at + I_SIGNATURE), word(u->at + I_FLAGS)))
        return true;
    for (uint32_t i = 0, n = more_signatures(u); i < n; i++)
        if (ucode_fits(c, word(signature_at(u, i) + X_SIGNATURE),
                       word(signature_at(u, i) + X_FLAGS)))
            return true;
    return false;
}

static void intel_take(const struct intel *u, struct ucode_update *out)
{
    uint32_t date = word(u->at + I_DATE);

    *out = (struct ucode_update){ .data = u->at + I_HEADER,
                                  .len = u->data,
                                  .revision = word(u->at + I_REVISION),
                                  .date = date << 16 | date >> 16 };
}

enum ucode_answer ucode_intel(const uint8_t *file, uint64_t len, const struct ucode_cpu *c,
                              struct ucode_update *out)
{
    enum ucode_answer answer = UCODE_OTHER_CPUS;
    uint32_t best = c->revision;
    struct intel u;

    for (uint64_t at = 0; at < len; at += u.total) {
        if (!intel_sizes(file + at, len - at, &u))
            return answer == UCODE_FOUND ? answer : at ? UCODE_BROKEN : UCODE_NO_FORMAT;
        if (!intel_sums(&u))
            return answer == UCODE_FOUND ? answer : UCODE_BROKEN;
        if (!intel_fits(&u, c))
            continue;
        if (answer != UCODE_FOUND)
            answer = UCODE_NOT_NEWER;
        if (!is_newer(word(u.at + I_REVISION), best))
            continue;
        best = word(u.at + I_REVISION);
        intel_take(&u, out);
        answer = UCODE_FOUND;
    }
    return answer;
}

/* ---- AMD ---- */

enum {
    A_MAGIC = 0x00414d44, /* "DMA" and 0 */
    A_EQUIV = 0,
    A_PATCH = 1, /* kinds of a section: kind, length, bytes */
    A_SECTION = 8,
    /* an entry of the equivalence table; the last has signature 0 */
    E_SIGNATURE = 0,
    E_EQUIV = 12,
    E_ENTRY = 16,
    /* a patch's header */
    P_DATE = 0, /* mmddyyyy, BCD */
    P_REVISION = 4,
    P_NORTH = 16, /* identifiers of chipsets that it is for; 0: any */
    P_SOUTH = 20,
    P_EQUIV = 24,
    P_HEADER = 64,
};

/* Which number the patches give this CPU; 0: none. */
static uint32_t equivalent(const uint8_t *table, uint32_t len, uint32_t signature)
{
    for (uint32_t at = 0; at + E_ENTRY <= len && word(table + at + E_SIGNATURE); at += E_ENTRY)
        if (word(table + at + E_SIGNATURE) == signature)
            return (uint32_t)get_le(table + at + E_EQUIV, 2);
    return 0;
}

struct amd {
    const struct ucode_cpu *cpu;
    struct ucode_update *out;
    enum ucode_answer answer;
    uint32_t equiv, best;
};

static void amd_patch(struct amd *a, const uint8_t *p, uint32_t len)
{
    uint32_t date;

    if (len < P_HEADER || !a->equiv || get_le(p + P_EQUIV, 2) != a->equiv ||
        word(p + P_NORTH) != 0 || word(p + P_SOUTH) != 0)
        return;
    if (a->answer != UCODE_FOUND)
        a->answer = UCODE_NOT_NEWER;
    if (word(p + P_REVISION) <= a->best)
        return;
    date = word(p + P_DATE);
    a->best = word(p + P_REVISION);
    a->answer = UCODE_FOUND;
    *a->out = (struct ucode_update){
        .data = p, .len = len, .revision = a->best, .date = date << 16 | date >> 16
    };
}

/* One section, or the head of the next container; 0: the file is cut off. */
static uint64_t amd_section(struct amd *a, const uint8_t *p, uint64_t left)
{
    uint32_t kind, len;

    if (left >= 4 && word(p) == A_MAGIC)
        return 4;
    if (left < A_SECTION)
        return 0;
    kind = word(p);
    len = word(p + 4);
    if (len > left - A_SECTION || kind > A_PATCH)
        return 0;
    if (kind == A_EQUIV)
        a->equiv = equivalent(p + A_SECTION, len, a->cpu->signature);
    else
        amd_patch(a, p + A_SECTION, len);
    return A_SECTION + (uint64_t)len;
}

enum ucode_answer ucode_amd(const uint8_t *file, uint64_t len, const struct ucode_cpu *c,
                            struct ucode_update *out)
{
    struct amd a = { .cpu = c, .out = out, .answer = UCODE_OTHER_CPUS, .best = c->revision };

    if (len < 4 || word(file) != A_MAGIC)
        return UCODE_NO_FORMAT;
    for (uint64_t at = 0, step; at < len; at += step) {
        step = amd_section(&a, file + at, len - at);
        if (!step)
            return a.answer == UCODE_FOUND ? a.answer : UCODE_BROKEN;
    }
    return a.answer;
}
