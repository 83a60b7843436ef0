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
static int add_nat_guests(const struct config *all, bool fixed)
{
    int err = 0;

    for (unsigned g = 0; g < all->nguests && !err; g++) {
        const struct guest_config *c = &all->guest[g];

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

static int make_nat(struct config *all)
{
    const struct config_nat *c = &all->nat;
    struct nat_config n = { .inside = c->inside,
                            .inside_mask = c->inside_mask,
                            .address = c->address,
                            .mask = c->mask,
                            .router = c->gateway };
    int err;

    memcpy(n.dns, c->dns, sizeof n.dns);
    err = nat_start(&n);
    if (!err)
        err = add_nat_guests(all, true);
    if (!err)
        err = add_nat_guests(all, false);
    if (err) {
        log_err("[net %s]: %s", NAT_NAME, err == -ENOMEM ? "out of memory" : "no address is left");
        return err == -ENOMEM ? err : 0;
    }
    add_forwards(c);
    make_nat_uplink(config_nat_net(all));
    return 0;
}

/* Files that Trivet started with stay; those of a reload may go. */
static void give_boot_file(const struct config_nat *c)
{
    uint64_t len = 0;
    const void *bytes = c->boot[0] ? file_find(c->boot, &len) : NULL;

    if (bytes)
        nat_boot(c->boot, bytes, len);
}

static int make_switch(const struct config_net *n)
{
    int err = net_add(n->name, n->mtu, n->floods);

    if (!err && n->uplink[0] && strcmp(n->name, NAT_NAME) != 0)
        make_uplink(n);
    return err;
}

static int make_switches(void)
{
    int err = 0;

    for (unsigned i = 0; i < the_config.nnets && !err; i++)
        err = make_switch(&the_config.net[i]);
    if (err || !config_nat_net(&the_config))
        return err;
    err = make_nat(&the_config);
    if (!err && nat_state(&(struct nat_state){ 0 }))
        give_boot_file(&the_config.nat);
    return err;
}

/* ---- `reload` ---- */

#define AT_NEXT_BOOT "it takes effect at the next boot"

static struct config_net *find_net(struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->nnets; i++)
        if (strcmp(c->net[i].name, name) == 0)
            return &c->net[i];
    return NULL;
}

static bool same_access(const struct net_access *a, const struct net_access *b)
{
    return a->vlan == b->vlan && a->trunk == b->trunk && a->rate == b->rate &&
           memcmp(a->allowed, b->allowed, sizeof a->allowed) == 0;
}

static bool same_net(const struct config_net *a, const struct config_net *b)
{
    return a->mtu == b->mtu && a->floods == b->floods && strcmp(a->uplink, b->uplink) == 0 &&
           same_access(&a->access, &b->access);
}

static bool same_forwards(const struct config_nat *a, const struct config_nat *b)
{
    bool same = a->nforwards == b->nforwards;

    for (unsigned i = 0; same && i < a->nforwards; i++) {
        const struct config_forward *f = &a->forward[i], *g = &b->forward[i];

        same = f->port == g->port && f->guest_port == g->guest_port && f->udp == g->udp &&
               strcmp(f->guest, g->guest) == 0;
    }
    return same;
}

static bool same_nat(const struct config_nat *a, const struct config_nat *b)
{
    return a->inside == b->inside && a->inside_mask == b->inside_mask && a->address == b->address &&
           a->mask == b->mask && a->gateway == b->gateway && a->ndns == b->ndns &&
           memcmp(a->dns, b->dns, sizeof a->dns) == 0 && strcmp(a->boot, b->boot) == 0 &&
           same_forwards(a, b);
}

static const char *take_new_net(struct config *newer, const struct config_net *n)
{
    int err = the_config.nnets < ARRAY_SIZE(the_config.net) ? make_switch(n) : -ENOSPC;

    if (err)
        return "it cannot be made now; " AT_NEXT_BOOT;
    the_config.net[the_config.nnets++] = *n;
    if (strcmp(n->name, NAT_NAME) != 0)
        return "it is made";
    the_config.nat = newer->nat;
    return make_nat(newer) ? "out of memory" : "it is made, with its gateway";
}

/* A guest's device on the NAT network that the gateway does not know, or knows otherwise. */
static void take_nat_device(const struct guest_config *c, const struct guest_net *n,
                            config_tell *tell, void *ctx)
{
    uint32_t ip = nat_guest_ip(net_find(NAT_NAME), n->mac);
    int err = ip ? 0 : nat_add_guest(c->name, n->mac, n->ip);

    if (err)
        tell(ctx, NAT_NAME, "changed",
             err == -EEXIST ? "a guest's address is another's until the next boot"
                            : "no address is left for a guest, or no memory");
    else if (ip && n->ip && ip != n->ip)
        tell(ctx, NAT_NAME, "changed", "a guest's new address: " AT_NEXT_BOOT);
}

static void take_nat_devices(struct config *newer, config_tell *tell, void *ctx)
{
    for (unsigned g = 0; g < newer->nguests; g++)
        for (unsigned i = 0; i < newer->guest[g].nnets; i++)
            if (strcmp(newer->guest[g].net[i].net, NAT_NAME) == 0)
                take_nat_device(&newer->guest[g], &newer->guest[g].net[i], tell, ctx);
}

void config_take_nets(struct config *newer, config_tell *tell, void *ctx)
{
    assert_cpu0();
    for (unsigned i = 0; i < newer->nnets; i++) {
        const struct config_net *n = &newer->net[i], *now = find_net(&the_config, n->name);
        bool nat = strcmp(n->name, NAT_NAME) == 0;

        if (!now)
            tell(ctx, n->name, "new", take_new_net(newer, n));
        else if (!same_net(now, n) || (nat && !same_nat(&the_config.nat, &newer->nat)))
            tell(ctx, n->name, "changed", AT_NEXT_BOOT);
    }
    for (unsigned i = 0; i < the_config.nnets; i++)
        if (!find_net(newer, the_config.net[i].name))
            tell(ctx, the_config.net[i].name, "removed", AT_NEXT_BOOT);
    /* there may have been no memory for the gateway */
    if (config_nat_net(&the_config) && nat_state(&(struct nat_state){ 0 }))
        take_nat_devices(newer, tell, ctx);
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
