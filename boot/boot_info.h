/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot_info.h: the one structure that the UEFI loader hands to the hypervisor, and the only thing
 * they share. All addresses are physical. The structure and everything it points to lie in memory
 * that the map lists as BOOT_MEM_LOADER (or in the firmware's own tables), so nothing is lost until
 * the hypervisor frees it.
 */
#ifndef BOOT_BOOT_INFO_H
#define BOOT_BOOT_INFO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define BOOT_INFO_MAGIC 0x21746f6f42567254ull /* "TrVBoot!" */
#define BOOT_INFO_VERSION 6u

#define BOOT_FILES_MAX 512
#define BOOT_NAME_MAX 128
#define BOOT_CPUS_MAX 1024
#define BOOT_RANDOM 64
#define BOOT_KEPT_SIZE (128u * 1024)

/* Where both sides put the map of all physical memory. */
#define BOOT_PHYS_BASE_X86_64 0xffff800000000000ull
#define BOOT_PHYS_BASE_AARCH64 0x0000800000000000ull

/*
 * What a range of memory is good for once boot services are gone (UEFI 2.10 section 7.2, table
 * 7.10).
 */
enum boot_mem_type {
    BOOT_MEM_FREE = 1, /* conventional, loader code: ours */
    /* ours when no device that the firmware left running masters the bus any more */
    BOOT_MEM_BOOT_SERVICES,
    BOOT_MEM_LOADER,   /* the image, its page tables, this structure, the files */
    BOOT_MEM_ACPI,     /* ACPI tables: keep */
    BOOT_MEM_NVS,      /* ACPI NVS: keep */
    BOOT_MEM_RUNTIME,  /* UEFI runtime services: keep */
    BOOT_MEM_RESERVED, /* do not touch; tables of the firmware may lie here */
    BOOT_MEM_MMIO,     /* devices */
    BOOT_MEM_BAD,      /* broken RAM: never map */
};

/*
 * One range; ranges are sorted, do not overlap, and neighbours of one type are joined. 4 KiB
 * granules.
 */
struct boot_mem {
    uint64_t base, len; /* bytes */
    uint32_t type;      /* enum boot_mem_type */
    uint32_t pad;
};

enum boot_file_status {
    BOOT_FILE_OK,
    BOOT_FILE_MISSING,
    BOOT_FILE_READ_ERROR,
    BOOT_FILE_NO_MEMORY
};

/* One file that trivet.conf names, read whole. The last page is zero after the end of the file. */
struct boot_file {
    char name[BOOT_NAME_MAX]; /* as trivet.conf writes it, NUL-terminated */
    uint64_t phys;            /* page-aligned; 0 unless status is BOOT_FILE_OK */
    uint64_t size;            /* bytes */
    uint64_t cycles;          /* counter ticks (TSC, CNTPCT) that reading took */
    uint32_t status;          /* enum boot_file_status */
    uint32_t pad;
};

/* 32 bits a pixel. MASK: colours are anywhere in them; all ones is white, 0 is black */
enum boot_fb_format { BOOT_FB_NONE, BOOT_FB_RGBX, BOOT_FB_BGRX, BOOT_FB_MASK };

struct boot_fb {
    uint64_t base, size;    /* bytes */
    uint32_t width, height; /* pixels */
    uint32_t pitch;         /* bytes from one line to the next */
    /* enum boot_fb_format; BOOT_FB_NONE: no usable framebuffer */
    uint32_t format;
};

/*
 * The partition that the loader came from, as UEFI's device path names it (UEFI 2.10 section
 * 10.3.5.1); kind BOOT_PART_NONE: not a partition, or the firmware does not tell.
 */
enum boot_part_kind { BOOT_PART_NONE, BOOT_PART_MBR, BOOT_PART_GPT };
struct boot_part {
    uint32_t kind;         /* enum boot_part_kind */
    uint32_t number;       /* from 1 */
    uint8_t signature[16]; /* GPT: its GUID; MBR: the disk's signature in the first 4 */
};

struct boot_info {
    uint64_t magic;         /* BOOT_INFO_MAGIC */
    uint32_t version, size; /* BOOT_INFO_VERSION, sizeof(struct boot_info) */
    uint64_t self;          /* where this structure lies */
    uint64_t tsc_entry;     /* counter at the loader's first instruction */
    uint64_t tsc_files;     /* counter when all files had been read */
    uint64_t tsc_exit;      /* counter when the hypervisor was entered */
    uint64_t image_phys, image_virt, image_size;
    uint64_t page_tables;       /* root of the tables the hypervisor was entered with */
    uint64_t direct_map_end;    /* physical addresses below this are mapped by them */
    uint64_t rsdp, smbios, fdt; /* 0: none. smbios: the entry point, version 3 preferred */
    uint64_t efi_systab;
    /* text of trivet.conf, NUL-terminated; config 0: file missing */
    uint64_t config, config_size;
    uint64_t mem; /* array of struct boot_mem */
    uint32_t nmem, nfiles;
    uint32_t ncpus;         /* CPUs known from EFI MP Services; 0: ask the MADT */
    uint32_t files_dropped; /* file names beyond BOOT_FILES_MAX */
    /* two pages below 1 MiB for starting CPUs; 0: none (not x86) */
    uint64_t trampoline;
    /* seconds since 1970-01-01 UTC at tsc_files, by the firmware's clock; 0: it has none */
    uint64_t wall_s;
    struct boot_fb fb;
    struct boot_file files[BOOT_FILES_MAX];
    uint32_t cpu_ids[BOOT_CPUS_MAX]; /* APIC ids (x86), boot CPU included */
    char boot_path[BOOT_NAME_MAX];   /* where the loader came from, in words */
    /* from the firmware's generator (UEFI 2.10 §37.5); wiped by whoever takes them */
    uint8_t random[BOOT_RANDOM];
    uint32_t random_bytes; /* how many of them there are; 0: the firmware has none */
    uint32_t pad;
    struct boot_part boot_part;
    /*
     * BOOT_KEPT_SIZE bytes at the same place in every boot of this machine, with what the run
     * before left there; 0: no such place is free. Nobody but <hv/kept.h> writes there.
     */
    uint64_t kept;
};

static_assert(sizeof(struct boot_mem) == 24, "boot_mem");
static_assert(offsetof(struct boot_mem, len) == 8, "boot_mem");
static_assert(offsetof(struct boot_mem, type) == 16, "boot_mem");
static_assert(sizeof(struct boot_file) == BOOT_NAME_MAX + 32, "boot_file");
static_assert(sizeof(struct boot_part) == 24, "boot_part");
static_assert(offsetof(struct boot_part, signature) == 8, "boot_part");
static_assert(sizeof(struct boot_fb) == 32, "boot_fb");
static_assert(offsetof(struct boot_fb, width) == 16, "boot_fb");
static_assert(offsetof(struct boot_fb, pitch) == 24, "boot_fb");
static_assert(offsetof(struct boot_fb, format) == 28, "boot_fb");
static_assert(offsetof(struct boot_info, fb) == 176, "boot_info.fb");
static_assert(offsetof(struct boot_info, version) == 8, "boot_info");
static_assert(offsetof(struct boot_info, self) == 16, "boot_info");
static_assert(offsetof(struct boot_info, image_phys) == 48, "boot_info");
static_assert(offsetof(struct boot_info, page_tables) == 72, "boot_info");
static_assert(offsetof(struct boot_info, rsdp) == 88, "boot_info");
static_assert(offsetof(struct boot_info, config) == 120, "boot_info");
static_assert(offsetof(struct boot_info, mem) == 136, "boot_info");
static_assert(offsetof(struct boot_info, nmem) == 144, "boot_info");
static_assert(offsetof(struct boot_info, trampoline) == 160, "boot_info");
static_assert(offsetof(struct boot_info, wall_s) == 168, "boot_info");
static_assert(offsetof(struct boot_info, files) == 208, "boot_info.files");
static_assert(sizeof(struct boot_info) == 208 + BOOT_FILES_MAX * (BOOT_NAME_MAX + 32) +
                                              BOOT_CPUS_MAX * 4 + BOOT_NAME_MAX + BOOT_RANDOM + 8 +
                                              sizeof(struct boot_part) + 8,
              "boot_info");

#endif
