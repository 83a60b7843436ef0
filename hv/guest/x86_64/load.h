/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel images into guest memory. Every byte of a file is distrusted: sizes and offsets are
 * checked before use.
 */
#pragma once
#include "x86.h"

#define LOAD_RANGES 96
struct load_range {
    uint64_t base, len;
};
struct load_job {
    uint64_t base;
    const uint8_t *src;
    uint64_t len;
};
/* What is being put together for one start of a guest. */
struct load {
    struct vm *vm;
    const struct guest_config *config;
    const uint8_t *file; /* the kernel's file */
    uint64_t len;
    struct load_range used[LOAD_RANGES]; /* guest memory that is taken */
    unsigned nused;
    uint64_t rsdp;                    /* 0: none */
    struct load_job job[LOAD_RANGES]; /* what is still to be copied, from `next` on */
    unsigned njobs, next;
};
/* Entry state of the boot vCPU. */
struct load_entry {
    uint64_t pc, rsi, rbx, rax;
    enum { ENTRY_PROT32, ENTRY_LONG64 } mode;
    uint64_t cr3;
};

/* One entry of a guest's memory map. Types are e820's: 1 RAM, 2 reserved, 3 ACPI. */
struct load_mem {
    uint64_t base, len;
    uint32_t type;
};
#define LOAD_MEMS 8
unsigned load_memory_map(const struct vm *vm, struct load_mem map[LOAD_MEMS]);

/* 0, or -ENOSPC with vm->why: marks [base, base+len) as taken; it must be free RAM. */
int must_check load_take(struct load *l, uint64_t base, uint64_t len, const char *what);
/*
 * Finds and takes the highest free RAM of len bytes below `below`, aligned (a power of two), at or
 * above `above`. -ENOSPC with vm->why.
 */
int must_check load_alloc(struct load *l, uint64_t len, uint64_t align, uint64_t above,
                          uint64_t below, const char *what, uint64_t *base);
/*
 * The same, but the lowest free place at or above `above`, below 4 GiB: for kernels that map little
 * of memory.
 */
int must_check load_alloc_low(struct load *l, uint64_t len, uint64_t align, uint64_t above,
                              const char *what, uint64_t *base);
/* Copies to guest memory that was taken. */
int must_check load_copy(struct load *l, uint64_t base, const void *src, uint64_t len);
/* The same, from a file that stays in memory: load_copy_step() does it, in pieces. */
int must_check load_later(struct load *l, uint64_t base, const uint8_t *src, uint64_t len);
/* Copies up to `budget` bytes. > 0: call it again; 0: all is there; -EFAULT with vm->why. */
int must_check load_copy_step(struct load *l, uint64_t budget);
/* Says in vm->why what is wrong with the kernel's file; returns -EINVAL. */
int must_check load_bad(struct load *l, const char *fmt, ...) printf_like(2, 3);
/* A file named in the configuration; -ENOENT with vm->why. */
int must_check load_file(struct load *l, const char *path, const uint8_t **data, uint64_t *len);

/* elf.c: puts the PT_LOAD segments at their physical addresses; checks everything. */
struct load_elf {
    uint64_t entry, low, high;
    bool is64;
};
bool load_is_elf(const struct load *l);
int must_check load_elf(struct load *l, struct load_elf *out);
/* PVH entry point from the ELF notes; false: none. */
bool load_elf_pvh_entry(const struct load *l, uint32_t *entry);

/* firmware.c: guests that firmware starts. Each: CPU 0, while the machine is made or ended. */
int must_check x86_firmware_layout(struct vm *); /* memory; -ENOENT, -ENOEXEC ... with vm->why */
int must_check x86_firmware_build(struct vm *, struct x86_machine *);
void x86_firmware_destroy(struct vm *, struct x86_machine *);
void x86_firmware_entry(struct vcpu *);
/* Bytes of the guest's memory that are below 4 GiB. */
uint64_t x86_low_ram(const struct guest_config *);
/* acpi.c: the tables, for firmware to put in place. */
int must_check x86_acpi_firmware(struct vm *);

/* The BIOS data areas, before any kernel. 0 or -EFAULT. */
int must_check load_bda(struct vm *);

bool load_linux_probe(const struct load *l);
bool load_multiboot_probe(const struct load *l);
bool load_multiboot2_probe(const struct load *l);
int must_check load_linux(struct load *l, struct load_entry *e);
int must_check load_pvh(struct load *l, struct load_entry *e);
int must_check load_multiboot(struct load *l, struct load_entry *e);
int must_check load_multiboot2(struct load *l, struct load_entry *e);

/* load_multiboot.c, for both versions. header_off: of the header in the file. */
struct load_addresses {
    uint64_t header_off;
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr;
};
int must_check load_addressed(struct load *l, const struct load_addresses *a);
struct load_module_name {
    const char *path, *args;
};
/* the initrd first; up to 17 */
unsigned load_module_list(const struct guest_config *c, struct load_module_name *list);
int must_check load_module(struct load *l, const char *path, uint64_t *start, uint64_t *len);
/* out: zeroed, size bytes */
void load_module_string(char *out, size_t size, const struct load_module_name *m);

/* acpi.c: writes the tables at 0xe0000 up; sets *rsdp. */
int must_check x86_acpi_build(struct vm *vm, uint64_t *rsdp);
