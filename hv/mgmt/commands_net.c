/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands `nets`, switches and what is plugged into them, and `nics`, the machine's devices.
 */
#include "mgmt.h"
#include "out.h"
#include <hv/nat.h>
#include <hv/net.h>
#include <hv/nic.h>
#include <hv/words.h>
#include <stdio.h>
#include <string.h>

static void list_switches(struct out *o)
{
    static const struct column cols[] = {
        { "name", "Switch", UNIT_NONE, false },
        { "mtu", "MTU", UNIT_NONE, true },
        { "ports", "Ports", UNIT_NONE, true },
        { "floods", "Floods/s", UNIT_NONE, true },
    };
    const struct net_switch *s;

    out_list(o, "switches", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (s = net_by_index(i)); i++) {
        unsigned n = 0;

        for (unsigned k = 0; k < NET_PORTS; k++)
            n += s->port[k] != NULL;
        out_row(o);
        out_cell(o, s->name);
        out_cell_number(o, s->mtu);
        out_cell_number(o, n);
        out_cell_number(o, s->floods);
    }
    out_list_end(o);
}

static uint64_t nets_now(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* A list with a row for each port of each switch that `shown` (NULL: all) wants to see. */
static void list_of_ports(struct out *o, const char *name, const struct column *cols, unsigned n,
                          bool (*shown)(const struct net_port *),
                          void (*cells)(struct out *, const struct net_port *))
{
    const struct net_switch *s;

    out_list(o, name, cols, n);
    for (unsigned i = 0; (s = net_by_index(i)); i++)
        for (unsigned k = 0; k < NET_PORTS; k++) {
            const struct net_port *p = s->port[k];

            if (!p || (shown && !shown(p)))
                continue;
            out_row(o);
            out_cell(o, s->name);
            out_cell_number(o, k);
            cells(o, p);
        }
    out_list_end(o);
}

static void port_cells(struct out *o, const struct net_port *p)
{
    char mac[NET_MAC_TEXT];

    out_cell(o, p->name);
    out_cell(o, net_mac_text(p->mac, mac));
    out_cell_number(o, p->up);
    out_cell_number(o, p->isolated);
    out_cell_number(o, nets_now(&p->count.sent));
    out_cell_number(o, nets_now(&p->count.sent_bytes));
    out_cell_number(o, nets_now(&p->count.received));
    out_cell_number(o, nets_now(&p->count.received_bytes));
}

static void list_ports(struct out *o)
{
    static const struct column cols[] = {
        { "switch", "Switch", UNIT_NONE, false },
        { "port", "Port", UNIT_NONE, true },
        { "guest", "Guest", UNIT_NONE, false },
        { "mac", "MAC", UNIT_NONE, false },
        { "up", "Up", UNIT_BOOL, false },
        { "isolated", "Isolated", UNIT_BOOL, false },
        { "sent", "Sent", UNIT_NONE, true },
        { "sent_bytes", "Bytes", UNIT_BYTES, true },
        { "received", "Received", UNIT_NONE, true },
        { "received_bytes", "Bytes", UNIT_BYTES, true },
    };

    list_of_ports(o, "ports", cols, ARRAY_SIZE(cols), NULL, port_cells);
}

static bool has_access(const struct net_port *p)
{
    return p->access.vlan || p->access.trunk || p->access.rate;
}

static void access_cells(struct out *o, const struct net_port *p)
{
    out_cell(o, p->name);
    out_cell_number(o, p->access.vlan);
    out_cell_number(o, p->access.trunk);
    out_cell_number(o, p->access.rate);
}

/* Of ports that may not do everything. */
static void list_access(struct out *o)
{
    static const struct column cols[] = {
        { "switch", "Switch", UNIT_NONE, false }, { "port", "Port", UNIT_NONE, true },
        { "guest", "Guest", UNIT_NONE, false },   { "vlan", "VLAN", UNIT_NONE, true },
        { "trunk", "Trunk", UNIT_BOOL, false },   { "rate_bytes", "Rate", UNIT_BYTES, true },
    };

    list_of_ports(o, "access", cols, ARRAY_SIZE(cols), has_access, access_cells);
}

static void loss_cells(struct out *o, const struct net_port *p)
{
    out_cell_number(o, nets_now(&p->count.dropped));
    out_cell_number(o, nets_now(&p->count.filtered));
    out_cell_number(o, nets_now(&p->count.spoofed));
    out_cell_number(o, nets_now(&p->count.bad));
    out_cell_number(o, nets_now(&p->count.limited));
    out_cell_number(o, nets_now(&p->count.slowed));
    out_cell_number(o, nets_now(&p->count.astray));
    out_cell_number(o, nets_now(&p->count.claimed));
}

/* What did not arrive: at the port that lost it, or whose sending was refused. */
static void list_losses(struct out *o)
{
    static const struct column cols[] = {
        { "switch", "Switch", UNIT_NONE, false },  { "port", "Port", UNIT_NONE, true },
        { "dropped", "No room", UNIT_NONE, true }, { "filtered", "Filtered", UNIT_NONE, true },
        { "spoofed", "Spoofed", UNIT_NONE, true }, { "bad", "Bad", UNIT_NONE, true },
        { "limited", "Limited", UNIT_NONE, true }, { "slowed", "Slowed", UNIT_NONE, true },
        { "astray", "Astray", UNIT_NONE, true },   { "claimed", "Claimed", UNIT_NONE, true },
    };

    list_of_ports(o, "losses", cols, ARRAY_SIZE(cols), NULL, loss_cells);
}

static void offload_cells(struct out *o, const struct net_port *p)
{
    out_cell_number(o, nets_now(&p->count.whole));
    out_cell_number(o, nets_now(&p->count.cut));
    out_cell_number(o, nets_now(&p->count.segments));
    out_cell_number(o, nets_now(&p->count.summed));
}

/* What senders left to others of frames for a port: what it took, what the switch did. */
static void list_offloads(struct out *o)
{
    static const struct column cols[] = {
        { "switch", "Switch", UNIT_NONE, false },    { "port", "Port", UNIT_NONE, true },
        { "whole", "Long frames", UNIT_NONE, true }, { "cut", "Cut", UNIT_NONE, true },
        { "segments", "Into", UNIT_NONE, true },     { "summed", "Checksums", UNIT_NONE, true },
    };

    list_of_ports(o, "offloads", cols, ARRAY_SIZE(cols), NULL, offload_cells);
}

/* ---- the NAT network ---- */

static void nets_address(struct out *o, uint32_t ip)
{
    char text[IP_TEXT];

    out_cell(o, ip ? ip_text(ip, text) : "-");
}

static void gateway_row(struct out *o, const struct nat_state *s)
{
    const char *uplink = !s->plugged   ? "no uplink"
                         : !s->link    ? "no link"
                         : !s->address ? "no address yet"
                                       : "up";

    out_row(o);
    nets_address(o, s->inside);
    out_cell_number(o, (unsigned)__builtin_popcount(s->inside_mask));
    out_cell(o, uplink);
    nets_address(o, s->address);
    nets_address(o, s->router);
    nets_address(o, s->dns[0]);
}

static void list_gateway(struct out *o)
{
    static const struct column cols[] = {
        { "inside", "Gateway", UNIT_NONE, false },
        { "bits", "Bits", UNIT_NONE, true },
        { "uplink", "Uplink", UNIT_NONE, false },
        { "address", "Its address", UNIT_NONE, false },
        { "router", "Its router", UNIT_NONE, false },
        { "dns", "Name server", UNIT_NONE, false },
    };
    struct nat_state s;

    out_list(o, "gateway", cols, ARRAY_SIZE(cols));
    if (nat_state(&s))
        gateway_row(o, &s);
    out_list_end(o);
}

static void list_leases(struct out *o)
{
    static const struct column cols[] = {
        { "guest", "Guest", UNIT_NONE, false },
        { "address", "Address", UNIT_NONE, false },
        { "mac", "MAC", UNIT_NONE, false },
        { "lease", "Lease, s", UNIT_NONE, true },
        { "connections", "Connections", UNIT_NONE, true },
        { "opened", "Opened", UNIT_NONE, true },
        { "refused", "Refused", UNIT_NONE, true },
    };
    struct nat_guest_state g;
    char mac[NET_MAC_TEXT];

    out_list(o, "leases", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; nat_guest_state(i, &g); i++) {
        out_row(o);
        out_cell(o, g.name);
        nets_address(o, g.ip);
        out_cell(o, net_mac_text(g.mac, mac));
        out_cell_number(o, g.leased_s);
        out_cell_number(o, g.connections);
        out_cell_number(o, g.opened);
        out_cell_number(o, g.refused);
    }
    out_list_end(o);
}

static void list_forwards(struct out *o)
{
    static const struct column cols[] = {
        { "protocol", "Protocol", UNIT_NONE, false },
        { "port", "Port", UNIT_NONE, true },
        { "guest", "Guest", UNIT_NONE, false },
        { "guest_port", "Port", UNIT_NONE, true },
        { "connections", "Connections", UNIT_NONE, true },
    };
    struct nat_forward_state f;

    out_list(o, "forwards", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; nat_forward_state(i, &f); i++) {
        out_row(o);
        out_cell(o, f.proto == FORWARD_TCP ? "tcp" : "udp");
        out_cell_number(o, f.port);
        out_cell(o, f.guest);
        out_cell_number(o, f.guest_port);
        out_cell_number(o, f.connections);
    }
    out_list_end(o);
}

/* What the gateway dropped, by reason. */
static void list_gateway_drops(struct out *o)
{
    static const struct column cols[] = {
        { "reason", "Dropped by the gateway", UNIT_NONE, false },
        { "packets", "Packets", UNIT_NONE, true },
    };
    struct nat_state s;

    out_list(o, "gateway_drops", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; nat_state(&s) && i < NAT_DROPS; i++) {
        if (!s.drops[i])
            continue;
        out_row(o);
        out_cell(o, nat_drop_names[i]);
        out_cell_number(o, s.drops[i]);
    }
    out_list_end(o);
}

void cmd_nets(struct out *o, unsigned argc, char **argv)
{
    (void)argc;
    (void)argv;
    list_switches(o);
    list_ports(o);
    list_access(o);
    list_losses(o);
    list_offloads(o);
    list_gateway(o);
    list_leases(o);
    list_forwards(o);
    list_gateway_drops(o);
}

/* ---- the machine's own ---- */

static void list_nics(struct out *o)
{
    static const struct column cols[] = {
        { "name", "NIC", UNIT_NONE, false },    { "driver", "Driver", UNIT_NONE, false },
        { "at", "At", UNIT_NONE, false },       { "mac", "MAC", UNIT_NONE, false },
        { "up", "Link", UNIT_BOOL, false },     { "speed", "Mbit/s", UNIT_NONE, true },
        { "mtu", "Most MTU", UNIT_NONE, true }, { "irq", "Interrupts", UNIT_BOOL, false },
        { "works", "Works", UNIT_BOOL, false }, { "user", "User", UNIT_NONE, false },
    };
    const struct nic *n;

    out_list(o, "nics", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (n = nic_by_index(i)); i++) {
        char mac[NET_MAC_TEXT];

        out_row(o);
        out_cell(o, n->name);
        out_cell(o, n->driver);
        out_cell(o, n->at);
        out_cell(o, net_mac_text(n->mac, mac));
        out_cell_number(o, n->up);
        out_cell_number(o, n->speed);
        out_cell_number(o, n->mtu_max);
        out_cell_number(o, n->irq);
        out_cell_number(o, !n->dead);
        out_cell(o, n->user ? n->user->holder : "-");
    }
    out_list_end(o);
}

static void list_nic_traffic(struct out *o)
{
    static const struct column cols[] = {
        { "name", "NIC", UNIT_NONE, false },
        { "sent", "Sent", UNIT_NONE, true },
        { "sent_bytes", "Bytes", UNIT_BYTES, true },
        { "received", "Received", UNIT_NONE, true },
        { "received_bytes", "Bytes", UNIT_BYTES, true },
    };
    const struct nic *n;

    out_list(o, "traffic", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (n = nic_by_index(i)); i++) {
        out_row(o);
        out_cell(o, n->name);
        out_cell_number(o, nets_now(&n->stats.sent));
        out_cell_number(o, nets_now(&n->stats.sent_bytes));
        out_cell_number(o, nets_now(&n->stats.received));
        out_cell_number(o, nets_now(&n->stats.received_bytes));
    }
    out_list_end(o);
}

static void list_nic_errors(struct out *o)
{
    static const struct column cols[] = {
        { "name", "NIC", UNIT_NONE, false },       { "refused", "No room", UNIT_NONE, true },
        { "lost", "Lost", UNIT_NONE, true },       { "bad", "Bad", UNIT_NONE, true },
        { "strays", "Strays", UNIT_NONE, true },   { "resets", "Resets", UNIT_NONE, true },
        { "flaps", "Link lost", UNIT_NONE, true },
    };
    const struct nic *n;

    out_list(o, "errors", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (n = nic_by_index(i)); i++) {
        out_row(o);
        out_cell(o, n->name);
        out_cell_number(o, nets_now(&n->stats.refused));
        out_cell_number(o, nets_now(&n->stats.lost));
        out_cell_number(o, nets_now(&n->stats.bad));
        out_cell_number(o, nets_now(&n->stats.strays));
        out_cell_number(o, nets_now(&n->stats.resets));
        out_cell_number(o, nets_now(&n->stats.flaps));
    }
    out_list_end(o);
}

void cmd_nics(struct out *o, unsigned argc, char **argv)
{
    (void)argc;
    (void)argv;
    list_nics(o);
    list_nic_traffic(o);
    list_nic_errors(o);
}

/* ---- captures ---- */

/* A line of base64 (RFC 4648): of n bytes, at most 57. */
static void base64_line(char *to, const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (; n; p += 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);

        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = n > 1 ? digits[v >> 6 & 63] : '=';
        *to++ = n > 2 ? digits[v & 63] : '=';
        n = n > 3 ? n - 3 : 0;
    }
    *to = '\0';
}

