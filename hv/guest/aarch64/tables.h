/* SPDX-License-Identifier: BSD-2-Clause */
/* acpi.c: ACPI's tables in an area that holds EFI's, too (efi.c). Private to hv/guest/aarch64. */
#pragma once
#include "load.h"
#include <hv/guest_acpi.h>

/* Returns the RSDP's guest-physical address. */
uint64_t arm_acpi_build(struct tables *t);
