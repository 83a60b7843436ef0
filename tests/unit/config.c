/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <hv/config.h>
#include <hv/config_help.h>
#include <hv/words.h>

static bool exists(const char *path) { return strstr(path, "missing") == NULL; }

static int disk_exists(enum disk_source, const char *);
static const struct config_limits limits = {
    .memory_max = 8 * GIB, .cpus = 4, .file_exists = exists, .disk_exists = disk_exists
};
static int disk_exists(enum disk_source source, const char *name)
{
    (void)source;
    return strstr(name, "two") ? -EEXIST : strstr(name, "9") ? -ENOENT : 0;
}

static struct config c;

static int parse(const char *text)
{
    config_free(&c);
    return config_parse(text, strlen(text), &limits, &c);
}

static void expect_error(unsigned i, unsigned line, const char *part)
{
    assert_true(i < c.nerrors);
    assert_int_equal(c.error[i].line, line);
    if (!strstr(c.error[i].text, part))
        fail_msg("error %u is \"%s\", without \"%s\"", i, c.error[i].text, part);
}

static void test_disks(void **state)
{
    static const struct {
        const char *value, *path;
        enum disk_source source;
    } disks[] = {
        { "nvme0", "nvme0", DISK_NAME },
        { "nvme12p3,ro", "nvme12p3", DISK_NAME },
        { "virtio0p2", "virtio0p2", DISK_NAME },
        { "virtio", "virtio", DISK_FILE },
        { "nvme", "nvme", DISK_FILE },
        { "nvme0.img", "nvme0.img", DISK_FILE },
        { "nvme0p", "nvme0p", DISK_FILE },
        { "nvme1234", "nvme1234", DISK_FILE },
        { "file:nvme0", "nvme0", DISK_FILE },
        { "partlabel:my data", "my data", DISK_PARTLABEL },
        { "partuuid:AB-1", "AB-1", DISK_PARTUUID },
        { "serial:S1,ro", "S1", DISK_SERIAL },
        { "guests/nvme0", "guests/nvme0", DISK_FILE },
    };
    char text[200];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(disks); i++) {
        snprintf(text, sizeof text, "[guest d]\nkernel = k\ndisk = %s\n", disks[i].value);
        assert_int_equal(parse(text), 0);
        assert_string_equal(c.guest[0].disk[0].path, disks[i].path);
        assert_int_equal(c.guest[0].disk[0].source, disks[i].source);
        assert_int_equal(c.guest[0].disk[0].ro, strstr(disks[i].value, ",ro") != NULL);
    }
    assert_int_equal(parse("[guest d]\nkernel = k\ndisk = nvme9\ndisk = partlabel:two\n"
                           "disk = file:missing\ndisk = nvme0,rw\n"),
                     4);
    expect_error(0, 3, "no such disk or partition; `disks` on the console lists them");
    expect_error(1, 4, "several disks or partitions are called so");
    expect_error(2, 5, "there is no such file");
    expect_error(3, 6, "only `,ro`, `,iops=N` (requests a second) and `,bandwidth=SIZE`");
    assert_int_equal(parse("[guest d]\nkernel = k\ndisk = d1, iops=500 ,ro,bandwidth=20M\n"
                           "disk = d2\ndisk = d1,iops=0\ndisk = d1,iops=1000001\n"
                           "disk = d1,bandwidth=1K\ndisk = d1,iops=5,\n"),
                     4);
    assert_int_equal(c.guest[0].ndisks, 2);
    assert_int_equal(c.guest[0].disk[0].iops, 500);
    assert_int_equal(c.guest[0].disk[0].bandwidth, 20 << 20);
    assert_true(c.guest[0].disk[0].ro);
    assert_false(c.guest[0].disk[1].ro || c.guest[0].disk[1].iops || c.guest[0].disk[1].bandwidth);
}