static void capture_show(struct out *o)
{
    static const struct column cols[] = { { "text", "", UNIT_NONE, false } };
    enum { LINE = 57 };
    struct net_capture_state s;
    const uint8_t *data = net_capture_get(&s);
    char line[80];

    out_number(o, "frames", "Frames", s.frames, UNIT_NONE);
    out_number(o, "missed", "Not kept", s.missed, UNIT_NONE);
    out_list(o, "base64", cols, 1);
    for (size_t at = 0; data && at < s.len; at += LINE) {
        base64_line(line, data + at, (size_t)min_u64(LINE, s.len - at));
        out_row(o);
        out_cell(o, line);
    }
    out_list_end(o);
}

/* The port called NET:NUMBER; NULL: there is none. */
static const struct net_port *nets_port_of(const struct net_switch *s, const char *number)
{
    uint64_t i;

    return parse_number(number, 0, NET_PORTS - 1, &i) ? NULL : s->port[i];
}

static void capture_start(struct out *o, const char *what)
{
    size_t n = strcspn(what, ":");
    const struct net_port *only = NULL;
    const struct net_switch *s;
    char name[NET_NAME_LEN];

    snprintf(name, sizeof name, "%.*s", (int)min_u64(n, sizeof name - 1), what);
    s = net_find(name);
    if (s && what[n])
        only = nets_port_of(s, what + n + 1);
    if (!s || (what[n] && !only))
        out_error_code(o, OUT_UNKNOWN,
                       "`%.40s`: there is no such switch or port; `nets` lists them", what);
    else if (net_capture_start(s, only))
        out_error_code(o, OUT_NO_MEMORY, "there is no memory for a capture");
}

void cmd_capture(struct out *o, unsigned argc, char **argv)
{
    (void)argc;
    if (strcmp(argv[1], "--show") == 0)
        capture_show(o);
    else if (strcmp(argv[1], "--stop") == 0)
        net_capture_stop();
    else if (strcmp(argv[1], "--drop") == 0)
        net_capture_drop();
    else
        capture_start(o, argv[1]);
}
