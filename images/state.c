/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state: reads and changes a state volume with the very code that Trivet has (hv/store), on a
 * workstation. images/state builds and calls it.
 *
 *   state list|check FILE
 *   state get|put|remove FILE NAME     the object's bytes come on standard output or input
 *
 * FILE: a disk or an image of one, with the partition, or the partition itself. Exit status: 0; 1:
 * what `check` found, or a refusal; 2: FILE cannot be used.
 */
#include <fcntl.h>
#include <hv/panic.h>
#include <hv/part.h>
#include <hv/store.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct store store;
static uint8_t page[STORE_PAGE];
static int fd;
static uint64_t start; /* of the partition in the file, bytes */

_Noreturn static void printf_like(2, 3) give_up(int status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("state: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(status);
}

_Noreturn void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

/* ---- the file ---- */

static int file_io(struct store *s, enum store_io what, uint32_t number)
{
    off_t at = (off_t)(start + (uint64_t)number * STORE_PAGE);
    ssize_t n = STORE_PAGE;

    if (what == STORE_IO_READ)
        n = pread(fd, s->page, STORE_PAGE, at);
    else if (what == STORE_IO_WRITE)
        n = pwrite(fd, s->page, STORE_PAGE, at);
    else if (fsync(fd))
        n = -1;
    return n == STORE_PAGE ? 1 : -EIO;
}

static int read_block(void *ctx, uint64_t lba, void *buf)
{
    const uint32_t *block = ctx;

    return pread(fd, buf, *block, (off_t)(lba * *block)) == (ssize_t)*block ? 0 : -EIO;
}

/* The partition of the volume's type; false: there is no such table. */
static bool find_partition(uint32_t block, uint64_t size)
{
    static const uint8_t type[16] = STORE_PARTITION_TYPE;
    static struct part_table table;
    static uint8_t buf[4096];
    struct part_source s = { read_block, &block, block, size / block };

    if (part_read(&s, buf, &table) || table.kind != PART_GPT)
        return false;
    for (uint32_t i = 0; i < table.n; i++)
        if (memcmp(table.part[i].type, type, sizeof type) == 0) {
            start = table.part[i].first * 512;
            store.pages = table.part[i].sectors * 512 / STORE_PAGE;
            return true;
        }
    give_up(2, "the disk has no state volume: a partition of type "
               "81ed4ef6-b135-4f3e-b527-fdf740811e0e");
}

static void open_file(const char *path, bool writes)
{
    static const struct store_disk disk = { file_io };
    off_t size;

    fd = open(path, writes ? O_RDWR : O_RDONLY);
    if (fd < 0 || (size = lseek(fd, 0, SEEK_END)) < 0)
        give_up(2, "%s: %s", path, strerror(errno));
    store.disk = &disk;
    store.page = page;
    store.pages = (uint64_t)size / STORE_PAGE;
    if (!find_partition(512, (uint64_t)size))
        (void)find_partition(4096, (uint64_t)size);
    store_open(&store, NULL);
    if (store.state != STORE_READY)
        give_up(1, "%s: neither of its two roots is whole: nothing in it can be read", path);
}

/* ---- objects ---- */

struct request {
    struct store_op op;
    int status;
    uint8_t *bytes;
    bool quiet;
};

static void to_or_from(struct store_op *op, uint32_t number, uint8_t *bytes)
{
    struct request *r = (struct request *)op;
    uint64_t at = (uint64_t)number * STORE_PAGE;
    size_t n = (size_t)min_u64(op->len - at, STORE_PAGE);

    if (op->kind == STORE_PUT)
        memcpy(bytes, r->bytes + at, n);
    else if (!r->quiet && fwrite(bytes, 1, n, stdout) != n)
        give_up(2, "standard output: %s", strerror(errno));
}

static void ended(struct store_op *op, int status) { ((struct request *)op)->status = status; }

static int act(enum store_kind kind, const char *name, struct request *r)
{
    if (strlen(name) >= STORE_NAME)
        return -EINVAL;
    r->op.kind = kind;
    r->op.page = to_or_from;
    r->op.done = ended;
    strcpy(r->op.name, name);
    store_submit(&store, &r->op);
    return r->status;
}

static void get_object(const char *name)
{
    struct request r = { .op.len = STORE_OBJECT_MAX };
    int err = act(STORE_GET, name, &r);

    if (err)
        give_up(1, "%s: %s", name, err == -ENOENT ? "there is no such object" : "it is damaged");
}

static void put_object(const char *name)
{
    static uint8_t bytes[STORE_OBJECT_MAX + 1];
    struct request r = { .bytes = bytes };
    int err;

    r.op.len = fread(bytes, 1, sizeof bytes, stdin);
    err = act(STORE_PUT, name, &r);
    if (err)
        give_up(1, "%s: %s", name, strerror(-err));
}

static void remove_object(const char *name)
{
    struct request r = { .quiet = true };
    int err = act(STORE_REMOVE, name, &r);

    if (err)
        give_up(1, "%s: %s", name, strerror(-err));
}

static void list_objects(const char *name)
{
    struct store_object o;
    struct store_space p;

    (void)name;
    for (uint32_t i = 0; store_object(&store, i, &o); i++)
        printf("%10llu  %8llu  %s%s\n", (unsigned long long)o.len, (unsigned long long)o.sequence,
               o.name, o.damaged ? "  (damaged)" : "");
    store_space(&store, &p);
    printf("%llu of %llu KiB free, %llu updates, %llu KiB written\n",
           (unsigned long long)(p.free / KIB), (unsigned long long)(p.bytes / KIB),
           (unsigned long long)p.updates, (unsigned long long)(p.written / KIB));
}

/* Every byte of every object is read. */
static void check_objects(const char *name)
{
    struct store_object o;
    unsigned damaged = 0, n = 0;

    (void)name;
    for (; store_object(&store, n, &o); n++) {
        struct request r = { .op.len = STORE_OBJECT_MAX, .quiet = true };
        int err = act(STORE_GET, o.name, &r);

        if (err)
            printf("%s: damaged\n", o.name);
        damaged += err != 0;
    }
    printf("%u objects, %u damaged\n", n, damaged);
    if (damaged)
        exit(1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        bool writes;
        void (*run)(const char *name);
    } verbs[] = {
        { "list", 3, false, list_objects },   { "check", 3, false, check_objects },
        { "get", 4, false, get_object },      { "put", 4, true, put_object },
        { "remove", 4, true, remove_object },
    };

    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0 && argc == verbs[i].args) {
            open_file(argv[2], verbs[i].writes);
            verbs[i].run(argv[3]);
            return fflush(stdout) ? 2 : 0;
        }
    give_up(2, "see images/state --help");
}