static void test_everything(void **state)
{
    (void)state;
    assert_int_equal(parse("\xef\xbb\xbf[host]\r\nlog = debug\r\n[guest debian]\nkernel = "
                           "g/vmlinuz\ninitrd=g\\initrd ; note\n"
                           "cmdline = console=hvc0 quiet\nmemory = 1.5G\n"),
                     1);
    expect_error(0, 7, "not a size; give 1M to 8 GiB");
    assert_int_equal(parse("[host]\nlog = debug\nmitigations = off\nsmt = core\niommu = "
                           "deferred\n[guest d]\nkernel "
                           "= k\nmemory = 512M\ndisk-changes = 64M\noverhead=5M\nvcpus=4\nweight = "
                           "300\ncpus = 0,2-3\nkind = PVH\n"
                           "isa = x86_64\nmodule = m1 a b\nmodule = m2\ndisk = d1,ro\ndisk = "
                           "d2\nrng=no\nautostart=off\ndebug-exit=yes\n"
                           "x2apic=no\npv=no\nengine=JIT\n"),
                     0);
    assert_int_equal(c.host.log, LOG_DEBUG);
    assert_int_equal(c.host.mitigations, MITIGATIONS_OFF);
    assert_int_equal(c.host.smt, SMT_CORE);
    assert_int_equal(c.host.unmap, UNMAP_DEFERRED);
    assert_int_equal(c.nguests, 1);
    struct guest_config *g = &c.guest[0];
    assert_string_equal(g->name, "d");
    assert_string_equal(g->kernel, "k");
    assert_int_equal(g->memory, 512 * MIB);
    assert_int_equal(g->disk_changes, 64 * MIB);
    assert_int_equal(g->overhead, 5 * MIB);
    assert_int_equal(g->vcpus, 4);
    assert_int_equal(g->weight, 300);
    assert_int_equal(g->cpus.w[0], 0xd);
    assert_int_equal(g->kind, KIND_PVH);
    assert_int_equal(g->isa, ISA_X86_64);
    assert_int_equal(g->engine, CONFIG_ENGINE_JIT);
    assert_int_equal(g->nmodules, 2);
    assert_string_equal(g->module[0].path, "m1");
    assert_string_equal(g->module[0].args, "a b");
    assert_string_equal(g->module[1].args, "");
    assert_int_equal(g->ndisks, 2);
    assert_true(g->disk[0].ro && !g->disk[1].ro);
    assert_true(!g->rng && !g->autostart && g->debug_exit && !g->x2apic && !g->pv && !g->bad);
}

static void test_every_error_at_once(void **state)
{
    (void)state;
    assert_int_equal(parse("x = 1\n[gest a]\nkernel = k\n[guest a b]\n[guest a]\nkernle = k\nvcpus "
                           "= 513\nvcpus = 2\nmemory = 12Q\n"
                           "cpus = 4\ncpus = a\nkind = elf\n[guest a]\n[guest ok]\nkernel = "
                           "k\n[guest m]\nkernel = missing\n[bad\nnonsense\n"),
                     15);
    expect_error(0, 1, "before the first section");
    expect_error(1, 2, "no such section");
    expect_error(2, 4, "a guest's name is 1 to 31");
    expect_error(3, 5, "`kernel = FILE` is missing");
    expect_error(4, 6, "did you mean `kernel`?");
    expect_error(5, 7, "give a number from 1 to 512");
    expect_error(6, 8, "already given");
    expect_error(7, 9, "`memory = 12Q`: not a size");
    expect_error(8, 10, "CPUs 0 to 3");
    expect_error(9, 11, "already given");
    expect_error(10, 12, "give one of auto, linux");
    expect_error(11, 13, "already given in line 5");
    expect_error(12, 17, "no such file");
    assert_int_equal(c.nguests, 3);
    assert_true(c.guest[0].bad);
    assert_false(c.guest[1].bad);
    assert_string_equal(c.guest[1].name, "ok");
    assert_true(c.guest[2].bad);
}

/* One file, one error each: what a newcomer writes, and what tells him right. */
static void test_right_words(void **state)
{
    static const struct {
        const char *line, *told;
    } wrong[] = {
        { "memory = 512", "did you mean 512M?" },
        { "memory = 0.5G", "give a whole number: 512M" },
        { "memory = 1.25 G", "give a whole number: 1280M" },
        { "memory = 4096.5M", "give a whole number: 4096M" },
        { "memory = 1.G5", "not a size" },
        { "disk-changes = 1,5G", "give a whole number: 1536M" },
        { "network = lan", "write `net = NAME` and a section [net NAME]" },
        { "NIC = x", "write `net = NAME`" },
        { "dvd = x.iso", "write `cdrom = FILE`" },
        { "append = quiet", "write `cmdline = TEXT`" },
        { "ram = 1G", "write `memory = SIZE`" },
        { "smp = 2", "write `vcpus = NUMBER`" },
        { "name = x", "stands in the section's header" },
        { "vnc = on", "no such device" },
        { "kernal = x", "did you mean `kernel`?" },
        { "zzzz = x", "`help config` lists" },
        { "initrd = \"a b\" c", "quotes stand around the whole value" },
    };
    char text[200];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        snprintf(text, sizeof text, "[guest d]\nkernel = k\n%s\n", wrong[i].line);
        assert_int_equal(parse(text), 1);
        expect_error(0, 3, wrong[i].told);
    }
}

