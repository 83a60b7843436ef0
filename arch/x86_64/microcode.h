/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * microcode.h: files of microcode updates. The parsers read a file that may hold anything, and
 * touch nothing else; any context.
 */
#pragma once
#include <hv/types.h>

/* The CPU that an update is looked for. */
struct ucode_cpu {
    uint32_t signature; /* CPUID 1 EAX */
    uint32_t platform;  /* Intel: 1 << bits 52:50 of IA32_PLATFORM_ID (MSR 17h) */
    uint32_t revision;  /* of what runs now */
};

/* One that is newer than what runs. */
struct ucode_update {
    const uint8_t *data;     /* what the MSR is given the address of; inside the file */
    uint32_t len;            /* bytes from there on */
    uint32_t revision, date; /* date: BCD, as yyyymmdd; 0: the file does not say */
};

/* What a file is good for. The words that people read are ucode_words(). */
enum ucode_answer {
    UCODE_FOUND,
    UCODE_NOT_NEWER,  /* it has updates for this CPU, none newer */
    UCODE_OTHER_CPUS, /* none for this CPU */
    UCODE_BROKEN,     /* cut off, or a checksum is wrong, before one was found */
    UCODE_NO_FORMAT,  /* not a file of this maker's */
};

/*
 * Intel SDM volume 3 section 9.11.1: updates one behind the other, each with header, checksums and
 * perhaps more signatures. The newest for the CPU is taken.
 */
enum ucode_answer ucode_intel(const uint8_t *file, uint64_t len, const struct ucode_cpu *,
                              struct ucode_update *);
/* AMD's container, as linux-firmware has them: equivalence table and patches; several in a row. */
enum ucode_answer ucode_amd(const uint8_t *file, uint64_t len, const struct ucode_cpu *,
                            struct ucode_update *);
const char *ucode_words(enum ucode_answer);
