/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
#include <hv/types.h>
/* boot CPU: calibrates; time_ns() (see <hv/time.h>) works from here. -ENODEV: no clock; logged */
int must_check timer_init(void);
int must_check timer_cpu_init(void); /* each CPU */
/* this CPU: interrupt at time_ns() >= ns; UINT64_MAX: off. A past time fires at once */
void timer_arm(uint64_t ns);
