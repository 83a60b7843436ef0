/* SPDX-License-Identifier: BSD-2-Clause */
/* nic.c: the list of the host's NICs, and who has which; see <hv/nic.h>. */
#include <hv/assert.h>
#include <hv/irq.h>
#include <hv/log.h>
#include <hv/nic.h>
#include <stdio.h>
#include <string.h>

static struct nic *nics;

struct nic *nic_by_index(unsigned i)
{
    struct nic *n = nics;

    for (; n && i; i--)
        n = n->next;
    return n;
}

struct nic *nic_find(const char *name)
{
    struct nic *n = nics;

    while (n && strcmp(n->name, name) != 0)
        n = n->next;
    return n;
}

bool nic_exists(const char *name) { return nic_find(name) != NULL; }

void nic_add(struct nic *n)
{
    struct nic **p = &nics;
    unsigned number = 0;
    char mac[NET_MAC_TEXT];

    hv_assert(n->ops && net_mac_is_station(n->mac));
    hv_assert(n->mtu_max >= NET_MTU_MIN && n->mtu_max <= NET_MTU_MAX);
    for (; *p; p = &(*p)->next)
        number++;
    *p = n;
    snprintf(n->name, sizeof n->name, "nic%u", number);
    log_info("%s: %s at %s, %s, %s", n->name, n->driver, n->at, net_mac_text(n->mac, mac),
             n->irq ? "interrupts by message" : "polled");
}

int nic_open(struct nic *n, struct nic_user *u, const struct nic_mode *mode, char *why, size_t len)
{
    int err;

    assert_cpu0();
    hv_assert(u->ops && mode->mtu >= NET_MTU_MIN);
    if (n->user) {
        snprintf(why, len, "%s has it", n->user->holder);
        return -EBUSY;
    }
    if (mode->mtu > n->mtu_max) {
        snprintf(why, len, "its frames carry %u bytes at most, not %u", n->mtu_max, mode->mtu);
        return -EINVAL;
    }
    u->nic = n;
    n->user = u;
    err = n->ops->start(n, mode);
    if (err) {
        n->user = NULL;
        snprintf(why, len, err == -ENOMEM ? "out of memory" : "it does not work");
    }
    return err;
}

void nic_stop(struct nic *n)
{
    hv_assert(n->user && n->user->ops->stopped);
    n->ops->stop(n);
}

void nic_stopped(struct nic *n)
{
    struct nic_user *u = n->user;

    n->user = NULL;
    if (u)
        u->ops->stopped(u);
}
