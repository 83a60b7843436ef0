/* SPDX-License-Identifier: BSD-2-Clause */
/* Work for a guest that is not done by its vCPUs, and who pays for it: the guest. */
#pragma once
#include <hv/event.h>
#include <hv/types.h>
struct vm;
#define SHARE_CPUS 64 /* whose accounts are kept apart; further CPUs share these */
/* private to share.c, but worked_ns: ns of such work so far; atomic */
struct share {
    uint64_t had[SHARE_CPUS], worked_ns;
    uint32_t turn;
};
/*
 * In an event's function, on any CPU, before it works for the guest. True: the guest has had its
 * share for now; the event was put off.
 */
bool must_check share_wait(struct vm *, struct event *);
/*
 * In an event's function that works for many: whether this guest is so far ahead that its work is
 * to be dropped, because those that make it do not wait (they are on other CPUs, or not its own).
 */
bool must_check share_is_far_ahead(struct vm *);
/* After it: the work began at time_ns() == from. The VM's vCPUs may not be freed meanwhile. */
void share_pay(struct vm *, uint64_t from);
