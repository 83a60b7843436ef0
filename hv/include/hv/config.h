/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trivet.conf, an INI file of three kinds of sections: [host], [net NAME] and [guest NAME], with
 * names of 1 to 31 of a-z A-Z 0-9 - _ . Every error is reported at once, with line, value and what
 * would be right; a guest with an error is left out and the others start. The keys, their values,
 * defaults and meanings are three tables in hv/conf/config.c; `help config` shows them.
 */
#pragma once
#include <disk_source.h>
#include <hv/guest_smbios.h>
#include <hv/log.h>
#include <hv/net.h>
#include <hv/sched.h>
#include <hv/cpuset.h>
#include <hv/pci_select.h>
#include <hv/types.h>
#define NAME_LEN 32
#define PATH_LEN 128
#define CMDLINE_LEN 2048
enum guest_kind {
    KIND_AUTO,
    KIND_LINUX,
    KIND_PVH,
    KIND_MULTIBOOT,
    KIND_MULTIBOOT2,
    KIND_IMAGE,
    KIND_FLAT
};
extern const char *const guest_kind_names[], *const isa_names[];
/* How the translator runs a guest: config_engine_names. */
enum config_engine { CONFIG_ENGINE_AUTO, CONFIG_ENGINE_INTERPRET, CONFIG_ENGINE_JIT };
struct guest_module {
    char path[PATH_LEN];
    char args[256];
};
struct guest_disk {
    char path[PATH_LEN]; /* without what says which source it is */
    enum disk_source source;
    bool ro;
    bool cdrom;         /* of blocks of 2048 bytes, as a CD has; ro, too */
    uint32_t iops;      /* most requests a second; 0: any */
    uint64_t bandwidth; /* most bytes a second; 0: any */
};
/* What follows when a guest ends by itself. Hold: it stands still, to be looked at. */
enum policy { POLICY_RESTART, POLICY_STOP, POLICY_HOLD };
/* One network device of a guest. */
struct guest_net {
    char net[NAME_LEN]; /* of the switch */
    uint64_t mac;
    uint32_t ip; /* on the NAT network; 0: not given */
    unsigned line;
    bool isolated;
    struct net_access access;
};
/* What firmware tries: the devices of a kind, or the nth of them alone; 0: all. */
enum boot_kind { BOOT_DISK, BOOT_CDROM, BOOT_NET };
#define BOOT_NTH_MAX 16
#define BOOT_MENU_OWN UINT32_MAX /* as the firmware likes */
struct guest_boot {
    uint8_t kind, nth;
};
/* A PCI function of the machine; text: as it was written. */
struct guest_passthrough {
    struct pci_select select;
    char text[24];
};
struct guest_config {
    char name[NAME_LEN];
    unsigned line; /* of its section header */
    char kernel[PATH_LEN], initrd[PATH_LEN], cmdline[CMDLINE_LEN];
    char firmware[PATH_LEN]; /* "": none; "uefi": the stick's own; else a file */
    enum guest_kind kind;
    enum isa isa; /* ISA_COUNT: auto */
    enum config_engine engine;
    uint64_t memory;                 /* bytes, multiple of 4 KiB */
    uint64_t disk_changes, overhead; /* bytes; UINT64_MAX and 0: not given, see charge.c */
    uint32_t vcpus, weight;
    struct cpuset cpus; /* host CPUs; empty: any */
    enum policy on_crash, on_reboot, on_poweroff;
    uint32_t order, delay; /* of the start by itself; delay: seconds */
    char after[NAME_LEN];  /* it waits until that guest runs; "": none */
    unsigned after_line;
    struct guest_module module[16];
    unsigned nmodules;
    struct guest_smbios smbios; /* of guests with firmware */
    char meta_data[PATH_LEN];   /* of cloud-init's disk; "": Trivet's own */
    struct guest_boot boot[8];  /* in this order; none: as the firmware likes */
    unsigned nboot, boot_line;
    uint32_t boot_menu; /* seconds for a key that opens the firmware's menu; BOOT_MENU_OWN */
    struct guest_disk disk[8];
    unsigned ndisks;
    struct guest_net net[4];
    unsigned nnets;
    struct guest_passthrough passthrough[8];
    unsigned npassthrough;
    bool unsafe_passthrough; /* what isolates its devices may be missing */
    bool rng, autostart, debug_exit, x2apic, pv, acpi, apicv, watchdog, screen;
    bool secure_boot;   /* the firmware's variables begin with the distribution's keys */
    bool bad;           /* it had an error: do not start */
    unsigned bad_line;  /* of the first one */
    uint64_t keys_seen; /* private to config.c */
};
/* `vfs`: how many virtual functions a PCI function of the machine gets; text: as it was written. */
struct config_vfs {
    struct pci_select select;
    char text[24];
    uint16_t count;
};
enum config_unmap { UNMAP_STRICT, UNMAP_DEFERRED };
enum mitigations { MITIGATIONS_AUTO, MITIGATIONS_OFF, MITIGATIONS_ALL };
#define MICROCODE_FILES 4u
enum log_time { LOG_TIME_UPTIME, LOG_TIME_UTC };
struct host_config {
    enum log_level log;
    enum log_time log_time;
    enum mitigations mitigations;
    enum sched_smt smt;
    enum config_unmap unmap; /* `iommu`: see dma_defer() */
    uint32_t max_cpus;       /* 0: not given. See config_max_cpus() */
    bool json;               /* the console speaks the JSON protocol from the start */
    uint32_t escape;         /* the control character that leaves a guest's console */
    struct config_vfs vfs[8];
    unsigned nvfs;
    unsigned nmicrocode; /* lines; arch finds them by config_microcode() */
    uint64_t keys_seen;
};
/* A switch. */
struct config_net {
    char name[NAME_LEN];
    unsigned line; /* of its section header */
    uint32_t mtu, floods;
    char uplink[NAME_LEN];    /* the NIC that is a port of it; empty: none */
    struct net_access access; /* of that port */
    uint64_t keys_seen;
};
#define MAX_NETS 16
/* [net nat] beyond what switches have. Addresses as in <hv/nat.h>. */
struct config_forward {
    char guest[NAME_LEN];
    unsigned line;
    uint16_t port, guest_port;
    bool udp;
};
struct config_nat {
    uint32_t inside, inside_mask;    /* the gateway's address and subnet */
    uint32_t address, mask, gateway; /* of the uplink; 0: by DHCP */
    uint32_t dns[3];
    char boot[PATH_LEN]; /* the file that guests boot from the network; "": none */
    unsigned ndns;
    struct config_forward forward[64];
    unsigned nforwards;
};
/* text: `memory = 12Q: not a size; give 1M to 64G, such as 512M` */
struct parse_error {
    unsigned line;
    char text[200];
};
struct config {
    struct host_config host;
    struct guest_config *guest;
    unsigned nguests;
    struct config_net net[MAX_NETS + 1]; /* one more: the NAT network that no section is of */
    unsigned nnets;
    struct config_nat nat;
    struct parse_error *error;
    unsigned nerrors;
    unsigned errors_untold; /* those that found no room in `error` */
};
/* Bounds that depend on the machine, for messages and checks. */
struct config_limits {
    uint64_t memory_max;
    uint32_t cpus;
    uint32_t vcpus; /* of a guest, at most; 0: MAX_VCPUS */
    bool (*file_exists)(const char *path);
    /* 0; -ENOENT; -EEXIST: several are called so */
    int (*disk_exists)(enum disk_source, const char *name);
    bool (*nic_exists)(const char *name);
    int (*pci_exists)(const struct pci_select *); /* 0; -ENOENT */
};
/* What config_limits_now() takes for pci_exists and vcpus; set in hv/ before config_init(). */
extern int (*config_pci_exists)(const struct pci_select *);
extern uint32_t config_vcpus_max;
/*
 * Any errors are in out->error, sorted by line, as many as it holds; returns the number of all, or
 * -ENOMEM. Free with config_free.
 */
