/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the host's PCI functions hang together, which of them cannot be kept apart, and why.
 * Implemented by drivers/pci/topology.c, group.c and explain.c. "PCIe" is the PCI Express Base
 * Specification 4.0. Functions are named by their index in host_pci_devs().
 */
#pragma once
#include <hv/host_pci.h>
#include <hv/pci_select.h>
#include <hv/types.h>

#define TOPOLOGY_NONE (-1)
#define TOPOLOGY_NAME 16 /* "0000:03:00.0" and its end */
#define TOPOLOGY_OWNER 32

/* PCIe §7.5.3.2: Device/Port Type; a function without that capability is conventional. */
enum topology_type {
    TOPOLOGY_ENDPOINT = 0,
    TOPOLOGY_LEGACY_ENDPOINT = 1,
    TOPOLOGY_ROOT_PORT = 4,
    TOPOLOGY_UPSTREAM_PORT = 5,
    TOPOLOGY_DOWNSTREAM_PORT = 6,
    TOPOLOGY_TO_PCI = 7,
    TOPOLOGY_FROM_PCI = 8,
    TOPOLOGY_INTEGRATED = 9,
    TOPOLOGY_EVENT_COLLECTOR = 10,
    TOPOLOGY_CONVENTIONAL = 16
};
/* PCIe §7.7.8.2, and what isolation needs of a port: the first four. */
enum topology_acs {
    TOPOLOGY_ACS_SOURCE = 1 << 0,
    TOPOLOGY_ACS_REQUESTS = 1 << 2,
    TOPOLOGY_ACS_COMPLETIONS = 1 << 3,
    TOPOLOGY_ACS_UPSTREAM = 1 << 4,
    TOPOLOGY_ACS_ISOLATES = 0x1d
};
/* How a function can be brought to its initial state, best first. */
enum topology_reset {
    TOPOLOGY_RESET_FLR = 1 << 0,    /* PCIe §6.6.2 */
    TOPOLOGY_RESET_AF_FLR = 1 << 1, /* Advanced Capabilities for Conventional PCI ECN */
    TOPOLOGY_RESET_PM = 1 << 2,     /* D3hot and back, without No_Soft_Reset */
    TOPOLOGY_RESET_BUS = 1 << 3     /* the bridge above resets all that is below it */
};
/* Who may use a function. */
enum topology_use { TOPOLOGY_FREE, TOPOLOGY_BRIDGE, TOPOLOGY_TRIVET, TOPOLOGY_GUEST };
struct host_topology {
    int16_t parent;          /* the bridge above; TOPOLOGY_NONE: on a root bus */
    int16_t physical;        /* of a virtual function: the function that it is one of */
    uint16_t group;          /* the least index among those that cannot be separated from it */
    uint16_t alias;          /* requester ID that the IOMMU sees: bus << 8 | devfn */
    uint16_t acs, acs_lacks; /* of what isolates: what is on; what it has that does not go on */
    uint16_t vfs, vf_cap;    /* most virtual functions; offset of that capability, 0: none */
    uint16_t express;        /* offset of the capability; 0: none */
    uint8_t type, secondary, subordinate, resets, use;
    bool is_bridge, multi, has_acs;
    const char *driver;         /* NULL: none of Trivet's */
    char owner[TOPOLOGY_OWNER]; /* the guest that has it, or that it is kept for; else "" */
};

/*
 * Boot step, after host_pci_init(), boot CPU: reads bridges and capabilities, turns on what
 * isolates (ACS), and computes the groups. What a function says is checked: a list of capabilities
 * that is a circle, a bridge that claims another's buses, end in larger groups, never in smaller
 * ones.
 */
void host_topology_init(void);
/* Of function i, which exists. Any CPU; owner, use and driver change on CPU 0 alone. */
const struct host_topology *host_topology_of(uint32_t i);
/* "0000:03:00.0" */
const char *host_pci_name(const struct host_pci_dev *, char name[TOPOLOGY_NAME]);
/* "03:00.0" or "0000:03:00.0". -EINVAL: no address; -ENODEV: no such function. */
int must_check host_pci_find(const char *name, uint32_t *i);
/* Registers of the SR-IOV capability (PCIe §9.3.3), from its start. */
enum host_pci_vf {
    HOST_PCI_VF_CONTROL = 8,
    HOST_PCI_VF_INITIAL = 0x0c,
    HOST_PCI_VF_TOTAL = 0x0e,
    HOST_PCI_VF_COUNT = 0x10,
    HOST_PCI_VF_FIRST = 0x14,
    HOST_PCI_VF_STRIDE = 0x16,
    HOST_PCI_VF_DEVICE = 0x1a,
    HOST_PCI_VF_PAGES = 0x1c, /* sizes of pages that it knows: bit n is 4 KiB << n */
    HOST_PCI_VF_PAGE = 0x20,  /* the one that is used */
    HOST_PCI_VF_BAR = 0x24,
    /* of the control register */
    HOST_PCI_VF_ENABLE = 1 << 0,
    HOST_PCI_VF_MEMORY = 1 << 3,
    HOST_PCI_VF_ARI = 1 << 4
};
enum host_pci_ext_id {
    HOST_PCI_EXT_AER = 1,
    HOST_PCI_EXT_ACS = 0x0d,
    HOST_PCI_EXT_ARI = 0x0e,
    HOST_PCI_EXT_SRIOV = 0x10
};
/* Offset of an extended capability (PCIe §7.6.3), bounded; 0: there is none. */
uint32_t host_pci_ext_cap(const struct host_pci_dev *, uint16_t id);
/*
 * errors.c: boot step, after the drivers. From then on errors that functions record of themselves
 * are told in the log.
 */
