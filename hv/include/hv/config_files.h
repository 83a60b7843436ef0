/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which files a configuration names. The loader, the hypervisor and images/check-config all ask
 * here, so that they see the same. Needs <ini.h> and four functions of <string.h>; allocates
 * nothing. Any context.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/*
 * Length of the name at the start of `value`: up to the first of the bytes in `end`, without the
 * white space before it.
 */
size_t config_name_len(const char *value, const char *end);
/*
 * The file that a line of a [guest NAME] section names: where its path begins in `value`, with its
 * length in *len; NULL: it names none. Keys count in either case of letters, as everywhere.
 */
const char *config_file_of(const char *key, const char *value, size_t *len);
/*
 * `firmware = uefi`: the stick's file for guests of an ISA (enum isa of <hv/types.h>); NULL: there
 * is none for them.
 */
#define FIRMWARE_UEFI "uefi"
const char *config_uefi_file(unsigned isa);
/* The same with `secure-boot = yes`: it begins with a store in which the distribution's keys are.
 */
const char *config_secure_file(unsigned isa);
/*
 * Are these n and m bytes one file of the stick? Without case (of ASCII letters), / equals \, and
 * a leading / does not matter.
 */
bool config_same_file(const char *a, size_t n, const char *b, size_t m);
/*
 * Calls add(ctx, path, len) for each file that the text names, line by line. Of the stick's
 * firmware: what guests of `isa` take.
 */
#define CONFIG_ALL_ISAS (~0u)
void config_files(const char *text, unsigned isa,
                  void (*add)(void *ctx, unsigned line, const char *path, size_t len), void *ctx);
/* The same for the files that `microcode` in [host] names alone. */
void config_microcode(const char *text,
                      void (*add)(void *ctx, unsigned line, const char *path, size_t len),
                      void *ctx);
/* What `max-cpus` in [host] says, before the configuration is read whole; 0: nothing usable. */
unsigned config_max_cpus(const char *text);