/* VLANs and rates of guests' ports and uplinks. */
static void test_accesses(void **state)
{
    static const char *const wrong[] = { "vlan=0",    "vlan=4095", "vlan=x",    "trunk=",
                                         "trunk=0",   "trunk=9-8", "trunk=1/",  "trunk=4095",
                                         "rate=1023", "rate=x",    "rate=100G", "trunk=1-2-3" };
    const struct net_access *a;
    char text[200];

    (void)state;
    assert_int_equal(parse("[net l]\nuplink = nic0, trunk=all ,rate=1M\n[guest d]\nkernel=k\n"
                           "net = l,vlan=4094\nnet = l,trunk=10/64/100-102,vlan=7,isolated\n"),
                     0);
    a = &c.net[0].access;
    assert_string_equal(c.net[0].uplink, "nic0");
    assert_true(a->trunk && a->rate == MIB && net_vlan_allowed(a, 1) && net_vlan_allowed(a, 4094));
    assert_false(net_vlan_allowed(a, 0));
    a = &c.guest[0].net[0].access;
    assert_true(a->vlan == 4094 && !a->trunk && !a->rate);
    a = &c.guest[0].net[1].access;
    assert_true(a->trunk && a->vlan == 7 && net_vlan_allowed(a, 10) && net_vlan_allowed(a, 64));
    assert_true(net_vlan_allowed(a, 102) && !net_vlan_allowed(a, 103) && !net_vlan_allowed(a, 7));
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        snprintf(text, sizeof text, "[net l]\nuplink = nic0,%s\n[guest d]\nkernel=k\nnet = l,%s\n",
                 wrong[i], wrong[i]);
        assert_int_equal(parse(text), 2);
    }
    assert_int_equal(parse("[net a]\nuplink = nic0\n[net b]\nuplink = nic0\n"), 1);
    assert_int_equal(parse("[guest d]\nkernel=k\nnet=l,isolated\n[net l]\n"), 0);
}

static void test_blanks_and_quotes(void **state)
{
    (void)state;
    assert_int_equal(parse("[net lan]\n[guest d]\nKernel = \"my kernel\"\ncmdline = \"a ; b\" ; c\n"
                           "disk = d.img , ro\nnet = lan , isolated, mac=02:00:00:00:00:01\n"
                           "module = \"m x y\"\n"),
                     0);
    assert_string_equal(c.guest[0].kernel, "my kernel");
    assert_string_equal(c.guest[0].cmdline, "a ; b");
    assert_string_equal(c.guest[0].disk[0].path, "d.img");
    assert_true(c.guest[0].disk[0].ro && c.guest[0].net[0].isolated);
    assert_true(c.guest[0].net[0].mac == 0x020000000001);
    assert_string_equal(c.guest[0].module[0].args, "x y");
    assert_int_equal(parse("[guest d]\nkernel=k\ncmdline = root=\"a b\" quiet\n"), 0);
    assert_string_equal(c.guest[0].cmdline, "root=\"a b\" quiet");
    assert_int_equal(parse("[guest d]\nkernel=k\ncmdline = \"a\"=1 ; x\n"), 0);
    assert_string_equal(c.guest[0].cmdline, "\"a\"=1");
}

#define XS "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* What follows a header that is wrong belongs to no guest, least of all to the one before it. */
static void test_bad_header(void **state)
{
    static const char *const headers[] = { "[guest broken", "[guest b] kernel = x", "[" XS XS "]" };
    char text[300];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(headers); i++) {
        snprintf(text, sizeof text, "[guest a]\nkernel = k\n%s\nkernel = other\nmemory = 1\n",
                 headers[i]);
        assert_int_equal(parse(text), 1);
        expect_error(0, 3, "");
        assert_int_equal(c.nguests, 1);
        assert_string_equal(c.guest[0].kernel, "k");
        assert_false(c.guest[0].bad);
    }
}

static void test_all_errors_count(void **state)
{
    char text[4096] = "[guest a]\nkernel = k\n";

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        strcat(text, "what = x\n");
    assert_int_equal(parse(text), 100);
    assert_int_equal(c.nerrors, 64);
    assert_int_equal(c.errors_untold, 36);
}

static bool needs_firmware(const char *key)
{
    return strcmp(key, "boot") == 0 || strcmp(key, "screen") == 0 ||
           strcmp(key, "secure-boot") == 0;
}

