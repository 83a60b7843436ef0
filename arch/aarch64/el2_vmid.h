/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_vmid.h: numbers that keep the translations of VMs apart (VMID, Arm ARM D8.12.4). A VM has one
 * for life, on every CPU, so that the guest's own TLB maintenance reaches all its vCPUs. One that
 * was given back is used again only after everything was flushed, once for each generation. CPU 0
 * only.
 */
#pragma once
#include <hv/types.h>

struct vmids {
    /* VMIDs are 1..max; next: the first that this generation has not used */
    uint32_t max, next;
    uint64_t generation;
    uint32_t live[MAX_VMS];  /* 0: free place */
    void (*flush_all)(void); /* makes every CPU forget all translations of guests */
};
void vmid_init(struct vmids *, unsigned bits, void (*flush_all)(void));
uint32_t vmid_get(struct vmids *); /* 0: none left */
void vmid_put(struct vmids *, uint32_t);
