/* SPDX-License-Identifier: BSD-2-Clause */
/* One page-table walker, many formats: host, EPT, NPT, stage 2, VT-d, AMD-Vi, SMMU. */
#pragma once
#include <hv/lock.h>
#include <hv/types.h>
enum pt_prot { PROT_R = 1, PROT_W = 2, PROT_X = 4, PROT_RW = 3, PROT_RWX = 7 };
enum memtype { MEM_WB, MEM_WC, MEM_UC };
enum pte_kind { PTE_HOLE, PTE_TABLE, PTE_LEAF };
struct pt_format {
    const char *name;
    /* leaf_levels: bit n = level n may be a leaf (0 = 4 KiB) */
    uint8_t levels, ia_bits, leaf_levels;
    /*
     * ia_bits > 12 + 9 * levels: the root is
     * that many powers of two tables in a row
     */
    /* the walker hardware does not snoop caches */
    bool clean_to_ram;
    uint64_t (*leaf)(hpa_t, unsigned level, unsigned prot, enum memtype);
    uint64_t (*table)(hpa_t, unsigned level);
    enum pte_kind (*kind)(uint64_t pte, unsigned level);
    hpa_t (*addr)(uint64_t pte, unsigned level);
    unsigned (*prot)(uint64_t pte, unsigned level);
    /* NULL: every leaf counts as MEM_WB when it is split or protected */
    enum memtype (*type)(uint64_t pte, unsigned level);
};
struct pt;
/*
 * Makes the payer pay for tables: called before some are taken, and after they were given back
 * (bytes < 0: never fails). Lock held or not.
 */
typedef int pt_pay(void *payer, int64_t bytes);
struct pt {
    const struct pt_format *fmt;
    hpa_t root, limbo;
    uint64_t tables;
    struct spinlock lock;
    /*
     * NULL: an entry may be replaced as it stands. Else "break before make" (Arm ARM D8.16.1):
     * before a leaf becomes a table it is a hole for a moment, in which this makes every CPU forget
     * what it has of [ia, ia+len). Set by the owner; called with the lock held.
     */
    void (*forget)(struct pt *, uint64_t ia, uint64_t len);
    pt_pay *pay; /* with `payer`; NULL: nobody pays */
    void *payer;
    /* tables that fall empty stay: see pt_keep() */
    bool keep;
};
/* an empty root; pay NULL: nobody pays. -ENOMEM */
int must_check pt_init(struct pt *, const struct pt_format *, pt_pay *, void *payer);
/* frees every table; nobody may be walking it */
void pt_fini(struct pt *);
/*
 * len, ia, oa: multiples of 4 KiB. Uses the largest leaves that alignment allows. -EEXIST if
 * anything is mapped there. -ENOMEM undoes.
 */
/* -EINVAL: not aligned, or beyond ia_bits. Any CPU. */
int must_check pt_map(struct pt *, gpa_t ia, hpa_t oa, uint64_t len, unsigned prot, enum memtype);
/*
 * Holes are skipped. Large leaves at the edges are split; -ENOMEM leaves everything as it was.
 * -EINVAL as pt_map(). Any CPU. The caller flushes the TLBs. Emptied tables wait in pt->limbo ...
 */
int must_check pt_unmap(struct pt *, gpa_t ia, uint64_t len);
int must_check pt_protect(struct pt *, gpa_t ia, uint64_t len, unsigned prot);
/*
 * As pt_protect(), and tables in the range whose leaves lie in a row become the large leaves that
 * they were split from, where one of these can have such rights.
 */
int must_check pt_join(struct pt *, gpa_t ia, uint64_t len, unsigned prot);
/* ... until the owner has flushed the TLBs, and calls this. Any CPU. */
void pt_reap(struct pt *);
/* Any CPU. False: a hole; *oa and *prot (enum pt_prot) are as they were. */
bool pt_lookup(const struct pt *, gpa_t ia, hpa_t *oa, unsigned *prot);
/*
 * From now on the root has a table for every part of [ia, ia+len), and no table is taken out: what
 * is unmapped can be mapped again as it was without memory, and roots that share these tables see
 * it. -ENOMEM; -EINVAL: beyond ia_bits.
 */
int must_check pt_keep(struct pt *, gpa_t ia, uint64_t len);
/*
 * `to`, an empty root of a format of the same shape, shares every table that the root of `from`
 * has; `from` keeps its tables. What is mapped in `to` afterwards lies elsewhere. pt_unshare()
 * before pt_fini(to).
 */
void pt_share(struct pt *to, const struct pt *from);
void pt_unshare(struct pt *to, const struct pt *from);