/* Each key has an example, and that is right. */
static void test_examples(void **state)
{
    struct config_key k;
    char text[400];

    (void)state;
    for (unsigned i = 0; config_key(i, &k); i++) {
        const char *line = config_example(k.name);
        bool guest = strncmp(k.section, "guest", 5) == 0,
             starts = strcmp(k.name, "kernel") == 0 || strcmp(k.name, "firmware") == 0;

        if (!line)
            fail_msg("no example of %s: give it one in hv/conf/examples.c", k.name);
        assert_int_equal(strncmp(line, k.name, strlen(k.name)), 0);
        snprintf(text, sizeof text,
                 "[net lan]\n[guest router]\nkernel = k\n[guest web]\nkernel = k\nnet = "
                 "nat\n[%s]\n%s%s\n",
                 guest                               ? "guest a"
                 : strncmp(k.section, "net", 3) == 0 ? "net nat"
                                                     : "host",
                 !guest || starts         ? ""
                 : needs_firmware(k.name) ? "firmware = uefi\n"
                                          : "kernel = k\n",
                 line);
        if (parse(text) != 0)
            fail_msg("`%s`: %s", line, c.error[0].text);
    }
}

/* One key anew: by the same rules, and nothing changes if they are broken. */
static void test_set(void **state)
{
    struct guest_config g;
    char why[200] = "";

    (void)state;
    assert_int_equal(parse("[guest web]\nkernel = k\nmemory = 64M\n"), 0);
    g = c.guest[0];
    assert_int_equal(config_set(&limits, &g, "memory", "128M", why, sizeof why), 0);
    assert_int_equal(g.memory, 128 * MIB);
    assert_int_equal(config_set(&limits, &g, "Memory", "256M", why, sizeof why), 0);
    assert_int_equal(g.memory, 256 * MIB);
    assert_int_equal(config_set(&limits, &g, "cmdline", "console=hvc0 quiet", why, sizeof why), 0);
    assert_string_equal(g.cmdline, "console=hvc0 quiet");
    assert_int_equal(config_set(&limits, &g, "memory", "12Q", why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "not a size"));
    assert_int_equal(config_set(&limits, &g, "memry", "1M", why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "did you mean `memory`?"));
    assert_int_equal(config_set(&limits, &g, "zzzzzz", "1M", why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "`help config` lists them"));
    assert_int_equal(config_set(&limits, &g, "disk", "nvme0", why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "in trivet.conf"));
    assert_int_equal(g.memory, 256 * MIB);
    assert_int_equal(g.ndisks, 0);
    assert_false(g.bad);
}

static void test_escape(void **state)
{
    static const struct {
        const char *text;
        uint32_t code;
    } good[] = { { "", 0x1d },
                 { "escape = Ctrl-A", 1 },
                 { "escape = ctrl-]", 0x1d },
                 { "escape = ^^", 0x1e },
                 { "escape = Ctrl-\\", 0x1c } };
    static const char *const bad[] = { "A",      "Ctrl-",  "Ctrl-C",  "Ctrl-M",
                                       "Ctrl-[", "Ctrl-1", "Ctrl-AB", "^" };
    char text[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        snprintf(text, sizeof text, "[host]\n%s\n", good[i].text);
        assert_int_equal(parse(text), 0);
        assert_int_equal(c.host.escape, good[i].code);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        snprintf(text, sizeof text, "[host]\nescape = %s\n", bad[i]);
        assert_int_equal(parse(text), 1);
        expect_error(0, 2, "give Ctrl- and a letter");
        assert_int_equal(c.host.escape, 0x1d);
    }
}

static void test_firmware(void **state)
{
    (void)state;
    assert_int_equal(parse("[guest a]\nfirmware = UEFI\n[guest b]\nfirmware = own.fd\n"
                           "[guest c]\nkernel = k\nfirmware = uefi\n[guest d]\nkernel = k\n"),
                     1);
    expect_error(0, 5, "give `kernel` or `firmware`");
    assert_string_equal(c.guest[0].firmware, "uefi");
    assert_string_equal(c.guest[1].firmware, "own.fd");
    assert_string_equal(c.guest[3].firmware, "");
    assert_false(c.guest[0].bad || c.guest[1].bad);
    assert_true(c.guest[2].bad);
    assert_true(c.guest[0].acpi && c.guest[1].acpi);
    assert_false(c.guest[3].acpi);
    assert_int_equal(parse("[guest a]\nfirmware = uefi\nacpi = no\n"), 0);
    assert_false(c.guest[0].acpi);
}

