/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of NIC drivers share: a user of the NIC that was found, who checks that each frame
 * comes back once and never while the device may still reach it; PCI as a model has it. The model
 * comes first, with model_run() and model_may_reach().
 */
#pragma once
#include "arch/host/host.h"
#include "drivers/net/netdev.h"
#include <hv/irq.h>
#include <hv/nic.h>
#include <hv/percpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 100, FRAME_ROOM = 16384, GOT_MOST = 400 };
static struct frame {
    struct nic_frame f;
    struct nic_seg seg[NIC_SEGS + 1];
    bool out;
    uint8_t data[FRAME_ROOM];
} frames[FRAMES];
static struct nic_user user;
static struct nic *nic;
static unsigned back, links, stops, got, got_bytes, got_wrong;
static uint64_t got_ended[3]; /* by status: 0, -EIO, -ECANCELED */
static unsigned irq_asked;

static void user_fault(const char *what)
{
    fprintf(stderr, "%s\n", what);
    abort();
}

static void user_received(struct nic_user *u, const uint8_t *frame, uint32_t len)
{
    (void)u;
    got++;
    got_bytes += len;
    for (uint32_t i = NET_HEAD; i < len; i++)
        got_wrong += frame[i] != (uint8_t)(i * 3 + len);
}

static void user_sent(struct nic_user *u, struct nic_frame *f)
{
    struct frame *q = container_of(f, struct frame, f);

    (void)u;
    if (!q->out)
        user_fault("a frame came back twice");
    if (f->status && model_may_reach(f->seg[0].at.v))
        user_fault("a frame came back while the device has it");
    q->out = false;
    back++;
    got_ended[f->status == 0 ? 0 : f->status == -EIO ? 1 : 2]++;
}

static void user_link(struct nic_user *u) { (void)u, links++; }
static void user_stopped(struct nic_user *u) { (void)u, stops++; }

static const struct nic_user_ops user_ops = {
    .received = user_received, .sent = user_sent, .link = user_link, .stopped = user_stopped
};

/* Runs driver and device for so many milliseconds. */
static void run(unsigned ms)
{
    for (uint64_t end = host_now + ms * 1000000ull; host_now < end;) {
        host_now += 200000;
        model_run();
        (void)event_run();
    }
}

static int open_nic(uint32_t mtu, bool all)
{
    const struct nic_mode mode = { .mtu = mtu, .all = all };
    char why[100];

    user = (struct nic_user){ .ops = &user_ops, .holder = "the test" };
    return nic_open(nic, &user, &mode, why, sizeof why);
}

static struct nic *newest(void)
{
    struct nic *last = NULL;

    for (unsigned i = 0; nic_by_index(i); i++)
        last = nic_by_index(i);
    return last;
}

static inline unsigned outstanding(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FRAMES; i++)
        n += frames[i].out;
    return n;
}

/* Frame i, of `len` bytes in nseg segments. */
static int send(unsigned i, uint32_t len, unsigned nseg)
{
    struct frame *q = &frames[i];
    uint32_t at = 0;
    int err;

    for (unsigned k = 0; k < nseg; k++) {
        uint32_t n = k + 1 == nseg ? len - at : len / nseg;

        q->seg[k] = (struct nic_seg){ hpa((uint64_t)(q->data + at)), n };
        at += n;
    }
    for (uint32_t k = 0; k < len; k++)
        q->data[k] = (uint8_t)(k * 5 + i);
    q->f = (struct nic_frame){ .seg = q->seg, .nseg = (uint16_t)nseg, .len = len };
    q->out = true;
    err = nic->ops->send(nic, &q->f);
    if (err)
        q->out = false;
    return err;
}

static void forget_all(void)
{
    back = links = stops = got = got_bytes = got_wrong = 0;
    memset(got_ended, 0, sizeof got_ended);
}

/* ---- PCI ---- */

static struct host_pci_dev model_dev = { .class = 2, .devfn = 3 << 3 };

const struct host_pci_dev *host_pci_devs(uint32_t *count)
{
    *count = 1;
    return &model_dev;
}

void host_pci_command(const struct host_pci_dev *d, uint16_t set, uint16_t clear)
{
    (void)d;
    if (set & HOST_PCI_MASTER)
        m.master = true;
    if (clear & HOST_PCI_MASTER)
        m.master = false;
}

int host_pci_irq(const struct host_pci_dev *d, unsigned n, uint32_t cpu, void (*fn)(void *),
                 void *arg)
{
    (void)d, (void)n, (void)cpu;
    irq_asked++;
    m.irq_fn = fn;
    m.irq_arg = arg;
    return m.has_irq ? 0 : -ENOTSUP;
}

void host_pci_irq_off(const struct host_pci_dev *d) { (void)d; }

/* The boot waits for it: time passes, and it works. */
void cpu_relax(void)
{
    host_now += 1000000;
    model_run();
}
