/* A kernel, its initrd and its device tree in guest memory. Every byte of a file is distrusted. */
#pragma once
#include "arm.h"

struct load_range { uint64_t base, len; };
/* What is being put together for one start of a guest. */
struct load {
    struct vm *vm;
    const struct guest_config *config;
    struct load_range kernel, initrd;      /* guest-physical; what the kernel's own header wants beyond its file is in `kernel` */
    uint64_t entry, fdt;
};
#define FDT_ROOM (64 * KIB)                /* device trees of ours are smaller */

/* 0, or -Exxx with vm->why. */
int must_check arm_load_kernel(struct load *l);            /* sets kernel and entry, copies */
int must_check arm_load_initrd(struct load *l);            /* below the device tree; copies */

/* fdt.c: writes the tree at l->fdt. */
int must_check arm_fdt_build(struct load *l);