static void test_cdrom(void **state)
{
    (void)state;
    assert_int_equal(parse("[guest a]\nfirmware = uefi\ncdrom = nvme0p2\ndisk = d.img\n"
                           "boot = cdrom2,disk\ncdrom = file:nvme1\n"),
                     0);
    assert_int_equal(c.guest[0].ndisks, 3);
    assert_int_equal(c.guest[0].disk[0].source, DISK_NAME);
    assert_true(c.guest[0].disk[0].cdrom && c.guest[0].disk[0].ro);
    assert_false(c.guest[0].disk[1].cdrom || c.guest[0].disk[1].ro);
    assert_string_equal(c.guest[0].disk[2].path, "nvme1");
    assert_int_equal(c.guest[0].disk[2].source, DISK_FILE);
    assert_int_equal(parse("[guest a]\nfirmware = uefi\ncdrom = x.iso,ro\n"
                           "[guest b]\nfirmware = uefi\ncdrom = x.iso\nboot = disk1\n"),
                     2);
    expect_error(0, 3, "takes nothing behind its name");
    expect_error(1, 7, "there is no disk1: the guest has 0 lines `disk`");
}

static void test_boot(void **state)
{
    static const struct guest_boot order[] = { { BOOT_NET, 2 },
                                               { BOOT_CDROM, 0 },
                                               { BOOT_DISK, 0 } };

    (void)state;
    assert_int_equal(parse("[guest a]\nfirmware = uefi\nboot = net2 , CDROM,disk\nboot_menu = 7\n"
                           "net = nat\nnet = nat\n[guest b]\nfirmware = uefi\n"),
                     0);
    assert_int_equal(c.guest[0].nboot, ARRAY_SIZE(order));
    assert_memory_equal(c.guest[0].boot, order, sizeof order);
    assert_int_equal(c.guest[0].boot_menu, 7);
    assert_int_equal(c.guest[1].nboot, 0);
    assert_int_equal(c.guest[1].boot_menu, BOOT_MENU_OWN);
    assert_int_equal(parse("[guest a]\nfirmware = uefi\nboot = disk,,net\n"
                           "[guest b]\nfirmware = uefi\nboot = floppy\n"
                           "[guest d]\nfirmware = uefi\nboot = net,disk,net\n"
                           "[guest e]\nfirmware = uefi\nboot = disk17\n"
                           "[guest f]\nfirmware = uefi\nboot = disk2\ndisk = d.img\n"
                           "cloud-init = u\n"
                           "[guest g]\nkernel = k\nboot = disk\n"
                           "[guest h]\nfirmware = uefi\nboot-menu = 61\n"),
                     7);
    expect_error(0, 3, "give what is tried");
    expect_error(1, 6, "`boot = floppy`: give what is tried");
    expect_error(2, 9, "net is given twice");
    expect_error(3, 12, "give what is tried");
    expect_error(4, 15, "there is no disk2: the guest has 1 line `disk`");
    expect_error(5, 20, "starts from its kernel");
    expect_error(6, 23, "from 0 to 60");
}

static void test_secure_boot(void **state)
{
    (void)state;
    assert_int_equal(parse("[guest a]\nfirmware = uefi\nsecure-boot = yes\n[guest b]\n"
                           "secure_boot = no\nkernel = k\n"),
                     0);
    assert_true(c.guest[0].secure_boot);
    assert_false(c.guest[1].secure_boot);
    assert_int_equal(parse("[guest a]\nfirmware = own.fd\nsecure-boot = yes\n"
                           "[guest b]\nfirmware = uefi\nisa = aarch64\nsecure-boot = yes\n"),
                     2);
    expect_error(0, 1, "[guest a]: `secure-boot` goes with `firmware = uefi`");
    expect_error(1, 4, "[guest b]: `secure-boot` is for x86_64 guests");
}

static void test_screen(void **state)
{
    (void)state;
    assert_int_equal(
        parse("[guest a]\nfirmware = uefi\nscreen = yes\n[guest b]\nfirmware = uefi\n"), 0);
    assert_true(c.guest[0].screen);
    assert_false(c.guest[1].screen);
    assert_int_equal(parse("[guest a]\nkernel = k\nscreen = yes\n"), 1);
    expect_error(0, 1, "[guest a]: `screen` is what UEFI firmware draws on");
}

