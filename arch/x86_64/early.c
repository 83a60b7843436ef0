/* early.c: TEMPORARY, until hv/core/main.c and drivers/serial are there: shows that the hypervisor was entered. */
#include "boot/boot_info.h"

#include "private.h"

void hv_main(struct boot_info *bi) __attribute__((weak));
struct percpu percpus[MAX_CPUS] __attribute__((weak));

static void puts_early(const char *s)
{
    for (; *s; s++) {
        while (!(inb(0x3fd) & 0x20))
            ;
        outb(0x3f8, (uint8_t)*s);
    }
}

void hv_main(struct boot_info *bi)
{
    puts_early(bi->magic == BOOT_INFO_MAGIC ? "Trivet\r\n" : "Trivet: bad boot_info\r\n");
    cli();
    __asm__ volatile("hlt");
}

#include <hv/log.h>
#include <hv/panic.h>

__attribute__((weak)) void hv_log(enum log_level l, const char *fmt, ...)
{
    (void)l;
    puts_early(fmt);
    puts_early("\r\n");
}

__attribute__((weak)) void panic(const char *fmt, ...)
{
    puts_early(fmt);
    for (;;)
        __asm__ volatile("cli; hlt");
}

__attribute__((weak)) bool symbol_lookup(uint64_t addr, const char **name, uint64_t *offset)
{
    (void)addr;
    (void)name;
    (void)offset;
    return false;
}


#include <arch/cpu.h>
#include <arch/smp.h>

__attribute__((weak)) void ap_main(void) { cpu_halt_forever(); }
