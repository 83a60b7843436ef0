/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.c: what the CPU is and can do, and the control registers of EL2 that every CPU runs with. Arm
 * ARM D19.2.
 */
#include <arch/cpu.h>
#include <arch/io.h>

#include <hv/log.h>
#include <hv/random.h>
#include <stdio.h>

#include "boot/boot_info.h"
#include "private.h"

struct arm_features arm_features;
uint64_t arm_host_key[2];
static struct arm_cpu boot_cpu;

#define MPIDR_AFFINITY 0xff00ffffffull

void arm_set_percpu(struct percpu *p)
{
    p->self = p;
    write_sysreg(tpidr_el2, p);
}

struct percpu *this_cpu(void)
{
    struct percpu *p;

    __asm__("mrs %0, tpidr_el2" : "=r"(p));
    return p;
}

/* MIDR_EL1, D19.2.105: implementer 31:24, variant 23:20, part number 15:4, revision 3:0. */
struct part {
    uint16_t number;
    const char *name;
};
struct maker {
    uint8_t code;
    const char *name;
    const struct part *parts;
};

static const struct part arm_parts[] = {
    { 0xd03, "Cortex-A53" },  { 0xd04, "Cortex-A35" },   { 0xd05, "Cortex-A55" },
    { 0xd07, "Cortex-A57" },  { 0xd08, "Cortex-A72" },   { 0xd09, "Cortex-A73" },
    { 0xd0a, "Cortex-A75" },  { 0xd0b, "Cortex-A76" },   { 0xd0c, "Neoverse N1" },
    { 0xd0d, "Cortex-A77" },  { 0xd0e, "Cortex-A76AE" }, { 0xd40, "Neoverse V1" },
    { 0xd41, "Cortex-A78" },  { 0xd42, "Cortex-A78AE" }, { 0xd44, "Cortex-X1" },
    { 0xd46, "Cortex-A510" }, { 0xd47, "Cortex-A710" },  { 0xd48, "Cortex-X2" },
    { 0xd49, "Neoverse N2" }, { 0xd4a, "Neoverse E1" },  { 0xd4b, "Cortex-A78C" },
    { 0xd4d, "Cortex-A715" }, { 0xd4e, "Cortex-X3" },    { 0xd4f, "Neoverse V2" },
    { 0xd80, "Cortex-A520" }, { 0xd81, "Cortex-A720" },  { 0xd82, "Cortex-X4" },
    { 0xd84, "Neoverse V3" }, { 0xd8e, "Neoverse N3" },  { 0, NULL },
};
static const struct part cavium_parts[] = {
    { 0x0a1, "ThunderX" }, { 0x0af, "ThunderX2" }, { 0x0b8, "ThunderX3" }, { 0, NULL }
};
static const struct part fujitsu_parts[] = { { 0x001, "A64FX" }, { 0, NULL } };
static const struct part hisilicon_parts[] = { { 0xd01, "TSV110" }, { 0, NULL } };
static const struct part nvidia_parts[] = { { 0x003, "Denver 2" },
                                            { 0x004, "Carmel" },
                                            { 0, NULL } };
static const struct part qualcomm_parts[] = { { 0xc00, "Falkor" },
                                              { 0xc01, "Saphira" },
                                              { 0, NULL } };
static const struct part ampere_parts[] = { { 0xac3, "AmpereOne" },
                                            { 0xac4, "AmpereOne AC04" },
                                            { 0, NULL } };
static const struct part no_parts[] = { { 0, NULL } };

static const struct maker makers[] = {
    { 0x00, "QEMU", no_parts },           { 0x41, "Arm", arm_parts },
    { 0x42, "Broadcom", no_parts },       { 0x43, "Cavium", cavium_parts },
    { 0x46, "Fujitsu", fujitsu_parts },   { 0x48, "HiSilicon", hisilicon_parts },
    { 0x4e, "NVIDIA", nvidia_parts },     { 0x50, "APM", no_parts },
    { 0x51, "Qualcomm", qualcomm_parts }, { 0x61, "Apple", no_parts },
    { 0xc0, "Ampere", ampere_parts },
};

const char *arch_cpu_name(void)
{
    static char name[80];
    uint32_t midr = arm_features.midr, number = midr >> 4 & 0xfff;
    const char *maker = "unknown maker", *part = NULL;
    char unnamed[24];

    for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
        if (makers[i].code != midr >> 24)
            continue;
        maker = makers[i].name;
        for (const struct part *p = makers[i].parts; p->name; p++)
            part = p->number == number ? p->name : part;
    }
    (void)snprintf(unnamed, sizeof unnamed, "part %03x", (unsigned)number);
    (void)snprintf(name, sizeof name, "%s %s r%up%u (MIDR %08x)", maker, part ? part : unnamed,
                   (unsigned)(midr >> 20 & 15), (unsigned)(midr & 15), (unsigned)midr);
    return name;
}

