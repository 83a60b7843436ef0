/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
#include <stddef.h>

/*
 * The version, such as "0.1 (g32c8f22, changed)": the number is raised by hand with CHANGELOG.md;
 * the commit is what the tree was built from, "changed" if it had changes beside. Made by
 * hv/core/make-version. Lives for ever; any context.
 */
extern const char trivet_version[];

#define BUILD_ID_MAX 41 /* with the 0 at the end */
/*
 * The hash that the linker made of this very image (ld's --build-id), as hex digits cut where the
 * buffer ends, "" where there is none: `readelf -n` shows the same of the ELF file, which so can be
 * told to be the one that runs. Any context.
 */
void version_build_id(char *text, size_t len);
