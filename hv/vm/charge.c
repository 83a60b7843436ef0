/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * charge.c: what Trivet spends on each guest. A VM without limits (charge_begin() was not called)
 * may take what it likes.
 */
#include <hv/assert.h>
#include <hv/blk.h>
#include <hv/charge.h>
#include <hv/event.h>
#include <hv/files.h>
#include <hv/heap.h>
#include <hv/log.h>
#include <hv/panic.h>
#include <hv/pmm.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <hv/words.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_MIN (16 * MIB) /* least default for the changes of disks */
/* with the rest of a block of which RAM has only parts */
#define OVERHEAD_BASE (3 * MIB + VIEW_BLOCK)
#define OVERHEAD_VCPU (256 * KIB)

static const char *const keys[CHARGES] = { "overhead", "disk-changes" };

/* What buffers of disks outside may take, for requests that cannot go as they are. */
#define OVERHEAD_VOLUME (512 * KIB)

/* The image of cloud-init's disk: two files of 1 MiB at most. */
#define OVERHEAD_CLOUD_INIT (2 * MIB + 64 * KIB)

/* The queue and the buffers of a network device. */
#define OVERHEAD_NET (384 * KIB)

/* Variables and what is kept of them, ACPI tables and fw_cfg of a guest with firmware. */
#define OVERHEAD_FIRMWARE (2 * MIB + 256 * KIB)

static uint64_t volumes(const struct guest_config *c)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < c->ndisks; i++)
        if (c->disk[i].source == DISK_CLOUD_INIT)
            sum += OVERHEAD_CLOUD_INIT;
        else if (c->disk[i].source != DISK_FILE)
            sum += OVERHEAD_VOLUME;
    return sum;
}

/*
 * What its writable disks could come to, were every piece of them changed, with the tables for
 * that.
 */
static uint64_t disks(const struct guest_config *c)
{
    uint64_t sum = 0, len = 0;

    for (unsigned i = 0; i < c->ndisks; i++)
        if (!c->disk[i].ro && c->disk[i].source == DISK_FILE && file_find(c->disk[i].path, &len))
            sum += align_up(len, RAMDISK_PIECE);
    return sum;
}

static uint64_t limit_of(const struct vm *vm, enum charge_kind kind)
{
    const struct guest_config *c = vm->config;
    uint64_t engine = vm->ops ? vm->ops->overhead : 0;

    if (kind == CHARGE_DISK && c->disk_changes != UINT64_MAX)
        return c->disk_changes;
    if (kind == CHARGE_OVERHEAD && c->overhead)
        return c->overhead;
    if (kind == CHARGE_DISK)
        return min_u64(disks(c), max_u64(c->memory / 4, DISK_MIN));
    /* Tables, at worst 56 bytes a page; a disk's list of pieces. */
    return OVERHEAD_BASE + c->vcpus * (OVERHEAD_VCPU + engine) + c->memory / 64 + volumes(c) +
           c->nnets * OVERHEAD_NET + (c->firmware[0] ? OVERHEAD_FIRMWARE : 0);
}

uint64_t charge_limit(const struct vm *vm, enum charge_kind kind)
{
    assert_cpu0();
    hv_assert(kind < CHARGES);
    return vm->limited ? vm->charge[kind].limit : limit_of(vm, kind);
}

int charge_new(struct vm *vm)
{
    assert_cpu0();
    return charge(vm, CHARGE_OVERHEAD, heap_cost(vm));
}

static int set_aside(struct vm *vm)
{
    uint64_t sum = 0;

    for (unsigned k = 0; k < CHARGES; k++) {
        if (vm->charge[k].used > vm->charge[k].limit) {
            vm->charge[k].told = true;
            return -ENOSPC;
        }
        sum += vm->charge[k].limit - vm->charge[k].used;
    }
    vm->limited = pmm_promise(sum) == 0;
    return vm->limited ? 0 : -ENOMEM;
}

int charge_begin(struct vm *vm)
{
    char size[CHARGES][16];
    int err;

    assert_cpu0();
    hv_assert(!vm->limited);
    for (unsigned k = 0; k < CHARGES; k++) {
        struct charge *c = &vm->charge[k];

        *c = (struct charge){ .used = c->used, .kept = c->used, .limit = limit_of(vm, k) };
        format_size(c->limit, size[k], sizeof size[k]);
    }
    err = set_aside(vm);
    if (err == -ENOMEM)
        snprintf(vm->why, sizeof vm->why,
                 "not enough free memory to set aside overhead = %s and disk-changes = %s", size[0],
                 size[1]);
    return err;
}

