/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first program of a Linux system whose reads from a disk are counted: loads the modules of
 * /lib/modules/list, then reads the first of /dev/vda and /dev/nvme0n1 that is there, directly and
 * asynchronously: for each size of block and each depth, asking for one read at a time and for all
 * that are due at once. A mark for tests/qemu/counter.c stands before (0) and behind (1) each
 * PART reads; there are PARTS of them in a row. An ordinary static program, unlike its neighbours.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEEPEST = 32, LARGEST = 65536, PARTS = 8, PART = 256, DISK = 64 << 20 };

static const unsigned sizes[] = { 512, 4096, LARGEST }, depths[] = { 1, 8, DEEPEST };
static uint8_t data[DEEPEST][LARGEST] __attribute__((aligned(4096)));
static aio_context_t context;
static int disk = -1;

static void leave(const char *why)
{
    printf("bench: %s (%s)\n", why, strerror(errno));
    fflush(stdout);
    usleep(100000);
    if (iopl(3) == 0)
        outb(0x10, 0xf4);
    for (;;)
        pause();
}

static void load_modules(void)
{
    FILE *list = fopen("/lib/modules/list", "r");
    char name[100], path[128];

    while (list && fscanf(list, "%99s", name) == 1) {
        snprintf(path, sizeof path, "/lib/modules/%s", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            syscall(SYS_finit_module, fd, "", 0);
            close(fd);
        }
    }
    if (list)
        fclose(list);
}

static void open_disk(void)
{
    static const char *const names[] = { "/dev/vda", "/dev/nvme0n1" };

    for (int wait = 0; wait < 100 && disk < 0; wait++) {
        for (unsigned i = 0; i < 2 && disk < 0; i++)
            disk = open(names[i], O_RDONLY | O_DIRECT | O_CLOEXEC);
        usleep(100000);
    }
    if (disk < 0)
        leave("no disk");
}

/* A block that is no neighbour of the one before: neighbours would be read as one. */
static uint64_t next_block(unsigned bytes)
{
    static uint32_t n = 1;

    n = n * 1664525 + 1013904223;
    return (uint64_t)(n >> 8) % (DISK / bytes) * bytes;
}

/* `most`: by one call. */
static void submit(const unsigned *slots, unsigned n, unsigned bytes, unsigned most)
{
    static struct iocb blocks[DEEPEST];
    struct iocb *list[DEEPEST];

    for (unsigned i = 0; i < n; i++) {
        unsigned slot = slots[i];

        blocks[slot] = (struct iocb){ .aio_data = slot,
                                      .aio_lio_opcode = IOCB_CMD_PREAD,
                                      .aio_fildes = (uint32_t)disk,
                                      .aio_buf = (uintptr_t)data[slot],
                                      .aio_nbytes = bytes,
                                      .aio_offset = (int64_t)next_block(bytes) };
        list[i] = &blocks[slot];
    }
    for (unsigned at = 0, now; at < n; at += now) {
        now = n - at < most ? n - at : most;
        if (syscall(SYS_io_submit, context, (long)now, list + at) != (long)now)
            leave("a read was not taken");
    }
}

/* PART reads, of which `depth` are under way. */
static void reads(unsigned bytes, unsigned depth, unsigned most)
{
    unsigned slots[DEEPEST], n = depth, asked = depth, done = 0;
    struct io_event events[DEEPEST];

    for (unsigned i = 0; i < depth; i++)
        slots[i] = i;
    while (done < PART) {
        submit(slots, n, bytes, most);
        long got = syscall(SYS_io_getevents, context, 1L, (long)DEEPEST, events, NULL);
        if (got < 1)
            leave("no answer");
        n = 0;
        for (long i = 0; i < got; i++) {
            if (events[i].res != (int64_t)bytes)
                leave("a read failed");
            done++;
            if (asked < PART) {
                slots[n++] = (unsigned)events[i].data;
                asked++;
            }
        }
    }
}

#define MARK(n) __asm__ volatile("nopl 0x54520000 + %c0(%%rax)" : : "i"(n) : "memory")

static void stream(unsigned bytes, unsigned depth, unsigned most)
{
    reads(bytes, depth, most); /* not counted: all is in its place then */
    for (unsigned i = 0; i < PARTS; i++) {
        MARK(0);
        reads(bytes, depth, most);
        MARK(1);
    }
}

int main(void)
{
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    load_modules();
    open_disk();
    if (syscall(SYS_io_setup, DEEPEST, &context) != 0)
        leave("no asynchronous reads");
    memset(data, 0xff, sizeof data);
    for (unsigned most = 1; most <= DEEPEST; most += DEEPEST - 1)
        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (unsigned j = 0; j < sizeof depths / sizeof depths[0]; j++)
                stream(sizes[i], depths[j], most);
    leave("end");
}