void host_pci_errors_init(void);
/* How many function i has told of since; the last one in words, NULL: none. CPU 0. */
const char *host_pci_errors(uint32_t i, uint64_t *count);
/* Boot CPU: it is kept for a guest: no driver of Trivet's may have it. */
bool host_topology_is_kept(const struct host_pci_dev *);
/*
 * CPU 0: a driver of Trivet's works for it (the name lives for ever); a guest has it (the name is
 * copied; "": none any more).
 */
void host_topology_set_driver(const struct host_pci_dev *, const char *driver);
void host_topology_set_owner(uint32_t i, const char *guest);

/* Why functions are in one group. */
enum topology_why {
    TOPOLOGY_SAME_REQUESTER, /* behind a bridge to conventional PCI */
    TOPOLOGY_NO_ACS_SWITCH,  /* a switch's port that does not redirect */
    TOPOLOGY_NO_ACS_ROOT,    /* a root port that does not */
    TOPOLOGY_FUNCTIONS,      /* of one device, without ACS */
    TOPOLOGY_CLAIMED_TWICE   /* two bridges claim one bus */
};
/* Functions that cannot be kept apart, and the one that makes it so. */
struct topology_join {
    uint16_t group, culprit;
    uint8_t why;
};
/* Number i of all joins, those of larger groups only; NULL: there are fewer. */
const struct topology_join *host_topology_join(uint32_t i);

/*
 * All about function i, in sentences for people. `say` is called once for each, with what it is
 * about ("owner", "place", "group", "why", "change", "reset", "guests") and the sentence.
 */
typedef void topology_say(void *ctx, const char *about, const char *text);
void host_topology_explain(uint32_t i, topology_say *say, void *ctx);
/*
 * Why guest `guest` cannot have function i, in words in why[n]. -EBUSY: somebody else has it.
 * -EPERM: somebody else has what cannot be kept apart from it. -EACCES: no IOMMU holds it, the
 * firmware binds it to memory, or nothing resets it. -ENOTSUP: no guest can have it. 0: it can, as
 * far as its place is concerned. CPU 0.
 */
int must_check host_topology_may_pass(uint32_t i, const char *guest, char *why, size_t n);

/* ---- virtual functions: vfs.c ---- */

/*
 * Before host_pci_init(): the first function that s names gets n virtual functions. `text` is s as
 * it was written, for the log. -ENOSPC.
 */
#define HOST_PCI_VFS_MOST 8
int must_check host_pci_want_vfs(const struct pci_select *s, uint16_t n, const char *text);
/*
 * How many it has. 0: none; *why (if not NULL): the reason in words where trivet.conf wants some,
 * else NULL.
 */
unsigned host_pci_vfs(const struct host_pci_dev *, const char **why);
/*
 * Boot CPU, no interrupt of d is set up: resets it by itself, which puts its virtual functions out,
 * too, and turns these on again as they were. Waits 0.3 s in general. It is no bus master then.
 * -ENOTSUP: nothing resets it alone. -EIO: it does not come back, or they do not.
 */
int must_check host_pci_vfs_reset(const struct host_pci_dev *d);

/* ---- functions for guests ---- */

/*
 * Before host_pci_init(): the function that s names, or the first free one of those that it names,
 * is kept for the guest: no driver of Trivet's gets it. -ENOSPC.
 */
#define HOST_PCI_KEEP_MOST 32
int must_check host_pci_keep(const struct pci_select *s, const char *guest);
/*
 * The function that is kept for the n-th of the guest's calls. -ENOENT: there was none, or it is
 * none that s names: since then the guest has been given another configuration.
 */
int must_check host_pci_kept(const char *guest, uint32_t n, const struct pci_select *s,
                             uint32_t *i);
/* 0: this machine has such a function; -ENOENT. */
int must_check host_pci_select_exists(const struct pci_select *);

/*
 * A reset of function i, from step 0 on: each call does what is to be done now. All of the
 * structure is zero before the first reset; `saved` and what is saved stay for the later ones.
 * -EINPROGRESS: call it again after *wait ns. 0: it is as after power-on, with BARs and the like as
 * before the first reset, decoding as the caller then says, no bus master. -ENOTSUP: nothing resets
 * it, or not it alone; its BARs are as then, and it decodes nothing. -EIO: it does not come back.
 * CPU 0; nobody else uses the function meanwhile.
 */
struct host_pci_reset {
    enum topology_reset kind;
    uint32_t step, bar[6];
    uint16_t express, control;
    uint8_t cache_line, latency, line;
    bool saved;
};
int must_check host_pci_reset_step(uint32_t i, struct host_pci_reset *, uint64_t *wait);
/* How that would be done; 0: not at all. */
enum topology_reset host_pci_reset_kind(uint32_t i);
/*
 * Whether what BAR `b` of function i claims can be its own: no memory of the machine, none of the
 * ports that a PC has below 0x1000 or that ACPI names, within what the bridge above leads to it, no
 * other function's. CPU 0.
 */
bool host_pci_bar_is_its_own(uint32_t i, const struct host_pci_bar *b);
