/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * errors.c: errors that functions record of themselves (Advanced Error Reporting, PCIe §7.8.4),
 * looked for once a second and told in the log. What the function's mask leaves out is not told.
 * What a function says is read once, and it says it as often as it likes: lines are counted.
 */
#include <hv/assert.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/time.h>
#include <stdio.h>
#include <string.h>
#include "topology.h"

enum { AER_FATAL = 4, AER_FATAL_MASK = 8, AER_SEVERITY = 12 };
enum { AER_CORRECTED = 16, AER_CORRECTED_MASK = 20 };
enum { ERRORS_LINES = 10 }; /* of a function, in ERRORS_SPAN */
#define ERRORS_EVERY 1000000000ull
#define ERRORS_SPAN (60 * ERRORS_EVERY)

static struct errors {
    uint16_t at; /* of the capability; 0: there is none */
    uint32_t lines, untold;
    uint64_t since;
    uint64_t count;
    uint32_t last; /* of the registers' bits; fatal ones first */
    bool last_corrected;
} errors[HOST_PCI_MAX];
static struct event errors_event;

/* PCIe §7.8.4.2, §7.8.4.5 */
static const struct errors_name {
    bool corrected;
    uint8_t bit;
    const char *name;
} errors_names[] = {
    { false, 4, "a fault of the data link's protocol" },
    { false, 5, "the link went down unasked" },
    { false, 12, "a poisoned packet" },
    { false, 13, "a fault of flow control" },
    { false, 14, "no answer to a request" },
    { false, 15, "a request that its completer gave up" },
    { false, 16, "an answer that nobody waits for" },
    { false, 17, "an overflow of the receiver" },
    { false, 18, "a malformed packet" },
    { false, 19, "a wrong checksum from end to end" },
    { false, 20, "a request that is not supported" },
    { false, 21, "a request against access control (ACS)" },
    { false, 22, "an internal fault" },
    { false, 23, "a blocked multicast" },
    { false, 24, "a blocked atomic operation" },
    { false, 25, "a blocked prefix" },
    { true, 0, "a fault of the receiver" },
    { true, 6, "a bad packet" },
    { true, 7, "a bad packet of the data link" },
    { true, 8, "a packet was sent again four times" },
    { true, 12, "a packet's receipt was late" },
    { true, 13, "a lesser fault" },
    { true, 14, "an internal fault" },
    { true, 15, "more faults than it can record" },
};

static const char *errors_name(uint32_t bits, bool corrected)
{
    for (size_t i = 0; i < ARRAY_SIZE(errors_names); i++)
        if (errors_names[i].corrected == corrected && bits >> errors_names[i].bit & 1)
            return errors_names[i].name;
    return "a fault without a name";
}

/* Whether a line may be written; those that were not are counted. */
static bool errors_may_tell(struct errors *e, const char *name, uint64_t now)
{
    if (now - e->since >= ERRORS_SPAN) {
        if (e->untold)
            log_warn("PCI %s: %u more errors in that minute", name, e->untold);
        e->since = now;
        e->lines = e->untold = 0;
    }
    if (e->lines < ERRORS_LINES) {
        e->lines++;
        return true;
    }
    e->untold++;
    return false;
}

static void errors_tell(uint32_t i, struct errors *e, uint32_t bits, uint32_t fatal, bool corrected)
{
    const struct host_topology *t = topology_at(i);
    char name[TOPOLOGY_NAME], owner[TOPOLOGY_OWNER + 12] = "";

    e->count++;
    e->last = bits;
    e->last_corrected = corrected;
    host_pci_name(topology_dev(i), name);
    if (!errors_may_tell(e, name, time_ns()))
        return;
    if (t->use == TOPOLOGY_GUEST)
        snprintf(owner, sizeof owner, " (guest %s)", t->owner);
    if (corrected)
        log_warn("PCI %s%s: the hardware corrected %s (%08x)", name, owner, errors_name(bits, true),
                 bits);
    else
        log_err("PCI %s%s reports %s: %s (%08x)", name, owner, fatal ? "a fatal error" : "an error",
                errors_name(bits, false), bits);
}

/* What is recorded and not masked; it is taken: ones are written back. */
static uint32_t errors_take(const struct host_pci_dev *d, uint32_t status, uint32_t mask)
{
    uint32_t bits = host_pci_read(d, status, 4);

    if (bits == 0 || bits == UINT32_MAX) /* it does not answer, in a reset for instance */
        return 0;
    bits &= ~host_pci_read(d, mask, 4);
    if (bits)
        host_pci_write(d, status, 4, bits);
    return bits;
}

static void errors_look(uint32_t i, bool tell)
{
    const struct host_pci_dev *d = topology_dev(i);
    struct errors *e = &errors[i];
    uint32_t bits = errors_take(d, e->at + AER_FATAL, e->at + AER_FATAL_MASK);

    if (bits && tell)
        errors_tell(i, e, bits, bits & host_pci_read(d, e->at + AER_SEVERITY, 4), false);
    bits = errors_take(d, e->at + AER_CORRECTED, e->at + AER_CORRECTED_MASK);
    if (bits && tell)
        errors_tell(i, e, bits, 0, true);
}

static void errors_look_at_all(bool tell)
{
    for (uint32_t i = 0; i < topology_count(); i++)
        if (errors[i].at)
            errors_look(i, tell);
}

static void errors_due(struct event *ev)
{
    errors_look_at_all(true);
    event_at(ev, time_ns() + ERRORS_EVERY);
}

const char *host_pci_errors(uint32_t i, uint64_t *count)
{
    const struct errors *e = &errors[i];

    assert_cpu0();
    *count = e->count;
    return e->count ? errors_name(e->last, e->last_corrected) : NULL;
}

void host_pci_errors_init(void)
{
    bool any = false;

    assert_cpu0();
    for (uint32_t i = 0; i < topology_count(); i++) {
        bool express = topology_at(i)->express;

        errors[i] = (struct errors){ .since = time_ns() };
        if (express)
            errors[i].at = (uint16_t)host_pci_ext_cap(topology_dev(i), HOST_PCI_EXT_AER);
        any |= errors[i].at;
    }
    errors_look_at_all(false); /* what the firmware left, and the search for functions made */
    event_init(&errors_event, errors_due, 0);
    if (any)
        event_at(&errors_event, time_ns() + ERRORS_EVERY);
}
