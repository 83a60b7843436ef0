/* SPDX-License-Identifier: BSD-2-Clause */
/* power.c: the end of the machine's run. */
#include <arch/cpu.h>
#include <hv/power.h>

_Noreturn void hv_reboot(void) { arch_reboot(); }

_Noreturn void hv_poweroff(void) { arch_poweroff(); }
