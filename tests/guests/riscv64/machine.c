/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A riscv64 guest that looks at its machine: SBI, timer, PLIC, serial port, a second hart, and that
 * nothing outside of its memory and devices can be read, written or executed. Ends by the test
 * device, with 0x10 when all is well.
 */
#include <stdint.h>
#include "riscv.h"

#define RAM 0x80000000ull
#define PLIC 0xc000000ull
#define UART 0x10000000ull
#define ECAM 0x30000000ull
#define SYSCON 0x100000ull
enum { UART_SOURCE = 10, ACCESS_INSN = 1, ACCESS_LOAD = 5, ACCESS_STORE = 7 };
enum { SBI_TIME = 0x54494d45, SBI_IPI = 0x735049, SBI_HSM = 0x48534d, SBI_DBCN = 0x4442434e };
#define SBI_RFENCE 0x52464e43
#define IRQ (1ull << 63)

uint64_t probe_load(uint64_t at), probe_store(uint64_t at), probe_amo(uint64_t at);
uint64_t probe_jump(uint64_t at);
void kernel(uint64_t hart, const uint8_t *tree);
void second(void);
void second_hart(uint64_t hart);
void third(void);
extern uint32_t twice;
uint64_t on_trap(uint64_t why, uint64_t pc, uint64_t value);
extern char stacks[];

volatile uint64_t resume, cause;
static volatile uint64_t timers, externals, claimed, ipis, others;

#define csr_read(name)                                      \
    ({                                                      \
        uint64_t value_;                                    \
        __asm__ volatile("csrr %0, " #name : "=r"(value_)); \
        value_;                                             \
    })
#define csr_write(name, v) __asm__ volatile("csrw " #name ", %0" : : "r"((uint64_t)(v)))
#define csr_set(name, v) __asm__ volatile("csrs " #name ", %0" : : "r"((uint64_t)(v)))
#define csr_clear(name, v) __asm__ volatile("csrc " #name ", %0" : : "r"((uint64_t)(v)))

static uint64_t now(void) { return csr_read(time); }

static uint64_t sbi(uint64_t extension, uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
    register uint64_t a3 __asm__("a3") = 4096, a6 __asm__("a6") = function,
                         a7 __asm__("a7") = extension;

    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a6), "r"(a7) : "memory");
    return a0 ? ~0ull : a1;
}

static void say(const char *s)
{
    uint64_t n = 0;

    while (s[n])
        n++;
    sbi(SBI_DBCN, 0, n, (uint64_t)s, 0);
}

static void end(uint32_t code)
{
    *(volatile uint32_t *)SYSCON = 0x3333 | code << 16;
    for (;;)
        __asm__ volatile("wfi");
}

static void check(int good, const char *what)
{
    say(good ? "PASS " : "FAIL ");
    say(what);
    say("\n");
    if (!good)
        end(0x11);
}

static volatile uint32_t *plic(uint64_t off) { return (volatile uint32_t *)(PLIC + off); }

static void interrupt(uint64_t number)
{
    if (number == 5) {
        timers++;
        csr_write(0x14d, ~0ull); /* stimecmp */
    } else if (number == 9) {
        externals++;
        claimed = *plic(0x201004);
        *(volatile uint8_t *)(UART + 1) = 0;
        *plic(0x201004) = (uint32_t)claimed;
    } else {
        ipis++;
        csr_clear(sip, 2);
    }
}

uint64_t on_trap(uint64_t why, uint64_t pc, uint64_t value)
{
    (void)value;
    if (why & IRQ) {
        interrupt(why & ~IRQ);
        return pc;
    }
    cause = why;
    if (!resume)
        end(0x12);
    return resume;
}

static void test_timer(void)
{
    uint64_t start = now(), later;

    csr_set(sie, 1 << 5);
    csr_write(0x14d, start + 20000); /* 2 ms */
    csr_set(sstatus, 2);
    while (!timers)
        __asm__ volatile("wfi");
    later = now();
    check(timers == 1 && later >= start + 20000, "timer: Sstc");
    sbi(SBI_TIME, 0, now() + 10000, 0, 0);
    while (timers == 1)
        ;
    check(timers == 2, "timer: SBI, while the hart runs");
}

/* The transmitter is empty: an interrupt as soon as it is asked for. */
static void test_plic(void)
{
    *plic(4 * UART_SOURCE) = 1;
    *plic(0x2080) = 1 << UART_SOURCE;
    *plic(0x201000) = 0;
    csr_set(sie, 1 << 9);
    *(volatile uint8_t *)(UART + 1) = 2;
    for (uint64_t from = now(); !externals && now() - from < 100000000;)
        ;
    check(externals == 1 && claimed == UART_SOURCE, "PLIC: the serial port's interrupt");
    for (const char *s = "the serial port\n"; *s; s++)
        *(volatile uint8_t *)UART = (uint8_t)*s;
}

static void test_pci(void)
{
    uint32_t id = *(volatile uint32_t *)(ECAM + (1 << 15));

    check((id & 0xffff) == 0x1af4, "PCI: a virtio device at 00:01.0");
    id = *(volatile uint32_t *)(ECAM + (31 << 15));
    check(id == 0xffffffff, "PCI: nothing at 00:1f.0");
}

