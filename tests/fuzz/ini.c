/* SPDX-License-Identifier: BSD-2-Clause */
#include <ini.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int handler(void *user, const char *section, const char *name, const char *value, int lineno)
{
    size_t *sum = user;

    *sum += strlen(section) + (name ? strlen(name) + strlen(value) : 0);
    return lineno > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    size_t sum = 0;

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    ini_parse_string(text, handler, &sum);
    if (sum > 2 * size + size * INI_NAME_MAX)
        abort();
    free(text);
    return 0;
}
