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
    for (unsigned i = 0; vm->next && i < the_config.nguests; i++)
        if (vm->config == &the_config.guest[i])
            the_config.guest[i] = *vm->next;
    free(vm->next);
    vm->next = NULL;
}
