/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the virtual PCI bus and the virtio devices stand on, for tests and fuzzers: guest RAM in two
 * pieces, trapped ranges, interrupts, a console, a file. Included once.
 */
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arch/host/host.h"
#include <hv/blk.h>
#include <hv/console.h>
#include <hv/files.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/sched.h>
#include <hv/pci.h>
#include <hv/time.h>
#include <hv/vintc.h>
#include <hv/virtio.h>
#include <hv/vm.h>

/*
 * Guest RAM 0..1 MiB: two halves that do not touch in the host, so that a buffer across HALF is two
 * pieces. A test may have less.
 */
#ifndef HALF
#define HALF 0x80000ull
#endif
#define RAM_END (2 * HALF)
static uint8_t *half[2];
/* A fuzzer may want to know what the device was given. */
static void (*ram_granted)(void *host, uint64_t len);

static void *ram_run(gpa_t a, uint64_t *len)
{
    if (a.v >= RAM_END)
        return NULL;
    *len = min_u64(*len, HALF - a.v % HALF);
    return half[a.v / HALF] + a.v % HALF;
}

static void *granted(void *host, uint64_t len)
{
    if (host && ram_granted)
        ram_granted(host, len);
    return host;
}

void *gmem_run(struct vm *vm, gpa_t a, uint64_t *len, unsigned prot)
{
    void *p = ram_run(a, len);

    (void)vm;
    (void)prot;
    return granted(p, *len);
}

void *gmem_ptr(struct vm *vm, gpa_t a, uint64_t len, unsigned prot)
{
    uint64_t run = len;
    void *p = ram_run(a, &run);

    (void)vm;
    (void)prot;
    return granted(run == len ? p : NULL, len);
}

int gmem_phys(struct vm *vm, const void *host, uint64_t *len, hpa_t *at)
{
    (void)vm;
    (void)len;
    *at = hpa((uint64_t)host);
    return 0;
}

/* What the guest itself does to its memory is its own business, whatever a fuzzer has poisoned. */
#define BY_GUEST __attribute__((no_sanitize("address", "coverage"), noinline))
/* What a fuzzer need not see the inside of */
#define FAKE __attribute__((no_sanitize("coverage")))

BY_GUEST static int peek(uint64_t a, void *dst, uint64_t len)
{
    if (a >= RAM_END || len > RAM_END - a)
        return -EFAULT;
    if (len == 2 && a % 2 == 0) {
        uint16_t v =
            __atomic_load_n((const uint16_t *)(half[a / HALF] + a % HALF), __ATOMIC_ACQUIRE);

        memcpy(dst, &v, len);
        return 0;
    }
    for (uint64_t i = 0; i < len; i++)
        ((uint8_t *)dst)[i] = ((const volatile uint8_t *)half[(a + i) / HALF])[(a + i) % HALF];
    return 0;
}

int gmem_read(struct vm *vm, gpa_t a, void *dst, uint64_t len)
{
    (void)vm;
    return peek(a.v, dst, len);
}

/* An aligned field of 16 bits is written as drivers write what they publish: after all else. */
BY_GUEST static void poke(uint64_t a, const void *src, uint64_t len)
{
    uint16_t v;

    if (len == 2 && a % 2 == 0 && a < RAM_END) {
        memcpy(&v, src, len);
        __atomic_store_n((uint16_t *)(half[a / HALF] + a % HALF), v, __ATOMIC_RELEASE);
        return;
    }
    for (uint64_t i = 0; i < len && a + i < RAM_END; i++)
        ((volatile uint8_t *)half[(a + i) / HALF])[(a + i) % HALF] = ((const uint8_t *)src)[i];
}

/* Time stands still, or each look at the clock moves it. */
static uint64_t tick;
uint64_t time_ns(void) { return __atomic_add_fetch(&host_now, tick, __ATOMIC_RELAXED); }

/* vCPUs that want this CPU */
static uint32_t waiting; /* others want the CPU, and get half of the time */
bool sched_others_want(const struct vm *v)
{
    (void)v;
    return __atomic_load_n(&waiting, __ATOMIC_RELAXED);
}

uint64_t sched_floor(void) { return time_ns() / 2; }

/* ---- trapped ranges ---- */
static struct io_region regions[128];
static unsigned nregions;

FAKE int io_register(struct vm *vm, const struct io_region *r)
{
    (void)vm;
    for (unsigned i = 0; i < nregions; i++)
        if (regions[i].space == r->space && r->base < regions[i].base + regions[i].len &&
            regions[i].base < r->base + r->len)
            return -EEXIST;
    if (nregions == ARRAY_SIZE(regions))
        abort();
    regions[nregions++] = *r;
    return 0;
}

