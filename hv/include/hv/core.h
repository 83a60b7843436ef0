/* Where arch/ enters the portable part. */
#pragma once
#include <hv/types.h>
struct boot_info;
/* The boot CPU, from entry.S: interrupts disabled, this_cpu() valid, on its own stack. */
_Noreturn void hv_main(struct boot_info *);
/* Every other CPU, from smp_init(): set up by arch (descriptors, control registers, local interrupt controller, timer). */
_Noreturn void ap_main(void);