void charge_end(struct vm *vm)
{
    assert_cpu0();
    for (unsigned k = 0; k < CHARGES; k++) {
        struct charge *c = &vm->charge[k];

        /* all that this start took has come back */
        hv_assert(!DEBUG_LOCKS || c->used == c->kept);
        if (vm->limited)
            pmm_unpromise(c->limit - c->used);
        c->limit = 0;
    }
    vm->limited = false;
}

bool charge_explain(struct vm *vm)
{
    char size[16];

    assert_cpu0();
    for (unsigned k = 0; k < CHARGES; k++) {
        if (!__atomic_load_n(&vm->charge[k].told, __ATOMIC_RELAXED))
            continue;
        format_size(vm->charge[k].limit, size, sizeof size);
        snprintf(vm->why, sizeof vm->why, "Trivet needs more memory for it than %s = %s; raise it",
                 keys[k], size);
        return true;
    }
    return false;
}

static void charge_tell(struct vm *vm, enum charge_kind kind)
{
    struct charge *c = &vm->charge[kind];
    char size[16];

    if (__atomic_exchange_n(&c->told, true, __ATOMIC_RELAXED))
        return;
    vm_log(vm, LOG_WARN, "its limit %s = %s is reached; to give it more, raise %s in [guest %s]",
           keys[kind], format_size(c->limit, size, sizeof size), keys[kind], vm->config->name);
}

int charge(struct vm *vm, enum charge_kind kind, uint64_t bytes)
{
    struct charge *c = &vm->charge[kind];
    uint64_t now = __atomic_add_fetch(&c->used, bytes, __ATOMIC_RELAXED);

    hv_assert(kind < CHARGES);
    if (!vm->limited)
        return 0;
    if (now > c->limit) {
        __atomic_sub_fetch(&c->used, bytes, __ATOMIC_RELAXED);
        charge_tell(vm, kind);
        return -ENOSPC;
    }
    pmm_unpromise(bytes); /* the caller takes it now */
    return 0;
}

void uncharge(struct vm *vm, enum charge_kind kind, uint64_t bytes)
{
    uint64_t had = __atomic_fetch_sub(&vm->charge[kind].used, bytes, __ATOMIC_RELAXED);

    hv_assert(kind < CHARGES);
    hv_assert(had >= bytes);
    if (vm->limited)
        pmm_promise_back(bytes);
}

int charge_tables(void *vm, int64_t bytes)
{
    if (bytes > 0)
        return charge(vm, CHARGE_OVERHEAD, (uint64_t)bytes);
    uncharge(vm, CHARGE_OVERHEAD, (uint64_t)-bytes);
    return 0;
}

void *vm_alloc(struct vm *vm, size_t len)
{
    void *p = calloc(1, len); /* charge: below */

    hv_assert(len > 0);
    if (p && charge(vm, CHARGE_OVERHEAD, heap_cost(p))) {
        free(p);
        return NULL;
    }
    return p;
}

void vm_free(struct vm *vm, void *p, size_t len)
{
    uint64_t cost;

    if (!p)
        return;
    event_assert_none_in(p, len);
    if (DEBUG_LOCKS)
        memset(p, EVENT_POISON, len);
    cost = heap_cost(p);
    free(p);
    uncharge(vm, CHARGE_OVERHEAD, cost);
}

hpa_t vm_pages(struct vm *vm, unsigned order)
{
    hpa_t pa = hpa(0);

    hv_assert(order <= PMM_MAX_ORDER);
    if (charge(vm, CHARGE_OVERHEAD, PAGE_SIZE << order))
        return pa;
    pa = pmm_alloc_zero(order, PMM_HV); /* charge: above */
    if (!pa.v)
        uncharge(vm, CHARGE_OVERHEAD, PAGE_SIZE << order);
    return pa;
}

void vm_pages_free(struct vm *vm, hpa_t pa, unsigned order)
{
    hv_assert(pa.v && order <= PMM_MAX_ORDER);
    pmm_free(pa, order, PMM_HV);
    uncharge(vm, CHARGE_OVERHEAD, PAGE_SIZE << order);
}
