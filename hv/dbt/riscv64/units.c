/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The code cache: units by physical address, address and state; the pages they come from; the jumps
 * that were patched to go straight to a unit, which are taken back when it dies.
 */
#include <string.h>
#include "hv/dbt/riscv64/jit.h"

void units_init(struct rv_jit *j)
{
    j->memory = j->s.code.w;
    j->region_bytes = j->s.code.room / REGIONS;
    for (unsigned k = 0; k < REGIONS; k++)
        j->regions[k].at = j->memory + k * (size_t)j->region_bytes;
    for (unsigned k = 1; k < UNITS; k++)
        j->units[k].next = k + 1 < UNITS ? k + 1 : 0;
    for (unsigned k = 1; k < PAGES; k++)
        j->pages[k].next = k + 1 < PAGES ? k + 1 : 0;
    for (unsigned k = 1; k < LINKS; k++)
        j->links[k].next = k + 1 < LINKS ? k + 1 : 0;
    j->free_unit = j->free_page = j->free_link = 1;
    j->jumps = JUMPS_LISTED + 1;
    units_forget_jumps(j);
}

void units_forget_jumps(struct rv_jit *j)
{
    struct jit_jump *e = &j->s.near->jumps[0][0];

    if (j->jumps <= JUMPS_LISTED)
        for (unsigned k = 0; k < j->jumps; k++)
            e[j->jump[k]].pc = 1;
    else
        for (unsigned k = 0; k < RV_JIT_MODES * RV_JIT_JUMPS; k++)
            e[k].pc = 1;
    j->jumps = 0;
    memset(j->jump_pages, 0, sizeof j->jump_pages);
}

static void forget_jump_to(struct jit_jump *e, uint64_t page)
{
    if (e->pc >> PAGE_SHIFT == page)
        e->pc = 1;
}

/* Entries stay listed: they are forgotten once more. When not all are listed, all go. */
bool units_forget_jumps_to(struct rv_jit *j, uint64_t va)
{
    struct jit_jump *e = &j->s.near->jumps[0][0];
    uint64_t page = va >> PAGE_SHIFT;

    if (!(j->jump_pages[page >> 6 & 3] >> (page & 63) & 1))
        return true;
    if (j->jumps > JUMPS_LISTED) {
        units_forget_jumps(j);
        return false;
    }
    for (unsigned k = 0; k < j->jumps; k++)
        forget_jump_to(&e[j->jump[k]], page);
    return true;
}

void units_jump(struct rv_jit *j, unsigned mode, uint64_t pc, const uint8_t *code)
{
    unsigned k = (mode & 3) * RV_JIT_JUMPS + jit_jump_index(pc, RV_JIT_JUMPS);

    (&j->s.near->jumps[0][0])[k] = (struct jit_jump){ pc, jit_runs_at(j, code) };
    j->jump_pages[pc >> (PAGE_SHIFT + 6) & 3] |= 1ull << (pc >> PAGE_SHIFT & 63);
    if (j->jumps < JUMPS_LISTED)
        j->jump[j->jumps] = (uint16_t)k;
    if (j->jumps <= JUMPS_LISTED)
        j->jumps++;
}

static uint32_t unit_find(const struct rv_jit *j, uint64_t pa, uint64_t pc, uint32_t state)
{
    uint32_t n = j->heads[units_hash(pa, pc, state)];

    while (n && (j->units[n].pa != pa || j->units[n].pc != pc || j->units[n].state != state))
        n = j->units[n].next;
    return n;
}

static uint32_t page_find(const struct rv_jit *j, uint64_t pa)
{
    uint32_t n = j->page_heads[units_page_hash(pa)];

    while (n && j->pages[n].pa != (pa & ~(PAGE_SIZE - 1)))
        n = j->pages[n].next;
    return n;
}

bool rv_jit_has_code(const struct rv_jit *j, uint64_t pa) { return page_find(j, pa) != 0; }

static void page_free(struct rv_jit *j, uint32_t n)
{
    uint32_t *p = &j->page_heads[units_page_hash(j->pages[n].pa)];

    while (*p != n)
        p = &j->pages[*p].next;
    *p = j->pages[n].next;
    j->pages[n].next = j->free_page;
    j->free_page = n;
}

/* The jumps to a unit go back to C. */
static void unit_unchain(struct rv_jit *j, struct unit *u)
{
    struct jit_memory m = j->s.code;

    while (u->links) {
        struct link *l = &j->links[u->links];
        uint32_t next = l->next;
        jit_chain(m, l->record, NULL);
        l->next = j->free_link;
        l->to = 0;
        j->free_link = u->links;
        u->links = next;
    }
}

