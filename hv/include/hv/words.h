/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words that people type: sizes, numbers, yes and no, and the nearest match for a mistyped one.
 * Pure functions.
 */
#pragma once
#include <hv/cpuset.h>
#include <hv/types.h>
/*
 * "512M", "64 KiB", "1g", "4096": bytes in *out. -EINVAL: not a size; -ERANGE: does not fit 64
 * bits.
 */
int must_check parse_size(const char *, uint64_t *out);
/* A decimal number in lo..hi. -EINVAL, -ERANGE. */
int must_check parse_number(const char *, uint64_t lo, uint64_t hi, uint64_t *out);
/* yes/no, on/off, true/false, 1/0. -EINVAL: another word. */
int must_check parse_bool(const char *, bool *out);
/* "0,2-3" -> CPUs, each below `limit` (1..MAX_CPUS). -EINVAL, -ERANGE. */
int must_check parse_cpu_list(const char *, unsigned limit, struct cpuset *out);
#define CPUS_TEXT (CPUSET_WORDS * 16 + 3)
/* As one number, bit 0 for CPU 0: "0xd". buf: CPUS_TEXT bytes; returns it. */
const char *format_cpus(const struct cpuset *, char *buf, size_t len);
/* The word of words[0..n) nearest to `s` (at most two slips, or a common start), or NULL. */
const char *nearest_word(const char *s, const char *const *words, size_t n);
/* "512 MiB", "1.5 GiB", "17 B"; returns buf. */
const char *format_size(uint64_t bytes, char *buf, size_t len);
/* "3 d 04:05:06", "12.345 s", "980 us"; returns buf. */
const char *format_ns(uint64_t ns, char *buf, size_t len);
/* -Exxx (or Exxx) in words, such as "not enough memory". */
const char *error_text(int err);
