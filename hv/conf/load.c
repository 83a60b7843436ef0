/* SPDX-License-Identifier: BSD-2-Clause */
/* load.c: the configuration of this boot, read once. */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/disk.h>
#include <hv/files.h>
#include <hv/log.h>
#include <hv/net.h>
#include <hv/nic.h>
#include <hv/percpu.h>
#include <hv/pmm.h>

struct config the_config;
const char *config_text;
size_t config_text_len;

static bool file_exists(const char *path)
{
    uint64_t len;

    return file_find(path, &len) != NULL;
}

void config_limits_now(struct config_limits *limits)
{
    struct pmm_stats s;

    pmm_stats(&s);
    *limits = (struct config_limits){ .memory_max = align_down(s.total, MIB),
                                      .cpus = cpu_count,
                                      .file_exists = file_exists,
                                      .disk_exists = volume_exists,
                                      .nic_exists = nic_exists };
}

/* Without it the switch works on: its guests reach one another. */
static void make_uplink(const struct config_net *n)
{
    char why[100];

    if (nic_uplink(nic_find(n->uplink), net_find(n->name), why, sizeof why))
        log_err("[net %s]: `uplink = %s`: %s", n->name, n->uplink, why);
}

static int make_switches(void)
{
    int err = 0;

    for (unsigned i = 0; i < the_config.nnets && !err; i++) {
        const struct config_net *n = &the_config.net[i];

        err = net_add(n->name, n->mtu, n->floods);
        if (!err && n->uplink[0])
            make_uplink(n);
    }
    return err;
}

int config_init(const char *text, size_t len)
{
    struct config_limits limits;
    int n;

    assert_cpu0();
    hv_assert(text || len == 0);
    config_text = text;
    config_text_len = text ? len : 0;
    config_limits_now(&limits);
    n = config_parse(text ? text : "", config_text_len, &limits, &the_config);
    if (n < 0)
        return n;
    if (!text)
        log_warn("no trivet.conf on the stick: no guest is defined");
    for (unsigned i = 0; i < the_config.nerrors; i++)
        log_err("trivet.conf, line %u: %s", the_config.error[i].line, the_config.error[i].text);
    if (the_config.errors_untold)
        log_err("trivet.conf: %u more errors", the_config.errors_untold);
    return make_switches();
}
