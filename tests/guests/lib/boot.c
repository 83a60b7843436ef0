/* SPDX-License-Identifier: BSD-2-Clause */
/* What the loader left: Multiboot 1, Multiboot 2 and PVH information, read into struct boot. */
#include "guest.h"

struct boot boot = { .protocol = "?", .cmdline = "" };
extern char _end[];
extern uint32_t boot_magic, boot_info_addr;
static uint64_t alloc_next;

static void add_ram(uint64_t base, uint64_t len)
{
    boot.ram_ranges++;
    boot.ram_total += len;
    if (base < 0x100000000ull && base + len > boot.ram_end)
        boot.ram_end = base + len;
}

static void add_module(uint64_t base, uint64_t len, const char *cmdline)
{
    if (boot.modules < 4)
        boot.module[boot.modules++] = (struct boot_module){ base, len, cmdline ? cmdline : "" };
}

static const void *at(uint64_t addr) { return (const void *)addr; }
static uint32_t rd32(uint64_t addr)
{
    uint32_t v;
    memcpy(&v, at(addr), 4);
    return v;
}
static uint64_t rd64(uint64_t addr)
{
    uint64_t v;
    memcpy(&v, at(addr), 8);
    return v;
}

/* Multiboot 0.6.96, 3.3 */
static void parse_mb1(uint64_t mbi)
{
    uint32_t flags = rd32(mbi);
    boot.protocol = "multiboot1";
    if (flags & 4)
        boot.cmdline = at(rd32(mbi + 16));
    if (flags & 8)
        for (uint32_t i = 0, m = rd32(mbi + 24); i < rd32(mbi + 20) && i < 4; i++, m += 16)
            add_module(rd32(m), rd32(m + 4) - rd32(m), at(rd32(m + 8)));
    if (!(flags & 0x40))
        return;
    uint64_t e = rd32(mbi + 48), end = e + rd32(mbi + 44);
    for (; e < end; e += rd32(e) + 4)
        if (rd32(e + 20) == 1)
            add_ram(rd64(e + 4), rd64(e + 12));
}

static void mb2_mmap(uint64_t tag)
{
    uint32_t size = rd32(tag + 8);
    for (uint64_t e = tag + 16; size && e + size <= tag + rd32(tag + 4); e += size)
        if (rd32(e + 16) == 1)
            add_ram(rd64(e), rd64(e + 8));
}

/* Multiboot2 2.0, 3.6 */
static void parse_mb2(uint64_t mbi)
{
    boot.protocol = "multiboot2";
    uint64_t end = mbi + rd32(mbi);
    for (uint64_t t = mbi + 8; t < end && rd32(t) != 0; t += (rd32(t + 4) + 7) & ~7u) {
        uint32_t type = rd32(t);
        if (type == 1)
            boot.cmdline = at(t + 8);
        else if (type == 3)
            add_module(rd32(t + 8), rd32(t + 12) - rd32(t + 8), at(t + 16));
        else if (type == 6)
            mb2_mmap(t);
        else if ((type == 14 && !boot.rsdp) || type == 15)
            boot.rsdp = t + 8;
    }
}

/* struct hvm_start_info, version 1 */
static void parse_pvh(uint64_t si)
{
    boot.protocol = "pvh";
    if (rd32(si) != 0x336ec578)
        return;
    if (rd64(si + 24))
        boot.cmdline = at(rd64(si + 24));
    boot.rsdp = rd64(si + 32);
    for (uint64_t i = 0, m = rd64(si + 16); i < rd32(si + 12) && i < 4; i++, m += 32)
        add_module(rd64(m), rd64(m + 8), at(rd64(m + 16)));
    if (rd32(si + 4) < 1)
        return;
    for (uint64_t i = 0, e = rd64(si + 40); i < rd32(si + 48); i++, e += 24)
        if (rd32(e + 16) == 1)
            add_ram(rd64(e), rd64(e + 8));
}

void boot_parse(uint32_t magic, uint64_t info)
{
    if (magic == 0x2badb002)
        parse_mb1(info);
    else if (magic == 0x36d76289)
        parse_mb2(info);
    else
        parse_pvh(info);
    alloc_next = (uint64_t)_end;
    for (unsigned i = 0; i < boot.modules; i++)
        if (boot.module[i].base + boot.module[i].len > alloc_next)
            alloc_next = boot.module[i].base + boot.module[i].len;
    if (info > alloc_next && info < alloc_next + 0x100000)
        alloc_next = info + 0x10000;
    alloc_next = (alloc_next + 0xffff) & ~0xffffull;
}

void *page_alloc(size_t pages)
{
    uint64_t at = __atomic_fetch_add(&alloc_next, pages * 4096, __ATOMIC_RELAXED);
    void *p = (void *)at;

    if (at + pages * 4096 > boot.ram_end) {
        fail("memory", "no %zu pages left below %lx", pages, boot.ram_end);
        done();
    }
    memset(p, 0, pages * 4096);
    return p;
}

void guest_start(void);
void guest_start(void)
{
    trap_init_cpu(0);
    boot_parse(boot_magic, boot_info_addr);
    guest_main();
    done();
}
