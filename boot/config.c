/* config.c: finds the file names in trivet.conf. What the values mean in full is for hv/vm/config.c. */
#include "pure.h"

#include <string.h>

#include <ini.h>

struct scan {
    void (*add)(void *ctx, const char *name, size_t len);
    void *ctx;
};

/* Where the file's name ends in the value: at none of these (the whole value), at a comma, or at white space. */
static const struct {
    const char *key, *end;
} file_keys[] = { { "kernel", "" }, { "initrd", "" }, { "disk", "," }, { "module", " \t" } };

static int on_value(void *user, const char *section, const char *key, const char *value, int line)
{
    struct scan *s = user;

    (void)line;
    if (!key || !value || strncmp(section, "guest", 5) != 0)
        return 1;
    for (size_t i = 0; i < sizeof file_keys / sizeof file_keys[0]; i++) {
        size_t len = strcspn(value, file_keys[i].end);

        if (strcmp(key, file_keys[i].key) != 0)
            continue;
        while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
            len--;
        if (len)
            s->add(s->ctx, value, len);
    }
    return 1;
}

void config_files(const char *text, void (*add)(void *ctx, const char *name, size_t len), void *ctx)
{
    struct scan s = { .add = add, .ctx = ctx };

    (void)ini_parse_string(text, on_value, &s);
}
