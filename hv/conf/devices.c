/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devices.c: devices of the machine that a guest is given, and virtual ones that are to be made of
 * one: the keys `passthrough` and `vfs`.
 */
#include "parse.h"
#include <hv/words.h>
#include <stdio.h>
#include <string.h>

int (*config_pci_exists)(const struct pci_select *);

/* Another line that names the same function; NULL: none. */
static const struct guest_config *devices_taken(const struct parse *p, const struct pci_select *s)
{
    for (unsigned g = 0; s->kind == PCI_SELECT_ADDRESS && g < p->out->nguests; g++) {
        const struct guest_config *c = &p->out->guest[g];

        for (unsigned i = 0; i < c->npassthrough; i++) {
            const struct pci_select *o = &c->passthrough[i].select;

            if (o->kind == PCI_SELECT_ADDRESS && o->segment == s->segment && o->bus == s->bus &&
                o->devfn == s->devfn)
                return c;
        }
    }
    return NULL;
}

void add_passthrough(struct parse *p, const struct key *k, void *field)
{
    struct guest_config *g = field;
    struct guest_passthrough *d = &g->passthrough[g->npassthrough];
    const struct guest_config *other;
    char classes[100];

    (void)k;
    if (g->npassthrough == ARRAY_SIZE(g->passthrough)) {
        complain(p, "at most %zu devices are accepted", ARRAY_SIZE(g->passthrough));
        return;
    }
    if (strlen(p->value) >= sizeof d->text || pci_select_parse(p->value, &d->select)) {
        complain(p,
                 "give an address such as 0000:03:00.0, vendor and device such as 8086:10d3, or "
                 "class: and one of %s",
                 pci_select_classes(classes, sizeof classes));
        return;
    }
    other = devices_taken(p, &d->select);
    if (other)
        complain(p, "guest %s has this device already", other->name);
    else if (p->limits->pci_exists && p->limits->pci_exists(&d->select))
        complain(p, "this machine has no such PCI device; `pci` lists them");
    snprintf(d->text, sizeof d->text, "%s", p->value);
    g->npassthrough++;
}

/* The line of the same device; NULL: none. */
static const struct config_vfs *devices_vfs(const struct host_config *h, const char *text)
{
    for (unsigned i = 0; i < h->nvfs; i++)
        if (strcmp(h->vfs[i].text, text) == 0)
            return &h->vfs[i];
    return NULL;
}

void add_vfs(struct parse *p, const struct key *k, void *field)
{
    struct host_config *h = field;
    struct config_vfs *v = &h->vfs[h->nvfs];
    size_t len = strcspn(p->value, ", \t");
    const char *rest = p->value + len;
    char text[sizeof v->text] = "";
    uint64_t n;

    (void)k;
    if (h->nvfs == ARRAY_SIZE(h->vfs)) {
        complain(p, "at most %zu devices are accepted", ARRAY_SIZE(h->vfs));
        return;
    }
    rest += strspn(rest, " \t");
    if (*rest == ',')
        rest += 1 + strspn(rest + 1, " \t");
    if (len < sizeof text)
        memcpy(text, p->value, len);
    if (pci_select_parse(text, &v->select) || parse_number(rest, 1, 255, &n)) {
        complain(p, "give a device as in `passthrough`, and a number from 1 to 255, such as "
                    "0000:03:00.0,4");
        return;
    }
    if (devices_vfs(h, text))
        complain(p, "this device has a line already");
    else if (p->limits->pci_exists && p->limits->pci_exists(&v->select))
        complain(p, "this machine has no such PCI device; `pci` lists them");
    memcpy(v->text, text, sizeof text);
    v->count = (uint16_t)n;
    h->nvfs++;
}
