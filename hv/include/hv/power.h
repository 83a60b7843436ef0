/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of the machine's run. Any CPU, from an event; guests are not asked: the shell stops them
 * first, and calls drivers_shutdown().
 */
#pragma once
_Noreturn void hv_reboot(void);
_Noreturn void hv_poweroff(void);
