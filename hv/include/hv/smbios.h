/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the firmware says about the machine, for the log (DMTF DSP0134, SMBIOS 3.6). Implemented by
 * hv/firmware.
 */
#pragma once
#include <hv/acpi.h>
/* printable ASCII, "" where not told */
struct smbios_info {
    char maker[48], product[48], firmware[48];
};
/*
 * Bounded and checked: the tables come from firmware. False: no usable entry point. `map` as for
 * ACPI.
 */
bool smbios_parse(struct smbios_info *out, uint64_t entry, acpi_map_fn map);