static void read_features(struct arm_features *f)
{
    static const uint8_t pa_bits[] = { 32, 36, 40, 42, 44, 48, 52, 56 };
    uint64_t pfr0 = read_sysreg(id_aa64pfr0_el1), pfr1 = read_sysreg(id_aa64pfr1_el1),
             isar0 = read_sysreg(id_aa64isar0_el1);
    uint64_t isar1 = read_sysreg(id_aa64isar1_el1), isar2 = read_sysreg(ID_AA64ISAR2_EL1),
             mmfr0 = read_sysreg(id_aa64mmfr0_el1);
    uint64_t mmfr1 = read_sysreg(id_aa64mmfr1_el1), mmfr2 = read_sysreg(ID_AA64MMFR2_EL1);

    f->midr = (uint32_t)read_sysreg(midr_el1);
    f->vhe = read_sysreg(hcr_el2) & HCR_E2H;
    f->pauth = id_field(isar1, 4) || id_field(isar1, 8) || id_field(isar2, 12);
    f->bti = id_field(pfr1, 0);
    f->rndr = id_field(isar0, 60);
    f->ras = id_field(pfr0, 28);
    f->sve = id_field(pfr0, 32);
    f->sme = id_field(pfr1, 24);
    f->mte = id_field(pfr1, 8) >= 2;
    f->fwb = id_field(mmfr2, 40);
    f->ecv = id_field(mmfr0, 60);
    f->aa32_el0 = id_field(pfr0, 0) == 2;
    f->pa_bits = pa_bits[id_field(mmfr0, 0) & 7];
    f->vmid_bits = id_field(mmfr1, 4) == 2 ? 16 : 8;
}

void arm_boot_start(struct boot_info *bi)
{
    boot_cpu.mpidr = read_sysreg(mpidr_el1) & MPIDR_AFFINITY;
    percpus[0].arch = &boot_cpu;
    percpus[0].hw_id = arm_hw_id(boot_cpu.mpidr);
    arm_set_percpu(&percpus[0]);
    mmu_early_init(bi);
    read_features(&arm_features);
    random_init(bi);
    /*
     * Functions that have not returned must find the key that they began with: what is not there
     * now cannot come later.
     */
    if (arm_features.pauth && random_fill(&random_own, arm_host_key, sizeof arm_host_key))
        arm_features.no_key = true;
}

uint64_t arm_tcr(void)
{
    /* more than 48 bits need other tables */
    uint64_t pa = min_u64(id_field(read_sysreg(id_aa64mmfr0_el1), 0), 5);

    return arm_features.vhe ? TCR_VHE | pa << TCR_VHE_IPS : TCR_NVHE | pa << TCR_NVHE_PS;
}

uint64_t arm_sctlr(void)
{
    return SCTLR_HOST | (arm_features.bti ? SCTLR_BT : 0) |
           (arm_host_key[0] | arm_host_key[1] ? SCTLR_EnIA : 0);
}

/*
 * CPTR_EL2, D19.2.35: any FP, SIMD, SVE or SME instruction of our own is a bug, unless the engine
 * is about to move a guest's state.
 */
static uint64_t cpu_cptr(void) { return arm_features.vhe ? 0 : 0x37ff; }

void arm_control_setup(void)
{
    write_sysreg(hcr_el2, HCR_HOST | (arm_features.vhe ? HCR_E2H : 0));
    write_sysreg(sctlr_el2, arm_sctlr());
    write_sysreg(cptr_el2, cpu_cptr());
    write_sysreg(hstr_el2, 0);
    isb();
}

int arch_early_init(struct boot_info *bi)
{
    struct arm_features *f = &arm_features;

    timer_set_start(read_sysreg(cntpct_el0));
    timer_set_wall(bi->wall_s, bi->tsc_files);
    arm_control_setup();
    log_info("EL2 %s VHE, %u-bit physical addresses, %u-bit VMIDs%s%s%s%s%s%s%s",
             f->vhe ? "with" : "without", f->pa_bits, f->vmid_bits, f->pauth ? ", PAuth" : "",
             f->bti ? ", BTI" : "", f->ras ? ", RAS" : "", f->sve ? ", SVE" : "",
             f->mte ? ", MTE" : "", f->rndr ? ", RNDR" : "", f->fwb ? ", FWB" : "");
    if (f->no_key)
        log_warn("Trivet's own return addresses are not signed: there were no random numbers for a "
                 "key when it started");
    return 0;
}

int arch_cpu_init(void)
{
    arm_control_setup();
    return 0;
}

void cpu_relax(void) { __asm__ volatile("yield" : : : "memory"); }

_Noreturn void cpu_halt_forever(void)
{
    for (;;)
        wfi();
}

/* RNDR sets Z when it has no number (K6.1). */
static bool rndr(uint64_t *v)
{
    uint32_t ok = 0;

    for (int i = 0; !ok && i < 10; i++)
        __asm__ volatile("mrs %0, " SYSREG_TEXT(RNDR) "\n\tcset %w1, ne"
                         : "=r"(*v), "=r"(ok)
                         :
                         : "cc", "memory");
    return ok;
}

uint32_t arch_entropy(uint64_t *words, uint32_t n, const char **name)
{
    uint32_t got = 0;

    if (!arm_features.rndr) {
        got = smccc_entropy(words, n);
        *name = got ? "the firmware (TRNG)" : *name;
        return got;
    }
    while (got < n && rndr(&words[got]))
        got++;
    *name = got ? "the CPU (RNDR)" : *name;
    return got;
}

/*
 * The code lies in bits 63:56 and 54:48 of an address of the lower half, which has none set (D8.9).
 */
uint64_t arch_code_address(uint64_t stored) { return stored & 0x0000ffffffffffffull; }

/* No ports on this ISA: all ones. */
uint32_t port_read(uint16_t port, unsigned size)
{
    (void)port;
    (void)size;
    return 0xffffffff;
}

void port_write(uint16_t port, unsigned size, uint32_t val)
{
    (void)port;
    (void)size;
    (void)val;
}
