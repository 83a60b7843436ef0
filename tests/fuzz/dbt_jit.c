/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The input's first bytes are registers, the rest is riscv64 code: compiled and evaluated in step,
 * whatever it is.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/unit/rv_flat.h"

#define RAM (16 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reset(struct flat *m, const uint8_t *data, size_t size)
{
    size_t n = size < 64 ? size : 64;

    memset(m->ram, 0, RAM);
    memset(&m->cpu, 0, sizeof m->cpu);
    m->over = false;
    m->cpu.pc = FLAT_BASE;
    m->cpu.mode = RV_M;
    m->cpu.mstatus = RV_MSTATUS_FS;
    for (unsigned k = 1; k < 32; k++)
        m->cpu.x[k] = k & 1 ? FLAT_BASE + 128 * k : k * 0x9e3779b97f4a7c15ull;
    memcpy(&m->cpu.x[10], data, n);
    memcpy(&m->cpu.f[8], data, n);
    memcpy(m->ram, data + n, size - n < RAM ? size - n : RAM);
    if (m->jit)
        for (uint64_t pa = FLAT_BASE; pa < FLAT_BASE + RAM; pa += PAGE_SIZE)
            rv_jit_written(m->jit, pa, PAGE_SIZE);
    flat_flush(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct flat *jit, *plain;

    if (!jit) {
        flat_code_bytes = 2u << 20;
        jit = flat_new(RAM, true, 0);
        plain = flat_new(RAM, false, 0);
    }
    reset(jit, data, size);
    reset(plain, data, size);
    while (!jit->over && jit->cpu.instret < 80) {
        flat_run(jit, 40);
        while (!plain->over && plain->cpu.instret < jit->cpu.instret)
            flat_step(plain);
        if (jit->over && !plain->over)
            flat_step(plain);
        if (memcmp(&jit->cpu, &plain->cpu, sizeof jit->cpu) || memcmp(jit->ram, plain->ram, RAM))
            abort();
    }
    return 0;
}
