/* SPDX-License-Identifier: BSD-2-Clause */
/* The command `nets`: switches, what is plugged into them, and how that fares. */
#include "mgmt.h"
#include "out.h"
#include <hv/net.h>

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

static uint64_t now(const uint64_t *counter) { return __atomic_load_n(counter, __ATOMIC_RELAXED); }

static void port_row(struct out *o, const struct net_port *p)
{
    char mac[NET_MAC_TEXT];

    out_row(o);
    out_cell(o, p->net->name);
    out_cell_number(o, p->index);
    out_cell(o, p->name);
    out_cell(o, net_mac_text(p->mac, mac));
    out_cell_number(o, p->up);
    out_cell_number(o, p->isolated);
    out_cell_number(o, now(&p->count.sent));
    out_cell_number(o, now(&p->count.sent_bytes));
    out_cell_number(o, now(&p->count.received));
    out_cell_number(o, now(&p->count.received_bytes));
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
    const struct net_switch *s;

    out_list(o, "ports", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (s = net_by_index(i)); i++)
        for (unsigned k = 0; k < NET_PORTS; k++)
            if (s->port[k])
                port_row(o, s->port[k]);
    out_list_end(o);
}

/* What did not arrive: at the port that lost it, or whose sending was refused. */
static void list_losses(struct out *o)
{
    static const struct column cols[] = {
        { "switch", "Switch", UNIT_NONE, false },  { "port", "Port", UNIT_NONE, true },
        { "dropped", "No room", UNIT_NONE, true }, { "spoofed", "Spoofed", UNIT_NONE, true },
        { "bad", "Bad", UNIT_NONE, true },         { "limited", "Limited", UNIT_NONE, true },
    };
    const struct net_switch *s;

    out_list(o, "losses", cols, ARRAY_SIZE(cols));
    for (unsigned i = 0; (s = net_by_index(i)); i++)
        for (unsigned k = 0; k < NET_PORTS; k++) {
            const struct net_port *p = s->port[k];

            if (!p)
                continue;
            out_row(o);
            out_cell(o, s->name);
            out_cell_number(o, k);
            out_cell_number(o, now(&p->count.dropped));
            out_cell_number(o, now(&p->count.spoofed));
            out_cell_number(o, now(&p->count.bad));
            out_cell_number(o, now(&p->count.limited));
        }
    out_list_end(o);
}

void cmd_nets(struct out *o, unsigned argc, char **argv)
{
    (void)argc;
    (void)argv;
    list_switches(o);
    list_ports(o);
    list_losses(o);
}
