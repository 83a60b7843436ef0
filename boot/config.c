/* config.c: finds the file names in trivet.conf. What the values mean in full is for hv/vm/config.c. */
#include "loader.h"

#include <string.h>

#include <ini.h>

struct scan {
    void (*add)(void *ctx, const char *name, size_t len);
    void *ctx;
};

static const char *const file_keys[] = { "kernel", "initrd", "disk", "module" };

static bool names_file(const char *key)
{
    size_t n = sizeof file_keys / sizeof file_keys[0];

    for (size_t i = 0; i < n; i++)
        if (strcmp(key, file_keys[i]) == 0)
            return true;
    return false;
}

/* The file name is the first word of the value; an optional "ram:" before it and options after it are not ours. */
static int on_value(void *user, const char *section, const char *key, const char *value, int line)
{
    struct scan *s = user;
    size_t len = 0;

    (void)line;
    if (strncmp(section, "guest", 5) != 0 || !names_file(key))
        return 1;
    if (strncmp(value, "ram:", 4) == 0)
        value += 4;
    while (value[len] && value[len] != ' ' && value[len] != '\t' && value[len] != ',')
        len++;
    if (len)
        s->add(s->ctx, value, len);
    return 1;
}

void config_files(const char *text, void (*add)(void *ctx, const char *name, size_t len), void *ctx)
{
    struct scan s = { .add = add, .ctx = ctx };

    (void)ini_parse_string(text, on_value, &s);
}
