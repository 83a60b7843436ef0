/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c: from the boot program to the loop: a table of steps, each of which logs its time or stops
 * with the reason in words.
 */
#include <arch/cpu.h>
#include <arch/irq.h>
#include <arch/mmu.h>
#include <arch/smp.h>
#include <arch/timer.h>
#include <hv/acpi.h>
#include "boot/boot_info.h"
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/config_files.h>
#include <hv/cper.h>
#include <hv/drivers.h>
#include <hv/event.h>
#include <hv/files.h>
#include <hv/guest.h>
#include <hv/heap.h>
#include <hv/host_topology.h>
#include <hv/kept.h>
#include <hv/log.h>
#include <hv/mgmt.h>
#include <hv/panic.h>
#include <hv/passthrough.h>
#include <hv/percpu.h>
#include <hv/platform.h>
#include <hv/pmm.h>
#include <hv/random.h>
#include <hv/sched.h>
#include <hv/start.h>
#include <hv/store_volume.h>
#include <hv/time.h>
#include <hv/vcpu.h>
#include <hv/version.h>
#include <hv/vm.h>

struct step {
    const char *name; /* NULL: not worth a line */
    int (*fn)(struct boot_info *);
    const char *remedy; /* what the user can do when it fails */
};

static uint64_t took[32]; /* cycles of the steps before the clock runs */

static int say_hello(struct boot_info *bi)
{
    char why[KEPT_LINE];

    log_info("CPU: %s", arch_cpu_name());
    if (bi->boot_path[0])
        log_info("started from %.*s", BOOT_NAME_MAX, bi->boot_path);
    cper_boot();
    if (kept_reason(why, sizeof why))
        log_warn("the run before this one stopped (`log --previous` shows all): %s", why);
    return 0;
}

static int do_pmm(struct boot_info *bi) { return pmm_init(bi); }
static int do_mmu(struct boot_info *bi) { return mmu_init(bi); }
static int do_files(struct boot_info *bi) { return files_init(bi); }

static int do_drivers(struct boot_info *bi)
{
    passthrough_keep(bi->config ? phys_to_virt(hpa(bi->config)) : NULL, bi->config_size);
    return drivers_init(bi);
}

/* After the drivers: finding the PCI functions has taken the bus from all that may write. */
static int do_rest_of_memory(struct boot_info *bi)
{
    struct pmm_stats s;

    pmm_take_boot_services(bi);
    pmm_stats(&s);
    log_info("memory: %llu MiB free of %llu MiB", (unsigned long long)(s.free / MIB),
             (unsigned long long)(s.total / MIB));
    return 0;
}

static int do_tables(struct boot_info *bi)
{
    int err = acpi_init(bi);

    return err ? err : platform_init(bi);
}

static int do_heap(struct boot_info *bi)
{
    int err = heap_init();

    (void)bi;
    if (!err)
        event_cpu_init();
    return err;
}

static int do_irq(struct boot_info *bi)
{
    (void)bi;
    return irq_init();
}

static int do_random(struct boot_info *bi)
{
    (void)bi;
    return random_start();
}

static int do_timer(struct boot_info *bi)
{
    (void)bi;
    return timer_init();
}

static int do_console(struct boot_info *bi)
{
    (void)bi;
    return shell_init();
}

static int do_engines(struct boot_info *bi)
{
    (void)bi;
    if (engines_init() || !engine_is_native(0))
        log_err("only riscv64 guests can run on this machine (by translation)");
    return 0;
}

static int do_config(struct boot_info *bi)
{
    const struct guest_ops *g = engine_is_native(0) ? guest_ops_for(engine_default_isa()) : NULL;

    passthrough_init();
    host_pci_errors_init();
    config_vcpus_max = g ? g->vcpus_max : 0;
    return config_init(bi->config ? phys_to_virt(hpa(bi->config)) : NULL, bi->config_size);
}

static int do_mitigations(struct boot_info *bi)
{
    (void)bi;
    arch_mitigations_init();
    sched_smt_choose();
    return 0;
}

