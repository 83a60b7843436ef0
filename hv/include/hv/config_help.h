/* SPDX-License-Identifier: BSD-2-Clause */
/* What people are shown of a key of trivet.conf beside <hv/config.h>'s config_key(). */
#pragma once
/* A line that gives the key, such as "memory = 512M"; lives for ever. NULL: no key is called so. */
const char *config_example(const char *key);
