/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The version, such as "0.1 (g32c8f22, changed)": the number is raised by hand with CHANGELOG.md;
 * the commit is what the tree was built from, "changed" if it had changes beside. Made by
 * hv/core/make-version. Lives for ever; any context.
 */
extern const char trivet_version[];
