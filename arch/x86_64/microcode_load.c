/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * microcode_load.c: `[host] microcode = FILE`, on the boot CPU before anything else is asked of it,
 * on each other CPU as it comes up. Intel SDM volume 3 sections 9.11.6 and 9.11.7; AMD's PPRs, MSR
 * C001_0020h and 8Bh.
 */
#include <hv/assert.h>
#include <hv/config_files.h>
#include <hv/log.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <string.h>

#include "boot/boot_info.h"
#include "microcode.h"
#include "private.h"

#define MSR_PLATFORM_ID 0x17u
#define MSR_UPDATE 0x79u   /* Intel: takes the address of an update's data */
#define MSR_REVISION 0x8bu /* Intel: in the upper half, after CPUID 1; AMD: in the lower */
#define MSR_AMD_UPDATE 0xc0010020u

struct maker {
    const char *vendor;
    enum ucode_answer (*find)(const uint8_t *, uint64_t, const struct ucode_cpu *,
                              struct ucode_update *);
    uint32_t (*revision)(void);
    uint32_t msr;
};

static uint32_t revision_intel(void)
{
    wrmsr(MSR_REVISION, 0);
    (void)cpuid(1, 0);
    return (uint32_t)(rdmsr(MSR_REVISION) >> 32);
}

static uint32_t revision_amd(void) { return (uint32_t)rdmsr(MSR_REVISION); }

static const struct maker makers[] = {
    { "GenuineIntel", ucode_intel, revision_intel, MSR_UPDATE },
    { "AuthenticAMD", ucode_amd, revision_amd, MSR_AMD_UPDATE },
};

/* Written by the boot CPU before there are others. */
static const struct maker *maker; /* NULL: of this CPU nothing is known */
static const struct boot_info *boot;
static uint32_t running; /* revision of the boot CPU */

uint32_t microcode_revision(void) { return running; }

/* One CPU's look through the files. */
struct search {
    struct ucode_cpu cpu;
    struct ucode_update best;
    bool found, say; /* say: the boot CPU tells what each file is good for */
};

static const struct boot_file *file_of(const char *path, size_t len)
{
    for (uint32_t i = 0; i < boot->nfiles && i < BOOT_FILES_MAX; i++) {
        const struct boot_file *f = &boot->files[i];

        if (f->status == BOOT_FILE_OK &&
            config_same_file(f->name, strnlen(f->name, BOOT_NAME_MAX), path, len))
            return f;
    }
    return NULL;
}

static void look_into(void *ctx, unsigned line, const char *path, size_t len)
{
    struct search *s = ctx;
    const struct boot_file *f = file_of(path, len);
    struct ucode_update u;
    enum ucode_answer answer;

    (void)line;
    if (!f)
        return; /* the files' own step says what became of it */
    answer = maker->find(phys_to_virt(hpa(f->phys)), f->size, &s->cpu, &u);
    if (s->say)
        log_info("microcode: %.*s %s", (int)len, path, ucode_words(answer));
    if (answer != UCODE_FOUND)
        return;
    s->best = u;
    s->found = true;
    s->cpu.revision = u.revision; /* further files: only what is newer still */
}

static struct ucode_cpu this_one(void)
{
    struct ucode_cpu c = { .signature = cpuid(1, 0).a, .revision = maker->revision() };

    if (maker->msr == MSR_UPDATE)
        c.platform = 1u << (rdmsr(MSR_PLATFORM_ID) >> 50 & 7);
    return c;
}

/* The revision that runs afterwards. */
static uint32_t ucode_load(bool say)
{
    struct search s = { .cpu = this_one(), .say = say };
    uint32_t before = s.cpu.revision, after;

    config_microcode(phys_to_virt(hpa(boot->config)), look_into, &s);
    if (!s.found)
        return before;
    wrmsr(maker->msr, (uint64_t)s.best.data);
    after = maker->revision();
    if (say && after == s.best.revision)
        log_info("microcode: revision %#x of %04x-%02x-%02x is loaded; it was %#x", after,
                 s.best.date >> 16, s.best.date >> 8 & 0xff, s.best.date & 0xff, before);
    else if (say)
        log_warn("microcode: the CPU does not take revision %#x: it stays at %#x", s.best.revision,
                 after);
    return after;
}

static void ucode_count(void *ctx, unsigned line, const char *path, size_t len)
{
    (void)line, (void)path, (void)len;
    ++*(unsigned *)ctx;
}

void microcode_boot(const struct boot_info *bi)
{
    unsigned files = 0;

    for (size_t i = 0; i < ARRAY_SIZE(makers); i++)
        if (strcmp(makers[i].vendor, x86_features.vendor) == 0)
            maker = &makers[i];
    if (!maker)
        return;
    running = maker->revision();
    log_info("microcode: revision %#x", running);
    if (!bi->config)
        return;
    if (x86_features.hypervisor) {
        config_microcode(phys_to_virt(hpa(bi->config)), ucode_count, &files);
        if (files)
            log_info("microcode: files are not loaded: that is up to the hypervisor below");
        return;
    }
    boot = bi;
    running = ucode_load(true);
}

/* A thread of a core that has it already finds nothing newer. */
void microcode_cpu(void)
{
    uint32_t mine;

    if (!boot)
        return;
    mine = ucode_load(false);
    if (mine != running)
        log_warn("CPU %u has microcode revision %#x, not %#x as CPU 0", this_cpu()->id, mine,
                 running);
}