/* A riscv64 guest's starts a kernel, if there is one. */
static void test_firmware_of_riscv64(void **state)
{
    (void)state;
    assert_int_equal(parse("[guest a]\nfirmware = u-boot.bin\nisa = riscv64\n"
                           "[guest b]\nfirmware = fw.bin\nkernel = k\nisa = riscv64\n"
                           "[guest c]\nisa = riscv64\nfirmware = UEFI\n"
                           "[guest d]\nfirmware = fw.bin\nkernel = k\n"
                           "[guest e]\nopensbi = fw.bin\nkernel = k\n"
                           "[guest f]\nisa = riscv64\nfirmware = fw.bin\nboot = net\n"),
                     4);
    expect_error(0, 8, "such as OpenSBI's fw_dynamic.bin");
    expect_error(1, 11, "`isa = riscv64`");
    expect_error(2, 15, "write `firmware = FILE`");
    expect_error(3, 20, "`boot` is for UEFI firmware");
    assert_false(c.guest[0].bad || c.guest[1].bad || c.guest[0].acpi);
    assert_true(c.guest[2].bad && c.guest[3].bad && c.guest[4].bad);
}

static void test_cloud_init(void **state)
{
    struct guest_config g;
    char why[200] = "";

    (void)state;
    assert_int_equal(parse("[guest a]\nkernel = k\ncloud-init = web.yaml\ndisk = d.img\n"
                           "[guest b]\nkernel = k\ncloud_init = u , m\n"),
                     0);
    assert_int_equal(c.guest[0].ndisks, 2);
    assert_int_equal(c.guest[0].disk[0].source, DISK_CLOUD_INIT);
    assert_string_equal(c.guest[0].disk[0].path, "web.yaml");
    assert_true(c.guest[0].disk[0].ro);
    assert_string_equal(c.guest[0].meta_data, "");
    assert_string_equal(c.guest[1].disk[0].path, "u");
    assert_string_equal(c.guest[1].meta_data, "m");
    g = c.guest[0];
    assert_int_equal(config_set(&limits, &g, "cloud-init", "v,n", why, sizeof why), 0);
    assert_int_equal(g.ndisks, 2);
    assert_string_equal(g.disk[0].path, "v");
    assert_string_equal(g.meta_data, "n");
    assert_int_equal(parse("[guest a]\nkernel = k\ncloud-init = u\ncloud-init = v\n"
                           "[guest b]\nkernel = k\ncloud-init = ,m\n"
                           "[guest d]\nkernel = k\ncloud-init = u,m,n\n"),
                     3);
    expect_error(0, 4, "already given");
    expect_error(1, 7, "give FILE, or FILE,META");
    expect_error(2, 10, "no third file");
}

static void test_vcpus(void **state)
{
    static const char text[] = "[guest a]\nkernel = k\nvcpus = 255\n"
                               "[guest b]\nkernel = k\nvcpus = 256\n"
                               "[guest c]\nkernel = k\nvcpus = 513\n";
    struct config_limits x86 = limits;

    (void)state;
    assert_int_equal(parse(text), 1);
    expect_error(0, 9, "from 1 to 512");
    config_free(&c);
    x86.vcpus = 255;
    assert_int_equal(config_parse(text, sizeof text - 1, &x86, &c), 2);
    expect_error(0, 6, "from 1 to 255");
    expect_error(1, 9, "from 1 to 255");
}

static void test_smbios(void **state)
{
    static const uint8_t uuid[16] = { 0x6f, 0x1c, 0x1b, 0x9e, 0x52, 0xcb, 0x4b, 0x2f,
                                      0x9d, 0x3b, 0x1f, 0x5a, 0x3c, 0x0e, 0x7d, 0x42 };

    (void)state;
    assert_int_equal(parse("[guest a]\nfirmware = uefi\nsmbios.product = Web server\n"
                           "smbios.uuid = 6f1c1b9e-52CB-4b2f-9d3b-1f5a3c0e7d42\n"
                           "smbios.oem = one\nsmbios.oem = two\n"),
                     0);
    assert_string_equal(c.guest[0].smbios.product, "Web server");
    assert_string_equal(c.guest[0].smbios.serial, "");
    assert_memory_equal(c.guest[0].smbios.uuid, uuid, 16);
    assert_int_equal(c.guest[0].smbios.noem, 2);
    assert_string_equal(c.guest[0].smbios.oem[1], "two");
    assert_int_equal(parse("[guest a]\nfirmware = uefi\nsmbios.serial = \xc3\xbc\n"
                           "smbios.uuid = 6f1c1b9e52cb4b2f9d3b1f5a3c0e7d42\nsmbios.oem = 1\n"
                           "smbios.oem = 2\nsmbios.oem = 3\nsmbios.oem = 4\nsmbios.oem = 5\n"
                           "smbios.version = 123456789012345678901234567890123456789012345678901"
                           "2345678901234\n"),
                     4);
    expect_error(0, 3, "only ASCII");
    expect_error(1, 4, "not a UUID such as");
    expect_error(2, 9, "at most 4");
    expect_error(3, 10, "64 bytes are too long");
}

