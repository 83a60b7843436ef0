/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The xHCI driver against a controller and devices that do whatever the input says: capabilities
 * that cannot be, events that nobody asked for, descriptors with other bytes, devices that come and
 * go at any point, silence. A controller that is given up is no bus master; any other that keeps to
 * the rules again has a keyboard that types.
 */
#include "drivers/usb/xhci.c"

#include "tests/unit/xhci_model.h"

enum { OP = 5, OPS_MOST = 200, GADGETS = 6 };
static struct gadget gadgets[GADGETS];
static struct xhci *x;

static void fault(const char *what)
{
    fprintf(stderr, "%s\n", what);
    abort();
}

/* Each is in one place at most. */
static void take_out(const struct gadget *g)
{
    for (unsigned i = 1; i <= M_PORTS; i++)
        if (m.port[i] == g)
            model_unplug(i);
    for (unsigned i = 0; i < GADGETS; i++)
        for (unsigned k = 1; k <= M_HUB_PORTS; k++)
            if (gadgets[i].child[k] == g)
                model_plug_hub(&gadgets[i], k, NULL);
}

static void op_plug(const uint8_t *op)
{
    struct gadget *g = &gadgets[op[1] % GADGETS];
    unsigned port = 1 + op[2] % M_PORTS;

    take_out(g);
    if (m.port[port])
        model_unplug(port);
    model_plug(port, g);
}

/* Hubs are the last two; a hub is never behind itself. */
static void op_plug_hub(const uint8_t *op)
{
    unsigned hub = 4 + (op[2] & 1), g = op[1] % hub;

    take_out(&gadgets[g]);
    model_plug_hub(&gadgets[hub], 1 + (op[2] >> 1) % M_HUB_PORTS, &gadgets[g]);
}

static void op_take_out(const uint8_t *op) { take_out(&gadgets[op[1] % GADGETS]); }

static void op_report(const uint8_t *op)
{
    const uint8_t report[8] = { op[2], 0, op[3], op[4], (uint8_t)(op[3] ^ op[4]) };

    model_report(&gadgets[op[1] % GADGETS], report);
}

static void op_run(const uint8_t *op) { model_run(1 + op[1] * (op[2] & 1 ? 20u : 1u)); }

static void op_event(const uint8_t *op)
{
    const struct usb_dev *d = &x->dev[op[1] % 4];
    uint64_t at = op[1] & 16 ? d->in.at : op[1] & 32 ? d->control.at : x->commands.at;

    m_say(op[1] & 64 ? (uint64_t)op[2] << 24 : at + op[2] * 16u,
          (uint32_t)op[3] << 24 | (op[1] & 128 ? op[2] : 0),
          (uint32_t)(op[1] & 64 ? op[4] & 63 : 32 + (op[4] >> 6)) << 10 | (op[4] & 31u) << 16 |
              (uint32_t)(1 + op[1] % 4) << 24);
}

static void op_lie(const uint8_t *op)
{
    struct gadget *g = &gadgets[op[2] % GADGETS];

    switch (op[1] & 15) {
    case 0: m.mute = op[2] & 1; break;
    case 1: m.wrong_slot = op[2]; break;
    case 2: m.never_halts = op[2] & 1; break;
    case 3: m.never_resets = op[2] & 1; break;
    case 4: m.gone = op[2] > 250; break;
    case 5: m.status ^= op[3] & 0x1d; break;
    case 6: m.ports_busy = op[2] & 1; break;
    case 7: g->deaf = op[3] & 1; break;
    case 8: g->babbles = op[3]; break;
    case 9: g->refuses_idle = op[3] & 1; break;
    case 10: m.portsc[1 + op[2] % M_PORTS] ^= (uint32_t)op[3] << op[4] % 32; break;
    case 11: m.code = op[2] & 1 ? op[3] : 0; break;
    default:
        m.flip_at = op[2] | (op[1] & 1u) << 8;
        m.flip = op[3];
        break;
    }
}

/* What it was told before, and did not do. */
static void catch_up(void)
{
    if (x->state == XHCI_HALTING && !(m.command & 1))
        m.status |= 1;
    else if (x->state == XHCI_RESETTING)
        m_reset();
}

/* It keeps to the rules again, and everything starts anew. Time passes in larger steps. */
static void finish(void)
{
    struct gadget g = { .kind = M_KEYBOARD, .speed = 2, .packet0 = 8 };
    static const uint8_t press[8] = { 0, 0, 4 };

    m.mute = m.never_halts = m.never_resets = m.gone = m.ports_busy = false;
    m.wrong_slot = m.flip = m.code = 0;
    catch_up();
    for (unsigned i = 0; i < GADGETS; i++)
        take_out(&gadgets[i]);
    model_run(50);
    if (x->state != XHCI_DEAD) {
        x->restarts = 0;
        m.status |= 1 << 2;
        model_plug(1, &g);
        for (unsigned i = 0; i < 600; i++) {
            host_now += 4000000;
            model_run(1);
        }
        ntyped = 0;
        model_report(&g, press);
        model_run(60);
        if (!m.lied && (ntyped != 1 || typed[0] != 'a'))
            fault("a keyboard does not work afterwards");
    } else if (m.master) {
        fault("it is given up, and still a bus master");
    }
    xhci_shutdown();
    xhci_unmake(x);
    ncontrollers = 0;
}

static void fresh(const uint8_t *op)
{
    static bool once;

    if (!once)
        host_init(1, 64 * MIB);
    once = true;
    model_new();
    m.csz = op[0] & 1;
    m.pads = op[0] & 2 ? op[1] & 63 : 0;
    m.bios_keeps = op[0] & 4;
    m.lied = op[0] & 8;
    if (m.lied) {
        m.lie_at = (op[2] & 31u) * 4 + (op[0] & 16 ? M_EXT : 0);
        m.lie = (uint32_t)op[3] << (op[4] & 31);
    }
    for (unsigned i = 0; i < GADGETS; i++)
        gadgets[i] = (struct gadget){ .kind = i < 3    ? M_KEYBOARD
                                              : i == 3 ? M_MOUSE
                                                       : M_HUB,
                                      .speed = i < 2   ? 2
                                               : i < 4 ? 1
                                                       : 3,
                                      .packet0 = i < 2 ? 8 : 64 };
    model_plug(1, &gadgets[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const ops[])(const uint8_t *) = { op_plug,   op_plug_hub, op_take_out, op_report,
                                                    op_report, op_run,      op_run,      op_run,
                                                    op_event,  op_event,    op_lie,      op_lie };

    if (size < OP)
        return 0;
    fresh(data);
    if (xhci_driver.probe(&model_dev))
        return 0;
    m.lie = 0;
    x = controllers[0];
    for (size_t at = OP; at + OP <= size && at < OPS_MOST * OP; at += OP)
        ops[data[at] % ARRAY_SIZE(ops)](data + at);
    finish();
    return 0;
}
