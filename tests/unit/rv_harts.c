/* SPDX-License-Identifier: BSD-2-Clause */
/* rv_harts.h. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "tests/unit/rv_harts.h"

#define CODE (2u << 20)

_Alignas(PAGE_SIZE) uint8_t harts_ram[HARTS_RAM];

static uint8_t *smp_ram(void *owner, uint64_t pa)
{
    (void)owner;
    return pa - HARTS_BASE < HARTS_RAM ? harts_ram + (pa - HARTS_BASE) : NULL;
}

static bool smp_read(void *owner, struct rv_hart *h, uint64_t pa, unsigned size, uint64_t *v)
{
    (void)owner, (void)h, (void)pa, (void)size, (void)v;
    return false;
}

static bool smp_write(void *owner, struct rv_hart *h, uint64_t pa, unsigned size, uint64_t v)
{
    (void)owner, (void)h, (void)pa, (void)size, (void)v;
    return false;
}

static uint64_t smp_time(void *owner)
{
    (void)owner;
    return 0;
}

static const struct rv_machine_ops machine = {
    .ram = smp_ram, .read = smp_read, .write = smp_write, .time = smp_time
};

struct rv_engine *hart_new(unsigned n, bool compiles)
{
    struct rv_engine *e = aligned_alloc(PAGE_SIZE, align_up(sizeof *e, PAGE_SIZE));
    struct jit_memory code = { .room = CODE };

    assert_non_null(e);
    memset(e, 0, sizeof *e);
    rv_hart_init(&e->hart, &machine, NULL, n);
    e->hart.cpu.pc = HARTS_BASE;
    e->hart.cpu.x[10] = n;
    if (!compiles)
        return e;
    int file = memfd_create("code", 0);
    assert_int_equal(ftruncate(file, CODE), 0);
    code.w = mmap(NULL, CODE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    uint8_t *x = mmap(NULL, CODE, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    close(file);
    assert_true(code.w != MAP_FAILED && x != MAP_FAILED);
    code.shift = x - code.w;
    void *memory = aligned_alloc(PAGE_SIZE, align_up(rv_jit_bytes(), PAGE_SIZE));
    assert_int_equal(rv_engine_init(e, memory, code, 0, NULL), 0);
    return e;
}

/* The code's mappings stay: few are made. */
void hart_free(struct rv_engine *e)
{
    free(e->jit);
    free(e);
}

/* Until it waits for an interrupt, which ends the code. */
static void *hart_runs(void *engine)
{
    struct rv_engine *e = engine;

    while (!e->hart.cpu.waiting) {
        if (e->jit)
            rv_engine_run(e, 100000);
        else
            rv_interpret(&e->hart, 100000);
    }
    return NULL;
}

void harts_run(struct rv_engine **harts, unsigned n)
{
    pthread_t thread[HARTS_MOST];

    for (unsigned k = 0; k < n; k++)
        assert_int_equal(pthread_create(&thread[k], NULL, hart_runs, harts[k]), 0);
    for (unsigned k = 0; k < n; k++)
        pthread_join(thread[k], NULL);
}
