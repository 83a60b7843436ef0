/* SPDX-License-Identifier: BSD-2-Clause */
/* What hv/vm needs of <arch/irq.h> and <arch/cpu.h>, which it must not include. */
#pragma once
#include <hv/types.h>
/* takes every host interrupt that waits; returns with interrupts disabled again */
void irq_window(void);
/* sleeps until an interrupt came, and takes it; see <arch/irq.h> */
void irq_wait(void);
/* an interrupt that does nothing but arrive: ends the run of a guest there */
void irq_send_kick(uint32_t cpu);
void cpu_relax(void); /* in every loop that waits for another CPU */