int must_check config_parse(const char *text, size_t len, const struct config_limits *,
                            struct config *out);
void config_free(struct config *);
/*
 * One key of a guest anew, with a value as in trivet.conf; what goes with other sections is not
 * checked. 0; -EINVAL or -ENOMEM, *g is as it was, and `why` (n bytes) tells. CPU 0.
 */
int must_check config_set(const struct config_limits *, struct guest_config *g, const char *key,
                          const char *value, char *why, size_t n);
/*
 * For `reload`. The same but for the lines where it stands; does the guest use this file of the
 * stick; the next key of [host], from *i = 0 on, that differs, or NULL.
 */
bool config_same_guest(const struct guest_config *, const struct guest_config *);
bool config_guest_uses(const struct guest_config *, const char *path);
const char *config_host_change(const struct host_config *, const struct host_config *, unsigned *i);
/* The switch with the NAT gateway; NULL: there is none. */
struct config_net *config_nat_net(struct config *);
/*
 * A key, for people: `disk = FILE[,ro]`, normally none. Strings live for ever; `normal` is what
 * holds where it is not given.
 */
struct config_key {
    const char *section, *name, *normal, *help;
    char values[64];
    bool repeats;
};
/* Key i, in the order of the tables, [host] first, then [net NAME]; false: there are fewer. Any
 * context. */
bool config_key(unsigned i, struct config_key *out);
/* The configuration of this boot; valid after the boot step "configuration". */
extern struct config the_config;
extern const char *config_text;
extern size_t config_text_len;
/*
 * Boot step: parses the text that the boot program read (NULL: there was none) into the_config and
 * logs its errors. -ENOMEM; -EEXIST, -ENOSPC: a switch that it names cannot be made.
 */
int must_check config_init(const char *text, size_t len);
/*
 * Networks of a newer reading: makes the switches that are new, and gives addresses to guests that
 * are new on the NAT network. Tells these, and what holds at the next boot only. CPU 0.
 */
typedef void config_tell(void *ctx, const char *net, const char *change, const char *text);
void config_take_nets(struct config *newer, config_tell *, void *ctx);
/* Any CPU: what a configuration may ask of this machine. */
void config_limits_now(struct config_limits *);