static void unit_unlist(struct rv_jit *j, uint32_t n)
{
    struct unit *u = &j->units[n];
    struct page *page = &j->pages[u->page];
    uint32_t *p = &j->heads[units_hash(u->pa, u->pc, u->state)];

    while (*p != n)
        p = &j->units[*p].next;
    *p = u->next;
    *(u->newer ? &j->units[u->newer].in_page : &page->units) = u->in_page;
    if (u->in_page)
        j->units[u->in_page].newer = u->newer;
    if (--page->count == 0)
        page_free(j, u->page);
}

static void unit_forget_jump(struct rv_jit *j, const struct unit *u)
{
    for (unsigned mode = 0; mode < RV_JIT_MODES; mode++) {
        struct jit_jump *e = &j->s.near->jumps[mode][jit_jump_index(u->pc, RV_JIT_JUMPS)];
        if (e->pc == u->pc)
            e->pc = 1;
    }
}

void units_kill(struct rv_jit *j, uint32_t n)
{
    struct unit *u = &j->units[n];

    unit_unchain(j, u);
    unit_forget_jump(j, u);
    unit_unlist(j, n);
    u->alive = false;
    j->stats.live--;
    j->stats.live_bytes -= u->bytes;
    u->next = j->free_unit;
    j->free_unit = n;
}

/* Jumps that stand in a region's code no longer exist. */
static void links_drop(struct rv_jit *j, const uint8_t *from, const uint8_t *to)
{
    for (uint32_t n = 1; n < UNITS; n++) {
        uint32_t *p = &j->units[n].links;
        while (j->units[n].alive && *p) {
            uint32_t k = *p;
            if (j->links[k].record < from || j->links[k].record >= to) {
                p = &j->links[k].next;
                continue;
            }
            *p = j->links[k].next;
            j->links[k].to = 0;
            j->links[k].next = j->free_link;
            j->free_link = k;
        }
    }
}

/* Empties a region. Whatever ran there is not gone on with: see rv_jit_run(). */
static void region_evict(struct rv_jit *j, unsigned r)
{
    uint8_t *start = j->memory + r * (size_t)j->region_bytes;

    for (uint32_t n = 1; n < UNITS; n++)
        if (j->units[n].alive && j->units[n].region == r)
            units_kill(j, n);
    links_drop(j, start, start + j->region_bytes);
    if (j->chain >= start && j->chain < start + j->region_bytes)
        j->chain = NULL;
    j->regions[r].at = start;
    j->stats.evictions++;
}

static void region_next(struct rv_jit *j)
{
    j->region = (j->region + 1) % REGIONS;
    if (j->regions[j->region].at != j->memory + j->region * (size_t)j->region_bytes)
        region_evict(j, j->region);
}

struct jit_memory units_room(struct rv_jit *j, uint32_t least)
{
    struct jit_memory m = j->s.code;
    uint8_t *end = j->memory + (j->region + 1) * (size_t)j->region_bytes;

    if (j->regions[j->region].at + least > end) {
        region_next(j);
        end = j->memory + (j->region + 1) * (size_t)j->region_bytes;
    }
    m.w = j->regions[j->region].at;
    m.room = (uint32_t)(end - m.w);
    return m;
}

void units_used(struct rv_jit *j, uint32_t bytes)
{
    j->regions[j->region].at += (bytes + 15) & ~15u;
    j->stats.bytes += bytes;
}

/* Where a chain is full, its oldest page goes, with the last of its units. */
static void page_make_room(struct rv_jit *j, uint64_t pa)
{
    uint32_t n = j->page_heads[units_page_hash(pa)], last = 0, k;

    for (k = 0; n; k++, n = j->pages[n].next)
        last = n;
    for (uint32_t left = k < CHAIN ? 0 : j->pages[last].count; left; left--)
        units_kill(j, j->pages[last].units);
}

static uint32_t page_get(struct rv_jit *j, uint64_t pa)
{
    uint32_t n = page_find(j, pa), *head = &j->page_heads[units_page_hash(pa)];

    if (n)
        return n;
    page_make_room(j, pa);
    n = j->free_page;
    j->free_page = j->pages[n].next;
    j->pages[n] = (struct page){ .pa = pa & ~(PAGE_SIZE - 1), .checked = j->round, .next = *head };
    *head = n;
    j->s.ops->protect(j->s.machine, pa & ~(PAGE_SIZE - 1));
    return n;
}

