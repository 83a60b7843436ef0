/* SPDX-License-Identifier: BSD-2-Clause */
/* change.c: a guest's configuration as somebody wants it from the next start on. */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

const struct guest_config *vm_next_config(const struct vm *vm)
{
    return vm->next ? vm->next : vm->config;
}

static void note_unsaved(struct vm *vm, const char *key)
{
    size_t n = strlen(vm->unsaved);

    if (!strstr(vm->unsaved, key))
        snprintf(vm->unsaved + n, sizeof vm->unsaved - n, "%s%s", n ? ", " : "", key);
}

int vm_change(struct vm *vm, const struct guest_config *next, const char *key)
{
    assert_cpu0();
    if (!vm->next)
        vm->next = malloc(sizeof *vm->next); /* charge: the configuration is Trivet's own */
    if (!vm->next)
        return -ENOMEM;
    memmove(vm->next, next, sizeof *next);
    note_unsaved(vm, key);
    return 0;
}

/* Into the place of the old one, which others point into. */
void vm_take_change(struct vm *vm)
{
    if (vm->next)
        *vm->own = *vm->next;
    free(vm->next);
    vm->next = NULL;
}

/* What kept it from this machine may be mended. */
static void look_once_more(struct vm *vm)
{
    if (vm->left_out)
        vm->why[0] = '\0';
    vm->left_out = false;
    (void)vm_is_for_this_machine(vm);
}

int vm_reconfigure(struct vm *vm, const struct guest_config *c, bool files)
{
    bool same = config_same_guest(vm->config, c), down = !vm_is_up(vm);
    int err = same ? 0 : vm_change(vm, c, "");

    assert_cpu0();
    if (err)
        return err;
    if (same) {
        free(vm->next);
        vm->next = NULL;
    }
    vm->unsaved[0] = '\0';
    if (down)
        vm_take_change(vm);
    if (vm->state == VM_OFF && (!same || files || vm->left_out))
        look_once_more(vm);
    vm->files_wait |= !down && files;
    return !same || files;
}
