/* SPDX-License-Identifier: BSD-2-Clause */
/* list.c: the VMs that there are, and those that trivet.conf names no more. */
#include <hv/assert.h>
#include <hv/console.h>
#include <hv/files.h>
#include <hv/heap.h>
#include <hv/log.h>
#include <hv/vm.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

static struct vm *vms[MAX_VMS];
static uint32_t nvms, defined; /* defined: those that have gone counted */
static struct vm *gone;

static const char *list_name_of(const struct vm *vm) { return vm->config->name; }

uint32_t vm_count(void) { return nvms; }

struct vm *vm_by_index(uint32_t i)
{
    assert_cpu0();
    return i < nvms ? vms[i] : NULL;
}

struct vm *vm_find(const char *name)
{
    assert_cpu0();
    for (uint32_t i = 0; i < nvms; i++)
        if (strcmp(list_name_of(vms[i]), name) == 0)
            return vms[i];
    return NULL;
}

static int make_console(struct vm *vm, const char *name)
{
    int err = console_create(name, &vm->console);

    return err ? err : charge(vm, CHARGE_OVERHEAD, heap_cost(vm->console));
}

/* One that has gone, and was called so. */
static struct vm *come_back(const struct guest_config *config)
{
    struct vm **at = &gone, *vm;

    while (*at && strcmp(list_name_of(*at), config->name) != 0)
        at = &(*at)->next_gone;
    vm = *at;
    if (!vm)
        return NULL;
    *at = vm->next_gone;
    *vm->own = *config;
    free(vm->next); /* of the configuration before */
    vm->next = NULL;
    vm->unsaved[0] = '\0';
    vm->exit_code = -1;
    __atomic_store_n(&vm->state, VM_OFF, __ATOMIC_RELEASE); /* it may have gone when it crashed */
    vm->removed = vm->left_out = vm->not_started = vm->files_wait = false;
    vm->why[0] = '\0';
    vms[nvms++] = vm;
    return vm;
}

int vm_define(struct guest_config *config, struct vm **out)
{
    struct vm *vm;
    int err;

    assert_cpu0();
    hv_assert(config && out);
    if (vm_find(config->name))
        return -EEXIST;
    *out = come_back(config);
    if (*out)
        return 0;
    if (defined == MAX_VMS)
        return -ENOSPC;
    vm = calloc(1, sizeof *vm); /* charge: charge_new() */
    if (!vm)
        return -ENOMEM;
    vm->id = defined;
    vm->config = vm->own = config;
    vm->exit_code = -1;
    spin_init(&vm->lock, LOCK_VM);
    random_stream_init(&vm->random);
    event_init(&vm->lifecycle, vm_lifecycle, 0);
    save_init(vm);
    policy_init(vm);
    err = charge_new(vm);
    if (!err)
        err = make_console(vm, config->name);
    if (err) {
        free(vm);
        return err;
    }
    defined++;
    *out = vms[nvms++] = vm;
    return 0;
}

bool vm_is_gone(const struct vm *vm) { return vm_find(list_name_of(vm)) != vm; }

void vm_go_if_removed(struct vm *vm)
{
    uint32_t i = 0;

    assert_cpu0();
    if (!vm->removed || vm->saved || vm_is_up(vm))
        return;
    while (i < nvms && vms[i] != vm)
        i++;
    if (i == nvms)
        return;
    memmove(vms + i, vms + i + 1, (nvms - i - 1) * sizeof(struct vm *));
    nvms--;
    vm->next_gone = gone;
    gone = vm;
    log_info("%s: gone: trivet.conf names it no more", list_name_of(vm));
}

void vm_remove(struct vm *vm)
{
    assert_cpu0();
    (void)vm_stay_down(vm);
    vm->removed = true;
    vm_go_if_removed(vm);
}

void vm_remove_not(struct vm *vm)
{
    assert_cpu0();
    vm->removed = false;
}

uint64_t vm_oldest_files(void)
{
    uint64_t oldest = files_generation();

    for (uint32_t i = 0; i < nvms; i++) {
        const struct vm *vm = vms[i];
        struct saved_info info;

        if (vm_is_up(vm))
            oldest = min_u64(oldest, vm->files);
        if (vm_saved(vm, &info))
            oldest = min_u64(oldest, info.files);
        if (vm->save.under_way && vm->save.to)
            oldest = min_u64(oldest, vm->files);
    }
    return oldest;
}
