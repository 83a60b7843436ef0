/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SBI 2.0 for guests that bring no firmware: BASE, TIME, IPI, RFENCE, HSM, SRST and DBCN. Where all
 * harts run on one thread, a fence of another hart is done at once; else the host's side does it.
 */
#include "machine_parts.h"

enum {
    SBI_SUCCESS = 0,
    SBI_NOT_SUPPORTED = -2,
    SBI_INVALID_PARAM = -3,
    SBI_INVALID_ADDRESS = -5,
    SBI_ALREADY_AVAILABLE = -6,
};
enum {
    EXT_BASE = 0x10,
    EXT_TIME = 0x54494d45,
    EXT_IPI = 0x735049,
    EXT_RFENCE = 0x52464e43,
    EXT_HSM = 0x48534d,
    EXT_SRST = 0x53525354,
    EXT_DBCN = 0x4442434e,
};
#define SBI_VERSION (2u << 24)
#define IMPLEMENTATION 0x54525654 /* "TRVT" */
#define MASK_ALL UINT64_MAX
#define DBCN_MAX 4096u /* bytes in one call: it may write fewer than asked */

struct call {
    struct rv_machine *m;
    struct rv_hart *h;
    uint64_t function, arg[6], value;
    struct rv_fence fence;
};

static bool known(uint64_t extension);

static int64_t sbi_base(struct call *c)
{
    switch (c->function) {
    case 0: c->value = SBI_VERSION; return SBI_SUCCESS;
    case 1: c->value = IMPLEMENTATION; return SBI_SUCCESS;
    case 2: c->value = 1; return SBI_SUCCESS;
    case 3: c->value = known(c->arg[0]); return SBI_SUCCESS;
    case 4: /* mvendorid, marchid, mimpid */
    case 5:
    case 6: c->value = 0; return SBI_SUCCESS;
    default: return SBI_NOT_SUPPORTED;
    }
}

static int64_t set_timer(struct call *c)
{
    if (c->function)
        return SBI_NOT_SUPPORTED;
    c->h->cpu.stimecmp = c->arg[0];
    rv_timer(c->h);
    return SBI_SUCCESS;
}

/* The harts of (mask, base), chapter 3.1, each given to `each`. */
static int64_t for_harts(struct call *c, uint64_t mask, uint64_t first,
                         void (*each)(struct call *c, struct rv_hart *h))
{
    if (first == MASK_ALL) {
        first = 0;
        mask = (1u << c->m->harts) - 1;
    }
    if (first >= c->m->harts || mask >> (c->m->harts - first))
        return SBI_INVALID_PARAM;
    for (unsigned n = 0; mask >> n; n++) {
        uint64_t hart = index_nospec(first + n, c->m->harts);

        if (mask >> n & 1 && c->m->hart_state[hart] == RVM_STARTED)
            each(c, c->m->hart[hart]);
    }
    return SBI_SUCCESS;
}

static void sbi_send_ipi(struct call *c, struct rv_hart *h)
{
    rvm_raise(c->m, (unsigned)h->cpu.hartid, 1ull << RV_IRQ_SSI);
}

static int64_t ipi(struct call *c)
{
    return c->function ? SBI_NOT_SUPPORTED : for_harts(c, c->arg[0], c->arg[1], sbi_send_ipi);
}

/*
 * Arguments 2 and 3: first address and bytes; 0 or all ones: everything. 4: the address space, of
 * function 2.
 */
static struct rv_fence fence_asked(const struct call *c)
{
    uint64_t first = c->arg[2] & ~(DBT_PAGE - 1), bytes = c->arg[3] + (c->arg[2] - first);
    struct rv_fence f = { .asid = c->function == 2 ? c->arg[4] & 0xffff : RV_FENCE_ALL };

    if ((c->arg[2] == 0 && c->arg[3] == 0) || bytes < c->arg[3] ||
        bytes > RV_FENCE_PAGES * DBT_PAGE)
        return f;
    f.va = first;
    f.pages = (uint32_t)(bytes / DBT_PAGE + (bytes % DBT_PAGE != 0));
    return f;
}

static void fence_code(struct rv_hart *h)
{
    if (h->machine->fence_i)
        h->machine->fence_i(h->owner, h);
}

static void fence_one(struct call *c, struct rv_hart *h)
{
    if (c->m->host->fence)
        c->m->host->fence(c->m->ctx, (unsigned)h->cpu.hartid, c->function ? &c->fence : NULL);
    else if (c->function)
        rv_fence(h, &c->fence);
    else
        fence_code(h);
}

/* Functions: FENCE.I, SFENCE.VMA, and that of one address space. */
static int64_t rfence(struct call *c)
{
    if (c->function > 2)
        return SBI_NOT_SUPPORTED;
    c->fence = fence_asked(c);
    return for_harts(c, c->arg[0], c->arg[1], fence_one);
}