FAKE int io_unregister(struct vm *vm, enum io_space space, uint64_t base)
{
    (void)vm;
    for (unsigned i = 0; i < nregions; i++)
        if (regions[i].space == space && regions[i].base == base) {
            regions[i] = regions[--nregions];
            return 0;
        }
    return -ENOENT;
}

FAKE static uint64_t access_space(enum io_space space, uint64_t addr, unsigned size, bool write,
                                  uint64_t val)
{
    uint64_t ones = size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1, got = 0;

    for (unsigned i = 0; i < nregions; i++) {
        struct io_region r = regions[i];

        if (r.space != space || !range_within(addr, size, r.base, r.len))
            continue;
        if (!(r.ops->sizes & size))
            return ones;
        if (write) {
            (void)r.ops->write(r.dev, addr - r.base, size, val);
            return 0;
        }
        return r.ops->read(r.dev, addr - r.base, size, &got) ? ones : got & ones;
    }
    return ones;
}

static uint64_t mem_rd(uint64_t a, unsigned size)
{
    return access_space(IO_MEM, a, size, false, 0);
}
static void mem_wr(uint64_t a, unsigned size, uint64_t v)
{
    access_space(IO_MEM, a, size, true, v);
}

/* ---- interrupts, log ---- */
static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned msis, lines_high, resets;
static uint64_t msi_addr;
static uint32_t msi_data;
static char last_log[300];
static unsigned logs;
static unsigned log_takes; /* turns that a message takes */

void virq_set(struct vm *vm, uint32_t line, bool level)
{
    (void)vm;
    lines_high = level ? lines_high | 1u << line : lines_high & ~(1u << line);
}

int virq_msi(struct vm *vm, uint32_t devid, uint64_t addr, uint32_t data)
{
    (void)vm;
    (void)devid;
    pthread_mutex_lock(&fake_lock);
    msis++;
    msi_addr = addr;
    msi_data = data;
    pthread_mutex_unlock(&fake_lock);
    return 0;
}

void vm_log(struct vm *vm, enum log_level level, const char *fmt, ...)
{
    va_list ap;

    (void)vm;
    (void)level;
    pthread_mutex_lock(&fake_lock);
    va_start(ap, fmt);
    vsnprintf(last_log, sizeof last_log, fmt, ap);
    va_end(ap);
    logs++;
    pthread_mutex_unlock(&fake_lock);
    for (volatile unsigned i = 0; i < __atomic_load_n(&log_takes, __ATOMIC_RELAXED); i++)
        ; /* as a slow console would: what comes after a message runs late */
}

void vm_request_reset(struct vm *vm, const char *why)
{
    (void)vm;
    (void)why;
    resets++;
}

/* ---- console ---- */
static char con_out[65536];
static size_t con_len;
static const char *con_in = "";
static struct event *con_ready;
static uint64_t con_cost; /* ns that a write takes */

void console_write(struct console *c, const char *s, size_t n)
{
    (void)c;
    __atomic_fetch_add(&host_now, con_cost, __ATOMIC_RELAXED);
    pthread_mutex_lock(&fake_lock);
    for (size_t i = 0; i < n; i++)
        con_out[con_len++ % sizeof con_out] = s[i];
    pthread_mutex_unlock(&fake_lock);
}

int console_listen(struct console *c, unsigned priority, struct event *ready)
{
    (void)c;
    (void)priority;
    pthread_mutex_lock(&fake_lock);
    __atomic_store_n(&con_ready, ready, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&fake_lock);
    return 0;
}

void console_unlisten(struct console *c, struct event *ready)
{
    (void)c;
    pthread_mutex_lock(&fake_lock);
    if (con_ready == ready)
        __atomic_store_n(&con_ready, NULL, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&fake_lock);
}

size_t console_read(struct console *c, struct event *ready, char *buf, size_t max)
{
    size_t n = 0;

    (void)c;
    pthread_mutex_lock(&fake_lock);
    if (ready == con_ready) {
        n = strlen(con_in) < max ? strlen(con_in) : max;
        memcpy(buf, con_in, n);
        con_in += n;
    }
    pthread_mutex_unlock(&fake_lock);
    return n;
}

/* ---- a file: each sector filled with its number; the last is cut short ---- */
#define FILE_LEN (300 * 1024 + 100)
static uint8_t *file;

