/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lwIP's settings (its doc and opt.h tell each): no operating system, the raw API, IPv4 over
 * Ethernet with ARP, ICMP, UDP and the DHCP client. No TCP: the gateway translates connections and
 * ends none. All memory is static and counted here.
 */
#pragma once
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0 /* one CPU, in one event: hv/net/nat/gate.c */
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_TCP 0
#define LWIP_UDP 1
#define LWIP_RAW 0
#define LWIP_ICMP 1
#define LWIP_IPV4 1
#define LWIP_IPV6 0
#define LWIP_ARP 1
#define LWIP_ETHERNET 1
#define LWIP_DHCP 1
#define LWIP_DNS 1 /* only for the servers' addresses that the DHCP client learns */
#define DNS_MAX_SERVERS 3
#define DNS_TABLE_SIZE 1
#define LWIP_STATS 0
#define LWIP_NETIF_STATUS_CALLBACK 1
#define LWIP_NETIF_LINK_CALLBACK 0
#define LWIP_NETIF_HOSTNAME 1
#define LWIP_NETIF_TX_SINGLE_PBUF 0

/* Datagrams are put together by hv/net/nat/frag.c, which knows whose they are. */
#define IP_REASSEMBLY 0
#define IP_FRAG 1
#define IP_FORWARD 0
#define ETHARP_SUPPORT_STATIC_ENTRIES 1
/* Static ones for as many guests as a switch has ports, and 64 on the uplink. */
#define ARP_TABLE_SIZE 127
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 3

/* Memory, in bytes and in elements. */
#define MEM_ALIGNMENT 16
#define MEM_SIZE (160 * 1024)
#define MEMP_NUM_PBUF 32
#define PBUF_POOL_SIZE 1
#define PBUF_POOL_BUFSIZE 128
#define MEMP_NUM_UDP_PCB 72
#define MEMP_NUM_ARP_QUEUE 32
#define MEMP_NUM_FRAG_PBUF 32
#define MEMP_NUM_SYS_TIMEOUT 8

/* Assertions end in Trivet's own: hv/net/nat/stack.c. */
#define LWIP_DBG_MIN_LEVEL LWIP_DBG_LEVEL_ALL
