/* backends.c: the engines that run guests on this ISA, in order of preference. */
#include <arch/cpu.h>

#include <stddef.h>

const struct vcpu_ops *const arch_vcpu_backends[] = { NULL };

