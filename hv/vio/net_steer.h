/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of several receive queues a frame goes to: that of the pair by which the driver last sent
 * for the same flow, so that one vCPU does both (virtio 1.2 §5.1.6.5.6, automatic receive
 * steering). A hint alone, which is no part of the state. All calls on the device's CPU.
 */
#pragma once
#include <hv/types.h>

#define NET_FLOWS 256
#define NET_FLOW_HEAD 62 /* so much of a frame is looked at: to the ports behind IPv6 and a tag */
struct net_steer {
    uint8_t pair[NET_FLOWS];
};
/*
 * The flow of a frame of which these are the first `len` bytes: a number below NET_FLOWS, the same
 * in both directions. Frames other than IPv4 and IPv6 are flow 0.
 */
unsigned net_flow(const uint8_t *frame, uint32_t len);
/* A frame of that flow was sent by this pair; by which pair its answers go, below `pairs`. */
void net_steer_note(struct net_steer *, unsigned flow, unsigned pair);
unsigned net_steer_pair(const struct net_steer *, unsigned flow, unsigned pairs);
