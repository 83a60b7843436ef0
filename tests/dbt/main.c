/* SPDX-License-Identifier: BSD-2-Clause */
/* A riscv64 machine as an ordinary program: see usage. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hosted.h"

#define TURN 20000 /* instructions of one hart before it is another's turn */

static const char usage[] =
    "usage: dbt [OPTION]...\n"
    "Runs a riscv64 machine in this process, its serial port on standard input and output.\n"
    "  --kernel FILE   a Linux Image; SBI is built in\n"
    "  --firmware FILE what harts begin in, in M-mode, instead of the built-in SBI: OpenSBI's\n"
    "                  fw_dynamic.bin, or U-Boot. The kernel may be any program then, or left out\n"
    "  --initrd FILE\n"
    "  --append TEXT   the kernel's command line\n"
    "  --elf FILE      a bare ELF file instead, started in M-mode. What it writes to its symbol\n"
    "                  tohost ends the program: 1 with success, else with failure and its number\n"
    "  --user FILE     an ELF file that knows Linux's write and exit only\n"
    "  --memory SIZE   of RAM, at 0x80000000: 256M\n"
    "  --harts N       1 to 8: 1\n"
    "  --engine NAME   interpret, jit, or lockstep: both, which must agree\n"
    "  --move N        with lockstep: after each N times some 400 instructions what runs compiled "
    "is\n"
    "                  saved, made anew, and restored\n"
    "  --limit N       stop with failure after so many instructions\n"
    "  --decode        print the names of the instructions whose bits standard input has, in hex\n"
    "  --stats         print counts at the end\n"
    "  --help          print this\n";

static struct {
    const char *kernel, *firmware, *initrd, *append, *elf, *user, *memory, *harts, *engine, *limit,
        *move;
    bool stats;
} opt = { .append = "", .memory = "256M", .harts = "1", .engine = "interpret" };

static struct rv_machine machine;
static struct rv_machine_ops user_ops;

