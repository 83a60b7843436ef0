/* SPDX-License-Identifier: BSD-2-Clause */
/* trivet.conf may hold anything at all. */
#include <hv/config.h>
#include <stdlib.h>

static bool exists(const char *path) { return path[0] != 'x'; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct config_limits limits = { .memory_max = GIB, .cpus = 64, .file_exists = exists };
    struct config c;
    int n = config_parse((const char *)data, size, &limits, &c);

    if (n != (int)(c.nerrors + c.errors_untold))
        abort();
    for (unsigned i = 0; i < c.nguests; i++) {
        const struct guest_config *g = &c.guest[i];

        if (!g->bad && (!g->kernel[0] || g->vcpus < 1 || g->vcpus > MAX_VCPUS || g->memory > GIB))
            abort();
    }
    config_free(&c);
    return 0;
}