static int denied(uint64_t at)
{
    return probe_load(at) == ACCESS_LOAD && probe_store(at) == ACCESS_STORE &&
           probe_amo(at) == ACCESS_STORE && probe_jump(at) == ACCESS_INSN;
}

static uint64_t ram_end(void)
{
    uint64_t at = RAM;

    while (probe_load(at) == 0)
        at += 1 << 20;
    return at;
}

static int is_device(uint64_t at)
{
    return (at >= 0x100000 && at < 0x101000) || (at >= 0x2000000 && at < 0x2010000) ||
           (at >= 0x2f00000 && at < 0x2f04000) || (at >= PLIC && at < PLIC + 0x4000000) ||
           (at >= UART && at < UART + 0x1000) || (at >= ECAM && at < RAM) ||
           (at >= 0x4000000000 && at < 0x5000000000);
}

/* Around RAM, in steps over the low 4 GiB, and one bit after the other of 56. */
static void test_bounds(void)
{
    uint64_t end = ram_end(), tried = 0;
    int good = denied(RAM - 8) && denied(end) && denied(end + 4096) && denied(0);

    good &= probe_load(end - 4) == ACCESS_LOAD && probe_store(end - 4) == ACCESS_STORE;
    for (uint64_t at = 0; at < RAM; at += 0x123000)
        if (!is_device(at)) {
            good &= denied(at);
            tried++;
        }
    for (unsigned bit = 31; bit < 64; bit++)
        for (uint64_t off = 0; off < 1 << 20; off += 0x33000) {
            uint64_t at = (1ull << bit) + (bit == 31 ? end - RAM : 0) + off;

            if (!is_device(at)) {
                good &= denied(at);
                tried++;
            }
        }
    check(good && tried > 500, "bounds: nothing but RAM and devices");
    good = 1;
    for (uint64_t at = PLIC; at < PLIC + 0x4000000; at += 0x40004)
        good &= probe_jump(at) == ACCESS_INSN && probe_amo(at & ~7ull) == ACCESS_STORE;
    check(good, "bounds: no code and no atomics in devices");
}

void second_hart(uint64_t hart)
{
    others = hart + 100;
    csr_set(sie, 2);
    csr_set(sstatus, 2);
    while (!ipis)
        __asm__ volatile("wfi");
    others = hart + 200;
    sbi(SBI_HSM, 1, 0, 0, 0);
}

static void until(volatile uint64_t *what, uint64_t value)
{
    for (uint64_t from = now(); *what != value && now() - from < 300000000;)
        ;
}

static void test_harts(void)
{
    if (sbi(SBI_HSM, 2, 1, 0, 0) == ~0ull)
        return;
    check(sbi(SBI_HSM, 0, 1, (uint64_t)second, (uint64_t)(stacks + 2 * STACK)) != ~0ull,
          "SBI: a second hart starts");
    until(&others, 101);
    check(others == 101, "the second hart runs");
    check(sbi(SBI_RFENCE, 1, 2, 0, 0) != ~0ull, "SBI: a fence of the second hart");
    sbi(SBI_IPI, 0, 2, 0, 0);
    until(&others, 201);
    check(others == 201, "the second hart takes an interrupt, and stops");
}

static uint64_t told_by_second(void)
{
    static volatile uint64_t told;

    told = 0;
    sbi(SBI_HSM, 0, 1, (uint64_t)third, (uint64_t)&told);
    for (uint64_t from = now(); !told && now() - from < 300000000;)
        ;
    for (uint64_t from = now(); sbi(SBI_HSM, 2, 1, 0, 0) == 0 && now() - from < 300000000;)
        ;
    return told;
}

/* It has run this code, and compiled it; then another hart writes it anew. */
static void test_new_code(void)
{
    if (sbi(SBI_HSM, 2, 1, 0, 0) == ~0ull)
        return;
    check(told_by_second() == 1, "the second hart starts elsewhere");
    *(volatile uint32_t *)&twice = 0x00200513; /* li a0, 2 */
    check(told_by_second() == 2, "a hart that starts runs what is there now");
}

/* The command line is somewhere in the device tree. */
static int is_told(const uint8_t *tree, const char *word)
{
    uint64_t len = (uint64_t)tree[5] << 16 | (uint64_t)tree[6] << 8 | tree[7], n = 0;

    for (uint64_t i = 0; i < len && word[n]; i++)
        n = tree[i] == (uint8_t)word[n] ? n + 1 : 0;
    return !word[n];
}

void kernel(uint64_t hart, const uint8_t *tree)
{
    if (is_told(tree, "stay")) {
        say("it stays\n");
        for (;;)
            __asm__ volatile("wfi");
    }
    check(hart == 0 && tree[0] == 0xd0 && tree[3] == 0xed, "hart 0 has a device tree");
    check(sbi(SBI_DBCN, 7, 0, 0, 0) == ~0ull, "SBI: what it does not know");
    test_timer();
    test_plic();
    test_pci();
    test_bounds();
    test_harts();
    test_new_code();
    end(0x10);
}