_Noreturn void hosted_die(const char *format, ...)
{
    va_list ap;

    hosted_console_close();
    va_start(ap, format);
    fputs("dbt: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}

struct hosted_file hosted_read(const char *path)
{
    struct hosted_file f = { NULL, 0 };
    struct stat st;
    FILE *in = fopen(path, "rb");

    if (!in || fstat(fileno(in), &st) != 0)
        hosted_die("cannot read %s", path);
    f.size = (size_t)st.st_size;
    f.data = malloc(f.size + 1);
    if (!f.data || fread(f.data, 1, f.size, in) != f.size)
        hosted_die("cannot read %s", path);
    fclose(in);
    return f;
}

static void print_decoded(void)
{
    unsigned bits;

    while (scanf("%x", &bits) == 1)
        puts(rv_op_name(rv_decode(bits).op));
}

static void option(int c)
{
    switch (c) {
    case 'k': opt.kernel = optarg; break;
    case 'f': opt.firmware = optarg; break;
    case 'i': opt.initrd = optarg; break;
    case 'a': opt.append = optarg; break;
    case 'e': opt.elf = optarg; break;
    case 'u': opt.user = optarg; break;
    case 'm': opt.memory = optarg; break;
    case 'n': opt.harts = optarg; break;
    case 'g': opt.engine = optarg; break;
    case 'l': opt.limit = optarg; break;
    case 'v': opt.move = optarg; break;
    case 'd': print_decoded(); exit(0);
    case 's': opt.stats = true; break;
    case 'h': fputs(usage, stdout); exit(0);
    default: fputs(usage, stderr); exit(2);
    }
}

static bool engine_is_lockstep(void) { return !strcmp(opt.engine, "lockstep"); }
static bool engine_is_jit(void) { return !strcmp(opt.engine, "jit") || engine_is_lockstep(); }

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        { "kernel", 1, NULL, 'k' }, { "firmware", 1, NULL, 'f' }, { "initrd", 1, NULL, 'i' },
        { "append", 1, NULL, 'a' }, { "elf", 1, NULL, 'e' },      { "user", 1, NULL, 'u' },
        { "memory", 1, NULL, 'm' }, { "harts", 1, NULL, 'n' },    { "engine", 1, NULL, 'g' },
        { "limit", 1, NULL, 'l' },  { "decode", 0, NULL, 'd' },   { "stats", 0, NULL, 's' },
        { "move", 1, NULL, 'v' },   { "help", 0, NULL, 'h' },     { NULL, 0, NULL, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        option(c);
    if (optind != argc || !(opt.kernel || opt.firmware) + !opt.elf + !opt.user != 2)
        option('?');
    if (opt.move && !engine_is_lockstep())
        hosted_die("--move is for the engine lockstep");
    if (strcmp(opt.engine, "interpret") != 0 && !engine_is_jit())
        hosted_die("there is no engine %s", opt.engine);
}

static uint64_t number(const char *text, const char *units)
{
    char *end;
    uint64_t v = strtoull(text, &end, 0);

    if (*end && strchr(units, *end) && end[1] == 0)
        v <<= *end == 'G' ? 30 : *end == 'M' ? 20 : 10;
    else if (*end || end == text)
        hosted_die("not a number: %s", text);
    return v;
}

static void make_machine(void)
{
    static uint64_t seed[RVM_SEED];
    struct rv_machine *m = &machine;

    if (getrandom(seed, sizeof seed, GRND_NONBLOCK) == sizeof seed)
        m->seed = seed;
    m->ram_size = number(opt.memory, "KMG") & ~(DBT_PAGE - 1);
    m->ram = mmap(NULL, m->ram_size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    m->harts = (unsigned)number(opt.harts, "");
    if (engine_is_lockstep() && m->harts != 1)
        hosted_die("the engine lockstep runs one hart");
    if (m->ram == MAP_FAILED || m->harts < 1 || m->harts > RVM_HARTS)
        hosted_die("no such machine");
    for (unsigned n = 0; n < m->harts; n++) {
        m->hart[n] = engine_is_jit() ? hosted_engine_new() : calloc(1, sizeof *m->hart[n]);
        if (!m->hart[n])
            hosted_die("no memory");
    }
    m->host = &hosted_host;
    m->sbi = !opt.elf && !opt.firmware;
    rvm_init(m);
}

/* The address of tohost, or 0. */
static uint64_t start_elf(const char *path)
{
    struct hosted_file f = hosted_read(path);
    struct hosted_elf elf = hosted_load_elf(&machine, &f);

    for (unsigned n = 0; n < machine.harts; n++)
        rvm_start(&machine, n, elf.entry, n, 0);
    free(f.data);
    return elf.tohost;
}

/* In S-mode, with floating point on, a stack at the end of RAM, and every ECALL Linux's. */
static void start_user(void)
{
    struct rv_hart *h = machine.hart[0];

    start_elf(opt.user);
    user_ops = *h->machine;
    user_ops.ecall = hosted_user_ecall;
    h->machine = &user_ops;
    h->cpu.mstatus |= RV_MSTATUS_FS;
    h->cpu.x[2] = RVM_RAM + machine.ram_size;
}

static struct hosted_file read_if(const char *path)
{
    return path ? hosted_read(path) : (struct hosted_file){ NULL, 0 };
}

static void start_linux(void)
{
    struct hosted_file kernel = read_if(opt.kernel), initrd = read_if(opt.initrd),
                       firmware = read_if(opt.firmware);
    struct rvm_files files = { .append = opt.append,
                               .kernel = kernel.data,
                               .kernel_size = kernel.size,
                               .initrd = initrd.data,
                               .initrd_size = initrd.size,
                               .firmware = firmware.data,
                               .firmware_size = firmware.size };

    if (firmware.data ? rvm_load_firmware(&machine, &files) : rvm_load_linux(&machine, &files))
        hosted_die("%s is no Image of riscv64, or does not fit",
                   firmware.data ? opt.firmware : opt.kernel);
    free(kernel.data);
    free(initrd.data);
    free(firmware.data);
}

/* The protocol of riscv-tests: bit 0 and a number; or device 1, command 1: a character. */
static void look_at_tohost(uint64_t pa)
{
    uint64_t *at = pa ? (uint64_t *)(void *)(machine.ram + (pa - RVM_RAM)) : NULL;
    char c;

    if (!at || !*at)
        return;
    if (*at & 1) {
        machine.end = *at == 1 ? RVM_POWEROFF : RVM_FAILED;
        machine.exit_code = (uint32_t)(*at >> 1);
    } else if (*at >> 48 == 0x0101) {
        c = (char)*at;
        machine.host->put(machine.ctx, &c, 1);
    }
    *at = 0;
}

static bool firmware_is_missing(const struct rv_hart *h)
{
    if (!machine.sbi || h->cpu.mode != RV_M)
        return false;
    fprintf(stderr, "dbt: trap to M-mode, where there is nothing: cause %llx at %llx, mtval %llx\n",
            (unsigned long long)h->cpu.mcause, (unsigned long long)h->cpu.mepc,
            (unsigned long long)h->cpu.mtval);
    return true;
}

/* One turn of each hart; how many instructions. */
static uint64_t turn(void)
{
    uint64_t ran = 0;

    for (unsigned n = 0; n < machine.harts && machine.end == RVM_RUNS; n++) {
        if (machine.hart_state[n] != RVM_STARTED)
            continue;
        rvm_poll(&machine, n);
        ran += hosted_run(machine.hart[n], TURN);
        if (firmware_is_missing(machine.hart[n]))
            machine.end = RVM_FAILED;
    }
    return ran;
}

/* In step, time is what the harts say it is. */
static void wait_until(uint64_t ticks)
{
    if (engine_is_lockstep() && ticks < 100u * RVM_TIMEBASE)
        hosted_lockstep_skip(ticks);
    else
        hosted_console_wait(ticks);
}

static void run(uint64_t tohost)
{
    uint64_t total = 0, limit = opt.limit ? number(opt.limit, "KMG") : UINT64_MAX;

    while (machine.end == RVM_RUNS) {
        uint64_t ran = turn(), next;

        total += ran;
        look_at_tohost(tohost);
        if (total > limit) {
            fprintf(stderr, "dbt: %llu instructions and no end\n", (unsigned long long)total);
            machine.end = RVM_FAILED;
        }
        if (ran || machine.end != RVM_RUNS)
            continue;
        next = rvm_next_timer(&machine);
        ran = machine.host->time(machine.ctx);
        wait_until(next > ran ? next - ran : 0);
    }
}

static void print_stats(void)
{
    for (unsigned n = 0; n < machine.harts; n++) {
        const struct rv_hart *h = machine.hart[n];

        fprintf(stderr,
                "hart %u: %llu instructions, %llu walks, %llu contexts, %llu flushes, %llu "
                "device accesses\n",
                n, (unsigned long long)h->cpu.instret, (unsigned long long)h->mem.stats.walks,
                (unsigned long long)h->mem.stats.contexts, (unsigned long long)h->mem.stats.flushes,
                (unsigned long long)h->mem.stats.device_accesses);
    }
}

int main(int argc, char **argv)
{
    uint64_t tohost = 0;

    parse(argc, argv);
    make_machine();
    hosted_console_open((opt.kernel || opt.firmware) && isatty(STDIN_FILENO));
    if (opt.kernel || opt.firmware)
        start_linux();
    else if (opt.elf)
        tohost = start_elf(opt.elf);
    else
        start_user();
    if (engine_is_jit())
        hosted_engine_start(engine_is_lockstep() ? &machine : NULL,
                            opt.move ? number(opt.move, "K") : 0);
    run(tohost);
    hosted_console_close();
    if (opt.stats) {
        print_stats();
        hosted_engine_stats();
    }
    if (machine.end == RVM_FAILED && opt.elf && machine.exit_code)
        fprintf(stderr, "dbt: test %u failed\n", machine.exit_code);
    return machine.end == RVM_FAILED ? machine.exit_code & 127 ? (int)(machine.exit_code & 127) : 1
                                     : (int)(machine.exit_code & 127);
}
