/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One virtio device, whole, with its CPU on a thread of its own: whatever the moment, what
 * virtio_dev.h checks holds.
 */
#include "virtio_dev.h"
#include "virtio_threads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pthread_t thread;

    if (size < 1 + OP_LEN)
        return 0;
    if (!thread && pthread_create(&thread, NULL, cpu1, NULL))
        abort();
    one_run(data, size);
    return 0;
}
