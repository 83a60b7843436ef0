/* SPDX-License-Identifier: BSD-2-Clause */
/* boot.c: the key `boot`: in which order a guest's firmware tries its devices. */
#include "parse.h"
#include <hv/config_files.h>
#include <hv/words.h>
#include <string.h>
#include <strings.h>

static const char *const kinds[] = {
    [BOOT_DISK] = "disk", [BOOT_CDROM] = "cdrom", [BOOT_NET] = "net"
};

/* `disk` or `disk2`. */
static bool boot_parse(const char *word, struct guest_boot *out)
{
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        size_t n = strlen(kinds[k]);
        uint64_t nth = 0;

        if (strncasecmp(word, kinds[k], n) != 0)
            continue;
        if (word[n] && parse_number(word + n, 1, BOOT_NTH_MAX, &nth))
            return false;
        *out = (struct guest_boot){ .kind = (uint8_t)k, .nth = (uint8_t)nth };
        return true;
    }
    return false;
}

static bool boot_add(struct parse *p, const char *word, struct guest_config *g)
{
    struct guest_boot b;

    if (!boot_parse(word, &b)) {
        complain(p, "give what is tried, one after another: disk, cdrom, net, such as "
                    "`disk,net`; disk2 is the second `disk` alone, net2 the second `net`");
        return false;
    }
    for (unsigned i = 0; i < g->nboot; i++)
        if (g->boot[i].kind == b.kind && g->boot[i].nth == b.nth) {
            complain(p, "%s is given twice", word);
            return false;
        }
    if (g->nboot == ARRAY_SIZE(g->boot)) {
        complain(p, "at most %zu words are accepted", ARRAY_SIZE(g->boot));
        return false;
    }
    g->boot[g->nboot++] = b;
    return true;
}

void set_boot(struct parse *p, const struct key *k, void *field)
{
    struct guest_config *g = field;
    const char *s = p->value;
    char word[12];
    bool more;

    (void)k;
    g->nboot = 0;
    g->boot_line = p->line;
    do {
        size_t n = config_name_len(s, ",");

        memcpy(word, s, min_u64(n, sizeof word - 1));
        word[min_u64(n, sizeof word - 1)] = '\0';
        if (!boot_add(p, word, g))
            return;
        s += strcspn(s, ",");
        more = *s == ',';
        s += more ? 1 + strspn(s + 1, " \t") : 0;
    } while (more);
}

static unsigned boot_count(const struct guest_config *g, unsigned kind)
{
    unsigned n = 0;

    if (kind == BOOT_NET)
        return g->nnets;
    for (unsigned i = 0; i < g->ndisks; i++)
        n += g->disk[i].source != DISK_CLOUD_INIT && g->disk[i].cdrom == (kind == BOOT_CDROM);
    return n;
}

/* A device of the machine that the guest is given counts behind its own: which kind is not known.
 */
void check_boot(struct parse *p, const struct guest_config *g)
{
    if (!g->nboot)
        return;
    p->line = g->boot_line;
    if (!g->firmware[0]) {
        complain(p, "`boot` tells firmware what to try; this guest starts from its kernel");
        return;
    }
    if (g->isa == ISA_RISCV64) {
        complain(p, "`boot` is for UEFI firmware; what a riscv64 guest's starts is its `kernel`");
        return;
    }
    for (unsigned i = 0; i < g->nboot && !g->npassthrough; i++) {
        const struct guest_boot *b = &g->boot[i];
        unsigned n = boot_count(g, b->kind);

        if (b->nth > n)
            complain(p, "`boot`: there is no %s%u: the guest has %u line%s `%s`", kinds[b->kind],
                     b->nth, n, n == 1 ? "" : "s", kinds[b->kind]);
    }
}