static int do_state(struct boot_info *bi)
{
    (void)bi;
    store_boot();
    return 0;
}

static int do_guests(struct boot_info *bi)
{
    (void)bi;
    return guests_start();
}

/* A CPU counts once its event queue is there (see ap_main). */
static bool all_up(void)
{
    for (uint32_t i = 0; i < cpu_count; i++)
        if (!__atomic_load_n(&percpus[i].events.there, __ATOMIC_ACQUIRE))
            return false;
    return true;
}

static int do_smp(struct boot_info *bi)
{
    int err = sched_init();
    unsigned most = bi->config ? config_max_cpus(phys_to_virt(hpa(bi->config))) : 0;

    if (most && most < MAX_CPUS)
        cpu_most = most;
    if (!err)
        err = smp_init(bi);
    while (!err && !all_up())
        cpu_relax();
    if (!err)
        arch_errors_watch();
    if (!err)
        log_info("%u CPU%s", cpu_count, cpu_count == 1 ? "" : "s");
    return err;
}

/* The order matters: each step may use what the steps before it have set up. */
static const struct step steps[] = {
    { "CPU", arch_early_init, "this CPU lacks something that Trivet needs; see the line above" },
    { "memory", do_pmm, "the firmware reports too little usable memory" },
    { "address space", do_mmu,
      "Trivet's own page tables cannot be made, or do not protect it: see the line above" },
    { "heap", do_heap, "there is not enough memory" },
    { "firmware tables", do_tables,
      "the firmware gives no usable tables: look for a newer firmware" },
    { "interrupts", do_irq, "the interrupt controller was not found: look for a newer firmware" },
    { "clock", do_timer,
      "no usable clock was found: enable HPET or the ACPI PM timer in the firmware's setup" },
    { NULL, say_hello, "" },
    { NULL, do_random, "" },
    { "drivers", do_drivers, "" },
    { NULL, do_rest_of_memory, "" },
    { "files", do_files, "a file on the boot partition cannot be used" },
    { "processors", do_smp, "there is not enough memory to start the CPUs" },
    { "console", do_console, "there is not enough memory" },
    { "virtualisation", do_engines, "" },
    { "configuration", do_config, "there is not enough memory" },
    { NULL, do_mitigations, "" },
    { NULL, do_state, "" },
    { "guests", do_guests, "there is not enough memory" },
};
static_assert(ARRAY_SIZE(steps) <= ARRAY_SIZE(took), "took[]");

static void log_time(const struct step *s, uint64_t cycles)
{
    uint64_t us = time_cycles_to_ns(cycles) / 1000;

    log_info("boot: %s: %llu.%03llu ms", s->name, (unsigned long long)(us / 1000),
             (unsigned long long)(us % 1000));
}

static void run_steps(struct boot_info *bi)
{
    size_t logged = 0;

    assert_cpu0();
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        uint64_t from = time_cycles();
        int err = steps[i].fn(bi);

        if (err)
            panic("boot step \"%s\" failed (error %d): %s", steps[i].name, -err, steps[i].remedy);
        took[i] = time_cycles() - from;
        for (; time_cycles_hz() && logged <= i; logged++)
            if (steps[logged].name)
                log_time(&steps[logged], took[logged]);
    }
}

/* From entry.S: interrupts disabled, this_cpu() valid. */
_Noreturn void hv_main(struct boot_info *bi);

_Noreturn void hv_main(struct boot_info *bi)
{
    char id[BUILD_ID_MAX];

    drivers_early_console(bi);
    if (bi->magic != BOOT_INFO_MAGIC || bi->version != BOOT_INFO_VERSION || bi->size != sizeof(*bi))
        panic("the boot program and the hypervisor do not match: write the whole image again");
    kept_begin(bi->kept ? phys_to_virt(hpa(bi->kept)) : NULL);
    version_build_id(id, sizeof id);
    log_info("Trivet %s, build %.8s", trivet_version, id);
    run_steps(bi);
    cpu_loop();
}

_Noreturn void ap_main(void)
{
    event_cpu_init();
    cpu_loop();
}
