/* SPDX-License-Identifier: BSD-2-Clause */
/* load.c: the configuration of this boot, read once. */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/disk.h>
#include <hv/files.h>
#include <hv/log.h>
#include <hv/nat.h>
#include <hv/net.h>
#include <hv/nic.h>
#include <hv/percpu.h>
#include <hv/pmm.h>
#include <string.h>

struct config the_config;
const char *config_text;
size_t config_text_len;
uint32_t config_vcpus_max;

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
                                      .vcpus = config_vcpus_max,
                                      .file_exists = file_exists,
                                      .disk_exists = volume_exists,
                                      .nic_exists = nic_exists,
                                      .pci_exists = config_pci_exists };
}

/* Without it the switch works on: its guests reach one another. */
static void make_uplink(const struct config_net *n)
{
    char why[100];

    if (nic_uplink(nic_find(n->uplink), net_find(n->name), &n->access, why, sizeof why))
        log_err("[net %s]: `uplink = %s`: %s", n->name, n->uplink, why);
}

/* ---- the NAT network ---- */

/* Boot: the switch between the gateway and its NIC. No section is called so. */
#define NAT_UPLINK "nat/uplink"
enum { UPLINK_MTU = 1500, UPLINK_FLOODS = 1000 };

/* The one that [net nat] names, else the first that nobody has; NULL: none. */
static struct nic *nat_nic(const struct config_net *n)
{
    struct nic *nic = n->uplink[0] ? nic_find(n->uplink) : NULL;

    for (unsigned i = 0; !n->uplink[0] && (nic = nic_by_index(i)); i++)
        if (!nic->user && !nic->dead)
            break;
    return nic;
}

/* Without it the inside works all the same. */
static void make_nat_uplink(const struct config_net *n)
{
    struct nic *nic = nat_nic(n);
    char why[100] = "out of memory";

    if (!nic)
        return;
    if (net_add(NAT_UPLINK, UPLINK_MTU, UPLINK_FLOODS) ||
        nat_uplink(net_find(NAT_UPLINK), nic->mac, nic) ||
        nic_uplink(nic, net_find(NAT_UPLINK), &n->access, why, sizeof why))
        log_err("[net %s]: %s cannot be its uplink: %s", n->name, nic->name, why);
}

/* Those with `ip=` first: what is made from a name avoids them. */
static int add_nat_guests(bool fixed)
{
    int err = 0;

    for (unsigned g = 0; g < the_config.nguests && !err; g++) {
        const struct guest_config *c = &the_config.guest[g];

        for (unsigned i = 0; i < c->nnets && !err; i++)
            if (strcmp(c->net[i].net, NAT_NAME) == 0 && !c->bad && fixed == (c->net[i].ip != 0))
                err = nat_add_guest(c->name, c->net[i].mac, c->net[i].ip);
    }
    return err;
}

static void add_forwards(const struct config_nat *c)
{
    for (unsigned i = 0; i < c->nforwards; i++) {
        const struct config_forward *f = &c->forward[i];

        if (nat_forward(f->udp ? FORWARD_UDP : FORWARD_TCP, f->port, f->guest, f->guest_port))
            log_err("[net %s]: port %u cannot be forwarded to %s", NAT_NAME, f->port, f->guest);
    }
}

static int make_nat(const struct config_nat *c)
{
    struct nat_config n = { .inside = c->inside,
                            .inside_mask = c->inside_mask,
                            .address = c->address,
                            .mask = c->mask,
                            .router = c->gateway };
    int err;

    memcpy(n.dns, c->dns, sizeof n.dns);
    err = nat_start(&n);
    if (!err)
        err = add_nat_guests(true);
    if (!err)
        err = add_nat_guests(false);
    if (err) {
        log_err("[net %s]: %s", NAT_NAME, err == -ENOMEM ? "out of memory" : "no address is left");
        return err == -ENOMEM ? err : 0;
    }
    add_forwards(c);
    make_nat_uplink(config_nat_net(&the_config));
    return 0;
}

static int make_switches(void)
{
    int err = 0;

    for (unsigned i = 0; i < the_config.nnets && !err; i++) {
        const struct config_net *n = &the_config.net[i];

        err = net_add(n->name, n->mtu, n->floods);
        if (!err && n->uplink[0] && strcmp(n->name, NAT_NAME) != 0)
            make_uplink(n);
    }
    return err || !config_nat_net(&the_config) ? err : make_nat(&the_config.nat);
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
