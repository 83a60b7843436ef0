/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Broken kernels through every loader: nothing is written outside the guest's RAM, and failures say
 * why.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "hv/guest/x86_64/load.h"
#include <hv/files.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM (32 * MIB)
static uint8_t *ram;
static const uint8_t *file;
static uint64_t file_len;

static uint8_t *at(gpa_t a, uint64_t len)
{
    if (range_within(a.v, len, 0, 0xa0000) || range_within(a.v, len, 0xe0000, 0x20000) ||
        range_within(a.v, len, MIB, RAM - MIB))
        return ram + a.v;
    return NULL;
}

/* Every write must have been allowed by load_take() or load_alloc(): a refusal here is a defect. */
int gmem_write(struct vm *vm, gpa_t a, const void *src, uint64_t len)
{
    uint8_t *p = at(a, len);

    (void)vm;
    if (p == NULL)
        abort();
    memcpy(p, src, len);
    return 0;
}

int gmem_zero(struct vm *vm, gpa_t a, uint64_t len)
{
    (void)vm;
    if (at(a, len) == NULL)
        abort();
    memset(at(a, len), 0, len);
    return 0;
}

int gmem_read(struct vm *vm, gpa_t a, void *dst, uint64_t len)
{
    (void)vm;
    if (at(a, len) == NULL)
        abort();
    memcpy(dst, at(a, len), len);
    return 0;
}

const void *file_find(const char *path, uint64_t *len)
{
    *len = path[0] == 'k' ? file_len : 100;
    return path[0] == 'x' ? NULL : file;
}

static void run(int (*load)(struct load *, struct load_entry *), const struct guest_config *c)
{
    static struct vm vm;
    struct load l = { .vm = &vm, .config = c, .file = file, .len = file_len, .rsdp = 0xe0000 };
    struct load_entry e = { 0 };
    int err;

    vm.config = c;
    vm.why[0] = '\0';
    err = load(&l, &e);
    if (err > 0 || (err != 0 && err != -ENOMEM && vm.why[0] == '\0'))
        abort();
    if (err == 0 && l.nused == 0)
        abort();
    while (err == 0 && load_copy_step(&l, 777) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guest_config c = { .kernel = "kernel",
                                     .initrd = "initrd",
                                     .cmdline = "a b c",
                                     .memory = RAM,
                                     .vcpus = 1,
                                     .nmodules = 2,
                                     .module = { { "m1", "one" }, { "m2", "" } } };
    struct load probe = { 0 };
    uint32_t entry;

    if (ram == NULL)
        ram = calloc(1, RAM);
    if (size < 100)
        return 0;
    file = data;
    file_len = size;
    probe.file = data, probe.len = size;
    run(load_linux, &c);
    run(load_pvh, &c);
    run(load_multiboot, &c);
    run(load_multiboot2, &c);
    (void)load_is_elf(&probe);
    (void)load_elf_pvh_entry(&probe, &entry);
    return 0;
}
