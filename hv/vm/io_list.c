/* SPDX-License-Identifier: BSD-2-Clause */
/* The regions of a machine's small devices, which come and go together. */
#include <hv/assert.h>
#include <hv/io.h>

int io_list_add(struct vm *vm, struct io_list *l, const struct io_region *r)
{
    int err;

    assert_cpu0();
    if (l->n >= IO_LIST_MAX)
        return -ENOSPC;
    err = io_register(vm, r);
    if (err)
        return err;
    l->region[l->n].space = r->space;
    l->region[l->n++].base = r->base;
    return 0;
}

void io_list_end(struct vm *vm, struct io_list *l)
{
    assert_cpu0();
    while (l->n > 0) {
        l->n--;
        (void)!io_unregister(vm, l->region[l->n].space, l->region[l->n].base);
    }
}
