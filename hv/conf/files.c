/* SPDX-License-Identifier: BSD-2-Clause */
/* files.c: which files a configuration names. Also a part of the loader. */
#include <hv/config_files.h>

#include <stdint.h>
#include <string.h>

#include <disk_source.h>
#include <ini.h>

/*
 * Where the file's name ends in the value: at none of these (the whole value), at a comma, or at
 * white space.
 */
static const struct {
    const char *key, *end;
} file_keys[] = { { "kernel", "" }, { "initrd", "" }, { "firmware", "" },
                  { "disk", "," },  { "cdrom", "," }, { "module", " \t" } };

static const char *const uefi_files[] = { "firmware/uefi-x86_64.fd", "firmware/uefi-aarch64.fd" };
#define UEFI_FILES (sizeof uefi_files / sizeof uefi_files[0])

static const char *const secure_files[] = { "firmware/uefi-x86_64-secure.fd" };
#define SECURE_FILES (sizeof secure_files / sizeof secure_files[0])

const char *config_uefi_file(unsigned isa) { return isa < UEFI_FILES ? uefi_files[isa] : NULL; }

const char *config_secure_file(unsigned isa)
{
    return isa < SECURE_FILES ? secure_files[isa] : NULL;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c; }
static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Do the first n bytes agree, or all up to the end of both, in either case? */
static bool conf_same(const char *a, const char *b, size_t n)
{
    size_t i = 0;

    while (i < n && lower(a[i]) == lower(b[i])) {
        if (!a[i])
            return true;
        i++;
    }
    return i == n;
}

size_t config_name_len(const char *value, const char *end)
{
    size_t n = strcspn(value, end);

    while (n && is_blank(value[n - 1]))
        n--;
    return n;
}

/* What they name may be a disk of the machine. */
static bool is_disk(const char *key)
{
    return conf_same(key, "disk", SIZE_MAX) || conf_same(key, "cdrom", SIZE_MAX);
}

const char *config_file_of(const char *key, const char *value, size_t *len)
{
    for (size_t i = 0; i < sizeof file_keys / sizeof file_keys[0]; i++) {
        size_t skip = 0;

        if (!conf_same(key, file_keys[i].key, SIZE_MAX))
            continue;
        if (is_disk(file_keys[i].key) && disk_source(value, &skip) != DISK_FILE)
            return NULL;
        *len = config_name_len(value + skip, file_keys[i].end);
        return *len ? value + skip : NULL;
    }
    return NULL;
}

static char conf_fold(char c) { return c == '\\' ? '/' : lower(c); }

bool config_same_file(const char *a, size_t n, const char *b, size_t m)
{
    while (n && conf_fold(*a) == '/')
        a++, n--;
    while (m && conf_fold(*b) == '/')
        b++, m--;
    if (n != m)
        return false;
    for (size_t i = 0; i < n; i++)
        if (conf_fold(a[i]) != conf_fold(b[i]))
            return false;
    return true;
}

struct scan {
    unsigned isa;
    void (*add)(void *ctx, unsigned line, const char *path, size_t len);
    void *ctx;
};

/* `cloud-init = USER-DATA[,META-DATA]`; - and _ are one. */
static bool is_cloud_init(const char *key)
{
    return conf_same(key, "cloud-init", SIZE_MAX) || conf_same(key, "cloud_init", SIZE_MAX);
}

static void add_parts(const struct scan *s, unsigned line, const char *value)
{
    while (*value) {
        size_t len;

        while (is_blank(*value) || *value == ',')
            value++;
        len = config_name_len(value, ",");
        if (len)
            s->add(s->ctx, line, value, len);
        value += strcspn(value, ",");
    }
}

static bool is_microcode(const char *section, const char *key, const char *value)
{
    return key && value && *value && conf_same(section, "host", SIZE_MAX) &&
           conf_same(key, "microcode", SIZE_MAX);
}

/* `boot-file = FILE` of the NAT network; - and _ are one. */
static bool is_net_boot(const char *section, const char *key, const char *value)
{
    const char *name = section + 3;

    if (!key || !value || !*value || !conf_same(section, "net", 3) || !is_blank(*name) ||
        (!conf_same(key, "boot-file", SIZE_MAX) && !conf_same(key, "boot_file", SIZE_MAX)))
        return false;
    while (is_blank(*name))
        name++;
    return conf_same(name, "nat", SIZE_MAX);
}

static void add_firmware(const struct scan *s, unsigned line, const char *const *files, size_t n)
{
    for (unsigned i = 0; i < n; i++)
        if (s->isa == i || s->isa == CONFIG_ALL_ISAS)
            s->add(s->ctx, line, files[i], strlen(files[i]));
}

/* `secure-boot = yes`, in the words that config.c takes. */
static bool is_secure_boot(const char *key, const char *value)
{
    static const char *const words[] = { "yes", "on", "true", "1" };

    if (!conf_same(key, "secure-boot", SIZE_MAX) && !conf_same(key, "secure_boot", SIZE_MAX))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (conf_same(value, words[i], SIZE_MAX))
            return true;
    return false;
}

static int on_value(void *user, const char *section, const char *key, const char *value, int line)
{
    struct scan *s = user;
    const char *path;
    size_t len;

    if (is_microcode(section, key, value) || is_net_boot(section, key, value))
        s->add(s->ctx, (unsigned)line, value, strlen(value));
    if (!key || !value || !conf_same(section, "guest", 5) || !is_blank(section[5]))
        return 1;
    if (conf_same(key, "firmware", SIZE_MAX) && conf_same(value, FIRMWARE_UEFI, SIZE_MAX)) {
        add_firmware(s, (unsigned)line, uefi_files, UEFI_FILES);
        return 1;
    }
    if (is_secure_boot(key, value)) {
        add_firmware(s, (unsigned)line, secure_files, SECURE_FILES);
        return 1;
    }
    if (is_cloud_init(key)) {
        add_parts(s, (unsigned)line, value);
        return 1;
    }
    path = config_file_of(key, value, &len);
    if (path)
        s->add(s->ctx, (unsigned)line, path, len);
    return 1;
}

void config_files(const char *text, unsigned isa,
                  void (*add)(void *ctx, unsigned line, const char *path, size_t len), void *ctx)
{
    struct scan s = { .isa = isa, .add = add, .ctx = ctx };

    (void)ini_parse_string(text, on_value, &s);
}

static int on_microcode(void *user, const char *section, const char *key, const char *value,
                        int line)
{
    struct scan *s = user;

    if (is_microcode(section, key, value))
        s->add(s->ctx, (unsigned)line, value, strlen(value));
    return 1;
}

void config_microcode(const char *text,
                      void (*add)(void *ctx, unsigned line, const char *path, size_t len),
                      void *ctx)
{
    struct scan s = { .add = add, .ctx = ctx };

    (void)ini_parse_string(text, on_microcode, &s);
}

static int on_host_value(void *user, const char *section, const char *key, const char *value,
                         int line)
{
    unsigned *cpus = user, n = 0;

    (void)line;
    if (!key || !value || !conf_same(section, "host", SIZE_MAX) ||
        !conf_same(key, "max-cpus", SIZE_MAX))
        return 1;
    for (; *value >= '0' && *value <= '9' && n < 100000; value++)
        n = n * 10 + (unsigned)(*value - '0');
    *cpus = *value ? 0 : n;
    return 1;
}

unsigned config_max_cpus(const char *text)
{
    unsigned cpus = 0;

    (void)ini_parse_string(text, on_host_value, &cpus);
    return cpus;
}
