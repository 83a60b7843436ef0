/* SPDX-License-Identifier: BSD-2-Clause */
/* Between config.c, which has the keys, and parse.c, which reads the file. */
#pragma once
#include <hv/config.h>
#include <hv/types.h>
#include <string.h>

#define MAX_ERRORS 64
struct parse {
    const struct config_limits *limits;
    struct config *out;
    /* the section being read; NULL: [host], or a section to pass over */
    struct guest_config *guest;
    struct config_net *net;
    bool host, passed_over;
    unsigned line;
    const char *name, *value;
    bool no_memory;
};

/* A file of the stick that a key names: complains where there is none. */
void check_file(struct parse *, const char *path);
/* An error of the line being read; it marks the guest whose section that is. */
void complain(struct parse *, const char *fmt, ...) printf_like(2, 3);

struct key;
typedef void set_fn(struct parse *, const struct key *, void *field);
struct key {
    const char *name;
    set_fn *set;
    size_t offset;   /* of the field in its struct */
    uint64_t lo, hi; /* numbers: accepted range */
    const char *const *words;
    bool repeats;
    const char *normal; /* what holds where the key is not given; for people */
    const char *help;
};

enum { SECTION_HOST, SECTION_NET, SECTION_GUEST, SECTIONS };
struct section {
    const char *name;
    const struct key *keys;
    size_t n;
};
/* Keys of [net nat]: nat.c. */
set_fn set_inside, set_address, set_gateway, add_dns, add_forward, set_net_boot;
/* `passthrough`, `vfs`: devices.c */
set_fn add_passthrough, add_vfs;
/* `smbios.…`: smbios.c */
set_fn set_smbios_text, set_smbios_uuid, add_smbios_oem;
/* `cloud-init`: cloud.c */
set_fn set_cloud_init;
/* The name at the start of `value`, up to one of `seps`, into path[PATH_LEN]; returns what is
 * behind it (after separators, inside `value`). NULL: it is too long, and complained of. */
const char *split_path(struct parse *, const char *value, const char *seps, char *path);
/* What follows a comma, without blanks. */
static inline const char *after_comma(const char *s) { return s + 1 + strspn(s + 1, " \t"); }
/* `disk`, `cdrom`: disks.c */
set_fn config_add_disk, config_add_cdrom;
/* `boot`: boot.c */
set_fn set_boot;
void check_boot(struct parse *, const struct guest_config *);
/* When the file has been read: what goes with what, and the section that nobody wrote. */
void check_nat(struct parse *);

extern const struct section config_sections[SECTIONS];
extern const struct guest_config guest_defaults;
extern const struct config_net net_defaults;