const void *file_find(const char *path, uint64_t *len)
{
    if (strcmp(path, "disk.img") != 0)
        return NULL;
    *len = FILE_LEN;
    return file;
}

/* ---- the VM ---- */
static struct vm vm;
static const struct vpci_layout layout = { .ecam = 0xe0000000,
                                           .mmio32 = 0xc0000000,
                                           .mmio32_len = 0x20000000,
                                           .mmio64 = 0x4000000000,
                                           .mmio64_len = 0x100000000,
                                           .io = 0xc000,
                                           .io_len = 0x4000,
                                           .cf8 = true,
                                           .intx_gsi = 16,
                                           .intx_line = { 10, 11, 10, 11 } };
static struct guest_config config = {
    .name = "test", .vcpus = 2, .rng = true, .ndisks = 1, .disk = { { .path = "disk.img" } }
};

static void run_events(void)
{
    for (unsigned i = 0; i < 1000 && event_run() && (event_more() || event_next() <= time_ns());
         i++)
        ;
}

static unsigned fake_cpus = 1;
/* the pool stays as it is: not seeded, in the first test */
static bool fake_no_random;

/*
 * Zones on both sides that AddressSanitizer watches: whoever leaves guest RAM is noticed, however
 * far it goes within them.
 */
enum { GUARD = 64 * 1024 };

static void *guarded(uint64_t len)
{
    uint8_t *p = aligned_alloc(4096, len + 2 * GUARD);

#if __has_feature(address_sanitizer)
    void __asan_poison_memory_region(void const volatile *, size_t);
    __asan_poison_memory_region(p, GUARD);
    __asan_poison_memory_region(p + GUARD + len, GUARD);
#endif
    return p + GUARD;
}

static void fake_up(void)
{
    if (!fake_no_random && random_start())
        abort();
    if (!file) {
        host_init(fake_cpus, 64 * MIB);
        file = malloc(FILE_LEN);
        half[0] = guarded(HALF);
        half[1] = guarded(HALF);
        for (unsigned i = 0; i < FILE_LEN; i++)
            file[i] = (uint8_t)(i / 512 + i % 512 * 3);
    }
    memset(half[0], 0, HALF);
    memset(half[1], 0, HALF);
    vm = (struct vm){ .config = &config };
    msis = lines_high = resets = logs = nregions = 0;
    tick = waiting = 0;
    con_len = 0;
    con_in = "";
    if (vpci_create(&vm, &layout) || vio_build(&vm, &config))
        abort();
}

static void fake_down(void)
{
    vio_destroy(&vm);
    while (vio_release(&vm))
        ;
    vpci_destroy(&vm);
    if (nregions || vm.charge[CHARGE_OVERHEAD].used)
        abort();
}

/* ---- a driver's view of function 00:slot.0 ---- */
enum { SLOT_CONSOLE = 1, SLOT_RNG = 2, SLOT_BLK = 3 };
static uint64_t ecam(unsigned slot, unsigned reg)
{
    return layout.ecam + ((uint64_t)slot << 15) + reg;
}
static uint64_t cfg_rd(unsigned slot, unsigned reg, unsigned size)
{
    return mem_rd(ecam(slot, reg), size);
}
static void cfg_wr(unsigned slot, unsigned reg, unsigned size, uint64_t v)
{
    mem_wr(ecam(slot, reg), size, v);
}
static uint64_t bar_addr(unsigned slot, unsigned bar)
{
    uint64_t v = cfg_rd(slot, PCI_BAR0 + 4 * bar, 4);

    if ((v & 6) == 4)
        v |= cfg_rd(slot, PCI_BAR0 + 4 * bar + 4, 4) << 32;
    return v & ~0xfull;
}
/* Offset of the n-th capability of an id (n from 0), and for virtio of a cfg_type; 0: none */
FAKE static unsigned find_cap(unsigned slot, uint8_t id, int type)
{
    unsigned at = (unsigned)cfg_rd(slot, PCI_CAP_PTR, 1);

    for (unsigned i = 0; i < 48 && at; i++, at = (unsigned)cfg_rd(slot, at + 1, 1))
        if (cfg_rd(slot, at, 1) == id && (type < 0 || cfg_rd(slot, at + 3, 1) == (unsigned)type))
            return at;
    return 0;
}
static uint64_t structure(unsigned slot, int type)
{
    unsigned cap = find_cap(slot, PCI_CAP_VENDOR, type);

    return bar_addr(slot, (unsigned)cfg_rd(slot, cap + 4, 1)) + cfg_rd(slot, cap + 8, 4);
}
