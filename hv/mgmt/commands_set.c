/* SPDX-License-Identifier: BSD-2-Clause */
/* `set`: a key of a guest as in trivet.conf, until the machine's end. */
#include "mgmt.h"
#include "out.h"
#include <hv/config.h>
#include <hv/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `key=value`, which may hold blanks: the words were parted by them. False: too long, or no `=`. */
static bool join(char *buf, size_t size, unsigned argc, char **argv, char **value)
{
    size_t n = 0;

    buf[0] = '\0';
    for (unsigned i = 2; i < argc && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s%s", i > 2 ? " " : "", argv[i]);
    *value = strchr(buf, '=');
    if (n >= size || !*value)
        return false;
    for (char *end = *value; end > buf && end[-1] == ' ';)
        *--end = '\0';
    *(*value)++ = '\0';
    *value += strspn(*value, " ");
    return true;
}

static int change(struct vm *vm, const char *key, const char *value, char *why, size_t n)
{
    struct guest_config *next = malloc(sizeof *next); /* charge: the configuration is Trivet's own
                                                       */
    struct config_limits limits;
    int err = -ENOMEM;

    snprintf(why, n, "out of memory");
    if (!next)
        return err;
    *next = *vm_next_config(vm);
    config_limits_now(&limits);
    err = config_set(&limits, next, key, value, why, n);
    if (!err)
        err = vm_change(vm, next, key);
    free(next);
    return err;
}

void cmd_set(struct out *o, unsigned argc, char **argv)
{
    struct vm *vm = vm_find(argv[1]);
    char text[CMDLINE_LEN + 40], why[200], *value;

    if (!join(text, sizeof text, argc, argv, &value)) {
        out_error_code(o, OUT_USAGE, "give `set %s KEY=VALUE`, as in trivet.conf", argv[1]);
        return;
    }
    if (change(vm, text, value, why, sizeof why)) {
        out_error_code(o, OUT_USAGE, "%s", why);
        return;
    }
    out_text(o, "name", "Guest", "%s", vm->config->name);
    out_text(o, "unsaved", "Set, not saved", "%s", vm->unsaved);
    out_line(o, "from its next start on; `%s = %s` in trivet.conf keeps it", text, value);
}