static int64_t hart_start(struct call *c)
{
    uint64_t n = c->arg[0];

    if (n >= c->m->harts)
        return SBI_INVALID_PARAM;
    n = index_nospec(n, c->m->harts);
    if (c->m->hart_state[n] == RVM_STARTED)
        return SBI_ALREADY_AVAILABLE;
    if (c->arg[1] & 1 || !rvm_ram(c->m, c->arg[1], 2))
        return SBI_INVALID_ADDRESS;
    if (c->m->host->start) {
        c->m->host->start(c->m->ctx, (unsigned)n, c->arg[1], c->arg[2]);
    } else {
        rvm_start(c->m, (unsigned)n, c->arg[1], n, c->arg[2]);
        fence_code(c->m->hart[n]);
    }
    c->m->hart_state[n] = RVM_STARTED;
    return SBI_SUCCESS;
}

static int64_t hart_stop(struct call *c)
{
    c->m->hart_state[c->h->cpu.hartid] = RVM_STOPPED;
    __atomic_store_n(&c->h->stop, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&c->h->attention, 1, __ATOMIC_RELEASE);
    return SBI_SUCCESS;
}

static int64_t hsm(struct call *c)
{
    switch (c->function) {
    case 0: return hart_start(c);
    case 1: return hart_stop(c);
    case 2:
        if (c->arg[0] >= c->m->harts)
            return SBI_INVALID_PARAM;
        c->value = c->m->hart_state[index_nospec(c->arg[0], c->m->harts)];
        return SBI_SUCCESS;
    case 3: /* retentive suspend is WFI; there is no other */
        if (c->arg[0] != 0)
            return c->arg[0] == 0x80000000 ? SBI_NOT_SUPPORTED : SBI_INVALID_PARAM;
        c->h->cpu.waiting = !rv_wakes(c->h);
        return SBI_SUCCESS;
    default: return SBI_NOT_SUPPORTED;
    }
}

/* Type 0: shutdown, 1 and 2: cold and warm reboot; reason 1: the system failed. */
static int64_t srst(struct call *c)
{
    if (c->function)
        return SBI_NOT_SUPPORTED;
    if (c->arg[0] > 2)
        return SBI_INVALID_PARAM;
    rvm_end(c->m, c->arg[0] ? RVM_RESET : RVM_POWEROFF, c->arg[1] == 1);
    return SBI_SUCCESS;
}

static int64_t dbcn(struct call *c)
{
    uint64_t n = c->arg[0] < DBCN_MAX ? c->arg[0] : DBCN_MAX;
    char byte = (char)c->arg[0], *at = (char *)rvm_ram(c->m, c->arg[1], n);

    if (c->function == 2) {
        c->m->host->put(c->m->ctx, &byte, 1);
        return SBI_SUCCESS;
    }
    if (c->function > 2)
        return SBI_NOT_SUPPORTED;
    if (c->arg[2] || (n && !at))
        return SBI_INVALID_PARAM;
    if (c->function == 0)
        c->m->host->put(c->m->ctx, at, n);
    else
        n = c->m->host->get(c->m->ctx, at, n);
    c->value = n;
    return SBI_SUCCESS;
}

static const struct {
    uint64_t extension;
    int64_t (*call)(struct call *c);
} extensions[] = {
    { EXT_BASE, sbi_base }, { EXT_TIME, set_timer }, { EXT_IPI, ipi },   { EXT_RFENCE, rfence },
    { EXT_HSM, hsm },       { EXT_SRST, srst },      { EXT_DBCN, dbcn },
};
#define EXTENSIONS (sizeof extensions / sizeof extensions[0])

static bool known(uint64_t extension)
{
    for (unsigned i = 0; i < EXTENSIONS; i++) {
        if (extensions[i].extension == extension)
            return true;
    }
    return false;
}

static int64_t sbi_dispatch(struct call *c, uint64_t extension)
{
    for (unsigned i = 0; i < EXTENSIONS; i++) {
        if (extensions[i].extension == extension)
            return extensions[i].call(c);
    }
    return SBI_NOT_SUPPORTED;
}

/* a7 the extension, a6 the function, a0 to a5 arguments; a0 the error and a1 the value. */
void rvm_sbi(struct rv_machine *m, struct rv_hart *h)
{
    uint64_t *x = h->cpu.x;
    struct call c = { .m = m, .h = h, .function = x[16] };

    for (unsigned i = 0; i < 6; i++)
        c.arg[i] = x[10 + i];
    x[10] = (uint64_t)sbi_dispatch(&c, x[17]);
    x[11] = c.value;
}