/* The oldest with the same hash, or of the page, where there are as many as may be. */
static void unit_make_room(struct rv_jit *j, uint64_t pa, uint64_t pc, uint32_t state)
{
    uint32_t page = page_find(j, pa), last = 0, k = 0;

    for (uint32_t n = j->heads[units_hash(pa, pc, state)]; n; k++, n = j->units[n].next)
        last = n;
    if (k >= CHAIN)
        units_kill(j, last);
    if (!page || j->pages[page].count < PAGE_UNITS)
        return;
    for (uint32_t n = j->pages[page].units; n; n = j->units[n].in_page)
        last = n;
    units_kill(j, last);
}

uint32_t units_new(struct rv_jit *j, uint64_t pa, uint64_t pc, uint32_t state)
{
    uint32_t n, *head = &j->heads[units_hash(pa, pc, state)];

    unit_make_room(j, pa, pc, state);
    while (!j->free_unit || !j->free_page)
        region_next(j);
    n = j->free_unit;
    j->free_unit = j->units[n].next;
    uint32_t page = page_get(j, pa);
    j->units[n] = (struct unit){ .pc = pc,
                                 .pa = pa,
                                 .state = state,
                                 .next = *head,
                                 .page = page,
                                 .in_page = j->pages[page].units,
                                 .region = (uint8_t)j->region,
                                 .alive = true };
    *head = n;
    if (j->pages[page].units)
        j->units[j->pages[page].units].newer = n;
    j->pages[page].units = n;
    j->pages[page].count++;
    j->stats.live++;
    return n;
}

/*
 * A chain is for good, so it does not leave the physical page, whatever the mapping was when it was
 * asked for.
 */
void units_chain(struct rv_jit *j, uint8_t *record, uint32_t to)
{
    uint32_t n = j->free_link;
    struct jit_record r;

    memcpy(&r, record, sizeof r);
    if (!n || !j->units[r.unit].alive || j->units[r.unit].page != j->units[to].page)
        return;
    j->free_link = j->links[n].next;
    j->links[n] = (struct link){ record, to, j->units[to].links };
    j->units[to].links = n;
    jit_chain(j->s.code, record, j->units[to].code);
    j->stats.chains++;
}

/* Fowler, Noll and Vo's hash, by words. */
uint64_t units_sum(const uint8_t *page, uint64_t granules)
{
    uint64_t sum = 0xcbf29ce484222325ull, word;

    for (; granules; granules &= granules - 1) {
        const uint8_t *at = page + 64 * (unsigned)__builtin_ctzll(granules);

        for (unsigned k = 0; k < 64; k += 8) {
            memcpy(&word, at + k, 8);
            sum = (sum ^ word) * 0x100000001b3ull;
            sum ^= sum >> 29;
        }
    }
    return sum;
}

/* Forgets what is not in memory any more as it was compiled. */
static void page_verify(struct rv_jit *j, uint32_t page)
{
    const uint8_t *at = j->s.ops->page(j->s.machine, j->pages[page].pa);
    uint32_t next;

    j->pages[page].checked = j->round;
    for (uint32_t n = j->pages[page].units; n; n = next) {
        next = j->units[n].in_page;
        j->summed += 64 * (unsigned)__builtin_popcountll(j->units[n].granules);
        if (at && units_sum(at, j->units[n].granules) == j->units[n].sum)
            continue;
        j->stats.invalidated++;
        units_kill(j, n);
    }
}

uint32_t units_find(struct rv_jit *j, uint64_t pa, uint64_t pc, uint32_t state)
{
    uint32_t n = unit_find(j, pa, pc, state);

    if (!n || j->pages[j->units[n].page].checked == j->round)
        return n;
    page_verify(j, j->units[n].page);
    return unit_find(j, pa, pc, state);
}

/* Chains stay within a page: who comes to one was looked for since. */
void rv_jit_verify(struct rv_jit *j)
{
    j->round++;
    units_forget_jumps(j);
}

void rv_jit_written(struct rv_jit *j, uint64_t pa, uint64_t len)
{
    uint32_t page = page_find(j, pa), n, next;
    unsigned first = (unsigned)(pa & (PAGE_SIZE - 1)) / 64;
    unsigned last = (unsigned)((pa & (PAGE_SIZE - 1)) + len - 1) / 64 & 63;
    uint64_t granules = (~0ull << first) & (~0ull >> (63 - last));

    if (!page || !len || !(j->pages[page].granules & granules))
        return;
    j->pages[page].granules = 0;
    for (n = j->pages[page].units; n; n = next) {
        next = j->units[n].in_page;
        if (j->units[n].granules & granules) {
            j->stats.invalidated++;
            units_kill(j, n);
        } else {
            j->pages[page].granules |= j->units[n].granules;
        }
    }
}
