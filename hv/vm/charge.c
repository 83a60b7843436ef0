/* charge.c: what Trivet spends on each guest. A VM without limits (charge_begin() was not called) may take what it likes. */
#include <hv/blk.h>
#include <hv/charge.h>
#include <hv/event.h>
#include <hv/files.h>
#include <hv/log.h>
#include <hv/pmm.h>
#include <hv/vm.h>
#include <hv/words.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_MIN (16 * MIB)        /* least default for the changes of disks */
#define OVERHEAD_BASE (3 * MIB)
#define OVERHEAD_VCPU (256 * KIB)

static const char *const keys[CHARGES] = { "overhead", "disk-changes" };

/* What its writable disks could come to, were every piece of them changed, with the tables for that. */
static uint64_t disks(const struct guest_config *c)
{
    uint64_t sum = 0, len = 0;

    for (unsigned i = 0; i < c->ndisks; i++)
        if (!c->disk[i].ro && file_find(c->disk[i].path, &len))
            sum += align_up(len, RAMDISK_PIECE);
    return sum;
}

static uint64_t limit_of(const struct guest_config *c, enum charge_kind kind)
{
    if (kind == CHARGE_DISK && c->disk_changes != UINT64_MAX)
        return c->disk_changes;
    if (kind == CHARGE_OVERHEAD && c->overhead)
        return c->overhead;
    if (kind == CHARGE_DISK)
        return min_u64(disks(c), max_u64(c->memory / 4, DISK_MIN));
    /* Tables of scattered memory, at worst 56 bytes a page; a disk's list of pieces. */
    return OVERHEAD_BASE + c->vcpus * OVERHEAD_VCPU + c->memory / 64;
}

int charge_begin(struct vm *vm)
{
    char size[CHARGES][16];
    uint64_t sum = 0;

    for (unsigned k = 0; k < CHARGES; k++) {
        vm->charge[k] = (struct charge){ .limit = limit_of(vm->config, k) };
        format_size(vm->charge[k].limit, size[k], sizeof size[k]);
        sum += vm->charge[k].limit;
    }
    vm->limited = pmm_promise(sum) == 0;
    if (vm->limited)
        return 0;
    snprintf(vm->why, sizeof vm->why, "not enough free memory to set aside overhead = %s and disk-changes = %s", size[0], size[1]);
    return -ENOMEM;
}

void charge_end(struct vm *vm)
{
    for (unsigned k = 0; k < CHARGES && vm->limited; k++)
        pmm_unpromise(vm->charge[k].limit - vm->charge[k].used);
    memset(vm->charge, 0, sizeof vm->charge);
    vm->limited = false;
}

static void tell(struct vm *vm, enum charge_kind kind)
{
    struct charge *c = &vm->charge[kind];
    char size[16];

    if (__atomic_exchange_n(&c->told, true, __ATOMIC_RELAXED))
        return;
    vm_log(vm, LOG_WARN, "its limit %s = %s is reached; to give it more, raise %s in [guest %s]", keys[kind],
           format_size(c->limit, size, sizeof size), keys[kind], vm->config->name);
}

int charge(struct vm *vm, enum charge_kind kind, uint64_t bytes)
{
    struct charge *c = &vm->charge[kind];
    uint64_t now = __atomic_add_fetch(&c->used, bytes, __ATOMIC_RELAXED);

    if (!vm->limited)
        return 0;
    if (now > c->limit) {
        __atomic_sub_fetch(&c->used, bytes, __ATOMIC_RELAXED);
        tell(vm, kind);
        return -ENOSPC;
    }
    pmm_unpromise(bytes);          /* the caller takes it now */
    return 0;
}

void uncharge(struct vm *vm, enum charge_kind kind, uint64_t bytes)
{
    __atomic_sub_fetch(&vm->charge[kind].used, bytes, __ATOMIC_RELAXED);
    if (vm->limited)
        pmm_promise_back(bytes);
}

void *vm_alloc(struct vm *vm, size_t len)
{
    void *p;

    if (charge(vm, CHARGE_OVERHEAD, len))
        return NULL;
    p = calloc(1, len);
    if (!p)
        uncharge(vm, CHARGE_OVERHEAD, len);
    return p;
}

void vm_free(struct vm *vm, void *p, size_t len)
{
    if (!p)
        return;
    event_assert_none_in(p, len);
    if (DEBUG_LOCKS)
        memset(p, EVENT_POISON, len);
    free(p);
    uncharge(vm, CHARGE_OVERHEAD, len);
}