static void test_order_and_policies(void **state)
{
    (void)state;
    assert_int_equal(parse("[guest a]\nkernel = k\non_crash = hold\non-poweroff = restart\n"
                           "ON_REBOOT = stop\norder = 3\ndelay = 60\nafter = b\n"
                           "disk_changes = 64M\n[guest b]\nkernel = k\n"),
                     0);
    assert_int_equal(c.guest[0].on_crash, POLICY_HOLD);
    assert_int_equal(c.guest[0].on_poweroff, POLICY_RESTART);
    assert_int_equal(c.guest[0].on_reboot, POLICY_STOP);
    assert_int_equal(c.guest[0].order, 3);
    assert_int_equal(c.guest[0].delay, 60);
    assert_string_equal(c.guest[0].after, "b");
    assert_int_equal(c.guest[0].disk_changes, 64 * MIB);
    assert_int_equal(c.guest[1].on_crash, POLICY_STOP);
    assert_int_equal(c.guest[1].on_reboot, POLICY_RESTART);
    assert_int_equal(c.guest[1].on_poweroff, POLICY_STOP);
    assert_int_equal(parse("[guest a]\nkernel=k\nafter = z\n[guest b]\nkernel=k\nafter = c\n"
                           "[guest c]\nkernel=k\nafter = b\n[guest d]\nkernel=k\nafter = d\n"
                           "on_crash = panic\nrestart = yes\n"),
                     6);
    expect_error(0, 3, "there is no section [guest z]");
    expect_error(1, 6, "in a circle");
    expect_error(2, 9, "in a circle");
    expect_error(3, 12, "in a circle");
    expect_error(4, 13, "give one of restart, stop, hold");
    expect_error(5, 14, "write `on_crash = restart`");
}

static void test_utf16(void **state)
{
    (void)state;
    config_free(&c);
    assert_int_equal(config_parse("\xff\xfe[\0h\0o\0", 8, &limits, &c), 1);
    expect_error(0, 1, "UTF-16");
    config_free(&c);
    assert_int_equal(config_parse("\0[\0h\0o", 6, &limits, &c), 1);
    expect_error(0, 1, "UTF-16");
}

static void test_nul_and_long_lines(void **state)
{
    static char text[8192] = "[guest a]\nkernel = k\ncmdline = ";
    size_t n = strlen(text);

    (void)state;
    config_free(&c);
    assert_int_equal(config_parse("[host]\nlog\0= info\n", 18, &limits, &c), 1);
    expect_error(0, 2, "NUL byte");
    memset(text + n, 'x', CMDLINE_LEN - 1);
    assert_int_equal(parse(text), 0);
    assert_int_equal(strlen(c.guest[0].cmdline), CMDLINE_LEN - 1);
    memset(text + n, 'x', CMDLINE_LEN);
    assert_int_equal(parse(text), 1);
    expect_error(0, 3, "at most 2047");
    memset(text + n, 'x', 5000);
    assert_int_not_equal(parse(text), 0);
    assert_int_equal(c.error[0].line, 3);
}

static void test_words(void **state)
{
    static const char *const words[] = { "list", "info", "start", "stop", "poweroff" };
    char buf[32];
    uint64_t v;
    struct cpuset cpus;
    char text[CPUS_TEXT];

    (void)state;
    assert_int_equal(parse_size("64 KiB", &v), 0);
    assert_int_equal(v, 65536);
    assert_int_equal(parse_size("99999999999999999999", &v), -ERANGE);
    assert_int_equal(parse_size("16777216T", &v), -ERANGE);
    assert_int_equal(parse_size("-1", &v), -EINVAL);
    assert_int_equal(parse_cpu_list("0-63", 64, &cpus), 0);
    assert_true(cpus.w[0] == UINT64_MAX);
    assert_int_equal(parse_cpu_list("3-1", 64, &cpus), -EINVAL);
    assert_int_equal(parse_cpu_list("1,", 64, &cpus), -EINVAL);
    assert_int_equal(parse_cpu_list("64", 64, &cpus), -ERANGE);
    assert_int_equal(parse_cpu_list("18446744073709551615", MAX_CPUS, &cpus), -ERANGE);
    assert_int_equal(parse_cpu_list("0,2-3", 64, &cpus), 0);
    assert_string_equal(format_cpus(&cpus, text, sizeof text), "0xd");
    assert_string_equal(nearest_word("lsit", words, 5), "list");
    assert_string_equal(nearest_word("powerof", words, 5), "poweroff");
    assert_string_equal(nearest_word("po", words, 5), "poweroff");
    assert_null(nearest_word("zebra", words, 5));
    assert_string_equal(format_size(1536 * MIB, buf, sizeof buf), "1.5 GiB");
    assert_string_equal(format_size(17, buf, sizeof buf), "17 B");
    assert_string_equal(format_ns(1500000, buf, sizeof buf), "1500 us");
    assert_string_equal(format_ns(12345000000, buf, sizeof buf), "12.345 s");
}

