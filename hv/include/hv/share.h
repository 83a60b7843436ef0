/* SPDX-License-Identifier: BSD-2-Clause */
/* Work for a guest that is not done by its vCPUs, and who pays for it: the guest. */
#pragma once
#include <hv/event.h>
#include <hv/types.h>
struct vm;
/* private to share.c, but worked_ns: ns of such work so far; atomic */
struct share {
    uint64_t had, worked_ns;
    uint32_t turn;
};
/*
 * In an event's function, before it works for the guest. True: the guest has had its share for now;
 * the event was put off.
 */
bool must_check share_wait(struct vm *, struct event *);
/* After it: the work began at time_ns() == from. The VM's vCPUs may not be freed meanwhile. */
void share_pay(struct vm *, uint64_t from);
