/* backends.c: the engines that run guests on this ISA, in order of preference. */
#include <arch/cpu.h>

#include <hv/platform.h>
#include <stddef.h>

const struct vcpu_ops *const arch_vcpu_backends[] = { NULL };

/* Until drivers/acpi and drivers/fdt fill it. */
__attribute__((weak)) struct platform the_platform;
