/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Types and helpers that every module uses. Portable; no dependency on anything else of Trivet's.
 */
#pragma once
#include <errno.h>
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Typed addresses, so that the compiler refuses a mix-up. */
/* guest physical: what a guest and its devices address (IOVA == GPA) */
typedef struct {
    uint64_t v;
} gpa_t;
typedef struct {
    uint64_t v;
} hpa_t; /* host physical: what RAM and the MMUs address */

static inline gpa_t gpa(uint64_t v) { return (gpa_t){ v }; }
static inline hpa_t hpa(uint64_t v) { return (hpa_t){ v }; }

/* A piece of memory that the hypervisor can reach. */
struct iov {
    void *base;
    uint32_t len;
};

/*
 * Every call that can fail returns 0 or -Exxx (or a value >= 0 where its header says so) and must
 * be checked.
 */
#define must_check __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))
/*
 * Before a struct's name, or a variable: what one CPU writes all the time shares no line of the
 * caches with what others read. 64 bytes on all CPUs that we know.
 */
#define CACHE_LINE 64
#define own_line __attribute__((aligned(CACHE_LINE)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((uintptr_t)(p)-offsetof(type, member)))

#define KIB (1024ull)
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)
#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ull

/* a: power of two */
static inline uint64_t align_up(uint64_t v, uint64_t a) { return (v + a - 1) & ~(a - 1); }
static inline uint64_t align_down(uint64_t v, uint64_t a) { return v & ~(a - 1); }
static inline uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }
/* Zeroes that the compiler must write, although nobody reads them again: for keys. */
static inline void wipe(void *p, size_t bytes)
{
    __builtin_memset(p, 0, bytes);
    __asm__ volatile("" : : "r"(p) : "memory");
}
/* The little-endian number of `bytes` bytes at p, at most 8; p need not be aligned. */
static inline uint64_t get_le(const void *p, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes && i < 8; i++)
        v |= (uint64_t)((const uint8_t *)p)[i] << (8 * i);
    return v;
}
/* The other way: `bytes` bytes of v, the lowest first. */
static inline void put_le(void *p, unsigned bytes, uint64_t v)
{
    for (unsigned i = 0; i < bytes && i < 8; i++)
        ((uint8_t *)p)[i] = (uint8_t)(v >> (8 * i));
}
/* The value of a hexadecimal digit in either case; -1: it is none. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
/* True when [base, base+len) lies within [lo, lo+size); no overflow for any input. */
static inline bool range_within(uint64_t base, uint64_t len, uint64_t lo, uint64_t size)
{
    return base >= lo && len <= size && base - lo <= size - len;
}

enum isa { ISA_X86_64, ISA_AARCH64, ISA_RISCV64, ISA_COUNT };
#define MAX_CPUS 1024 /* host CPUs */
#define MAX_VCPUS 512 /* per VM; an ISA or an interrupt controller may have fewer */
#define MAX_VMS 256