/* `reload`: what differs between two readings. */
static void test_changes(void **state)
{
    static const char text[] = "[guest a]\nkernel = K\ncpus = 0-2\nnet = lan\nafter = b\n"
                               "disk = file:d,ro\ndisk = nvme0\nmodule = m x y\n"
                               "[guest b]\nfirmware = uefi\ndisk = d\n[net lan]\n";
    char moved[sizeof text + 8] = "\n; \n\n";
    struct config now;
    unsigned i = 0;

    (void)state;
    assert_int_equal(parse(text), 0);
    now = c;
    memset(&c, 0, sizeof c);
    strcat(moved, text);
    assert_int_equal(parse(moved), 0);
    assert_true(now.guest[0].line != c.guest[0].line);
    assert_true(config_same_guest(&now.guest[0], &c.guest[0]));
    assert_true(config_same_guest(&now.guest[1], &c.guest[1]));
    assert_false(config_same_guest(&now.guest[0], &c.guest[1]));
    for (size_t at = 0; at < sizeof c.guest[0].name; at++) { /* one byte, anywhere, is told */
        c.guest[0].name[at] ^= 1;
        assert_false(config_same_guest(&now.guest[0], &c.guest[0]));
        c.guest[0].name[at] ^= 1;
    }
    c.guest[0].watchdog = !c.guest[0].watchdog;
    assert_false(config_same_guest(&now.guest[0], &c.guest[0]));
    c.guest[0].watchdog = !c.guest[0].watchdog;
    c.guest[0].net[0].isolated = true;
    assert_false(config_same_guest(&now.guest[0], &c.guest[0]));
    assert_true(config_guest_uses(&c.guest[0], "/k"));
    assert_true(config_guest_uses(&c.guest[0], "D"));
    assert_true(config_guest_uses(&c.guest[0], "m"));
    assert_false(config_guest_uses(&c.guest[0], "nvme0"));
    assert_false(config_guest_uses(&c.guest[0], ""));
    assert_false(config_guest_uses(&c.guest[0], "firmware/uefi-x86_64.fd"));
    assert_true(config_guest_uses(&c.guest[1], "firmware\\uefi-x86_64.fd"));
    assert_null(config_host_change(&now.host, &c.host, &i));
    c.host.json = true;
    c.host.max_cpus = 3;
    c.host.unmap = UNMAP_DEFERRED;
    i = 0;
    assert_string_equal(config_host_change(&now.host, &c.host, &i), "json");
    assert_string_equal(config_host_change(&now.host, &c.host, &i), "max-cpus");
    assert_string_equal(config_host_change(&now.host, &c.host, &i), "iommu");
    assert_null(config_host_change(&now.host, &c.host, &i));
    config_free(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disks),
        cmocka_unit_test(test_accesses),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_every_error_at_once),
        cmocka_unit_test(test_right_words),
        cmocka_unit_test(test_blanks_and_quotes),
        cmocka_unit_test(test_bad_header),
        cmocka_unit_test(test_all_errors_count),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_order_and_policies),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_utf16),
        cmocka_unit_test(test_nul_and_long_lines),
        cmocka_unit_test(test_vcpus),
        cmocka_unit_test(test_smbios),
        cmocka_unit_test(test_cdrom),
        cmocka_unit_test(test_boot),
        cmocka_unit_test(test_screen),
        cmocka_unit_test(test_secure_boot),
        cmocka_unit_test(test_cloud_init),
        cmocka_unit_test(test_firmware),
        cmocka_unit_test(test_firmware_of_riscv64),
        cmocka_unit_test(test_words),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);

    config_free(&c);
    return r;
}
