/* SPDX-License-Identifier: BSD-2-Clause */
/* reload.c: see reload.h. Files are read one after another, guests changed one in each event. */
#include "reload.h"
#include <hv/assert.h>
#include <hv/config_files.h>
#include <hv/console.h>
#include <hv/log.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX MIB /* as the loader's */

static struct reload *job;
static struct reload_memory config_memory; /* of config_text, if it is no longer the boot's */

const struct reload *reload_job(void) { return job; }

/* ---- the end ---- */

static void reload_free(struct reload *r)
{
    config_free(&r->next);
    reload_give(r->text);
    reload_give(r->bytes);
    free(r->names);
    free(r->changed);
    free(r->changes);
    free(r);
}

void reload_end(void)
{
    hv_assert(job && job->done);
    reload_free(job);
    job = NULL;
}

static void reload_done(struct reload *r)
{
    files_cancel();
    r->done = true;
    if (r->why[0])
        log_err("reload: nothing was changed: %s", r->why);
    else if (r->next.nerrors)
        log_err("reload: nothing was changed: trivet.conf has %u error%s",
                r->next.nerrors + r->next.errors_untold, r->next.nerrors == 1 ? "" : "s");
    else
        log_info("reload: trivet.conf: %u guest%s, %u change%s", r->next.nguests,
                 r->next.nguests == 1 ? "" : "s", r->nchanges + r->untold,
                 r->nchanges + r->untold == 1 ? "" : "s");
}

static void reload_fail(struct reload *r, const char *fmt, ...) printf_like(2, 3);
static void reload_fail(struct reload *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r->why, sizeof r->why, fmt, ap);
    va_end(ap);
    reload_done(r);
}

/* ---- what it changes ---- */

static void add_change(struct reload *r, const char *kind, const char *name, const char *change,
                       const char *text)
{
    struct change *c = &r->changes[r->nchanges];

    if (r->nchanges == RELOAD_CHANGES) {
        r->untold++;
        return;
    }
    snprintf(c->section, sizeof c->section, "%s%s%s", kind, name[0] ? " " : "", name);
    c->change = change;
    snprintf(c->text, sizeof c->text, "%s", text);
    r->nchanges++;
}

static void tell_net(void *ctx, const char *net, const char *change, const char *text)
{
    add_change(ctx, "net", net, change, text);
}

/* config_microcode() callback. */
static void note_microcode(void *ctx, unsigned line, const char *path, size_t len)
{
    struct reload *r = ctx;

    (void)line;
    for (unsigned i = 0; i < r->nnames; i++)
        r->microcode |=
            r->changed[i] && config_same_file(r->names[i], strlen(r->names[i]), path, len);
}

/* The keys that the console itself goes by change at once. */
static void take_host(struct reload *r)
{
    struct host_config *now = &the_config.host;
    const char *key;
    unsigned i = 0;

    while ((key = config_host_change(now, &r->next.host, &i))) {
        bool at_once = strcmp(key, "log") == 0 || strcmp(key, "escape") == 0;
        char text[80];

        snprintf(text, sizeof text, "`%s`: %s", key,
                 at_once ? "it takes effect at once" : "it takes effect at the next boot");
        add_change(r, "host", "", "changed", text);
    }
    config_microcode(config_text, note_microcode, r);
    if (r->microcode && now->nmicrocode == r->next.host.nmicrocode)
        add_change(r, "host", "", "changed", "`microcode`: its files take effect at the next boot");
    now->log = r->next.host.log;
    now->escape = r->next.host.escape;
    log_set_console_level(now->log);
    console_set_escape((char)now->escape);
}

static const struct guest_config *next_guest(const struct reload *r, const char *name)
{
    for (unsigned i = 0; i < r->next.nguests; i++)
        if (strcmp(r->next.guest[i].name, name) == 0)
            return &r->next.guest[i];
    return NULL;
}

static void reload_add_guest(struct reload *r, const struct guest_config *c)
{
    struct guest_config *own = malloc(sizeof *own); /* charge: the configuration is Trivet's own */
    char text[160] = "not enough memory";
    struct vm *vm = NULL;
    int err = -ENOMEM;

    if (own) {
        *own = *c;
        err = vm_define(own, &vm);
    }
    if (err || vm->config != own)
        free(own);
    if (err == -ENOSPC)
        snprintf(text, sizeof text, "there have been %d guests since the boot: `reboot` makes room",
                 MAX_VMS);
    else if (!err && vm_is_for_this_machine(vm))
        snprintf(text, sizeof text, "`start %s` starts it", c->name);
    else if (!err)
        snprintf(text, sizeof text, "left out: %s", vm->why);
    add_change(r, "guest", c->name, "new", text);
}

static bool has_new_files(const struct reload *r, const struct guest_config *c)
{
    for (unsigned i = 0; i < r->nnames; i++)
        if (r->changed[i] && config_guest_uses(c, r->names[i]))
            return true;
    return false;
}

static void change_guest(struct reload *r, struct vm *vm, const struct guest_config *c)
{
    bool same = config_same_guest(vm->config, c), files = has_new_files(r, c);
    int res = vm_reconfigure(vm, c, files);

    vm_remove_not(vm);
    if (res < 0)
        add_change(r, "guest", c->name, "changed", "not enough memory: it stays as it is");
    else if (res)
        add_change(r, "guest", c->name, "changed",
                   !vm_is_up(vm) ? (vm->left_out ? "it is left out: `list` says why"
                                                 : "from its next start on")
                   : same        ? "its files: from its next start on; it runs on as it is"
                                 : "from its next start on; it runs on as it is");
}

static void remove_guest(struct reload *r, struct vm *vm)
{
    vm_remove(vm);
    add_change(r, "guest", vm->config->name, "removed",
               vm_is_up(vm)      ? "it runs on; it goes when it is off"
               : !vm_is_gone(vm) ? "it goes when what is saved of it is dropped: `vm drop`"
                                 : "it is gone");
}

static struct vm *next_to_remove(const struct reload *r)
{
    for (uint32_t i = 0; i < vm_count(); i++) {
        struct vm *vm = vm_by_index(i);

        if (!vm->removed && !next_guest(r, vm->config->name))
            return vm;
    }
    return NULL;
}

/* One guest in each event. */
static void reload_step(struct event *ev)
{
    struct reload *r = container_of(ev, struct reload, step);
    struct vm *vm;

    if (r->guest < r->next.nguests) {
        const struct guest_config *c = &r->next.guest[r->guest++];

        vm = vm_find(c->name);
        if (vm)
            change_guest(r, vm, c);
        else
            reload_add_guest(r, c);
    } else {
        vm = next_to_remove(r);
        if (!vm) {
            files_drop(vm_oldest_files());
            reload_done(r);
            return;
        }
        remove_guest(r, vm);
    }
    event_post(ev);
}

/* All of it was read, and is right. */
static void reload_take_over(struct reload *r)
{
    files_commit();
    config_text = (const char *)r->text.at;
    config_text_len = r->text.len;
    reload_give(config_memory);
    config_memory = r->text;
    r->text.at = NULL;
    take_host(r);
    config_take_nets(&r->next, tell_net, r);
    event_post(&r->step);
}

static void reload_parse(struct reload *r)
{
    struct config_limits limits;
    int n;

    config_limits_now(&limits);
    files_look_at(FILES_COMING);
    n = config_parse((const char *)r->text.at, r->text.len, &limits, &r->next);
    files_look_at(FILES_NEWEST);
    if (n < 0)
        reload_fail(r, "not enough memory to read trivet.conf");
    else if (n > 0)
        reload_done(r);
    else
        reload_take_over(r);
}

/* ---- reading ---- */

static struct reload *reload_of(struct stick_file *f)
{
    return container_of(f, struct reload, file);
}

static void read_next(struct reload *r);

/* It is compared with what is there, and taken only if it differs. */
static int on_begin(struct stick_file *f)
{
    struct reload *r = reload_of(f);
    uint64_t len = 0;
    const uint8_t *old = r->differs ? NULL : file_find(f->path, &len);

    r->at = 0;
    r->old = old && len == f->bytes ? old : NULL;
    r->bytes.at = NULL;
    if (r->old)
        return 0;
    r->bytes = reload_take(f->bytes);
    return r->bytes.at ? 0 : -ENOMEM;
}

static int on_piece(struct stick_file *f, uint64_t at, const uint8_t *bytes, uint32_t n)
{
    struct reload *r = reload_of(f);

    hv_assert(range_within(at, n, 0, f->bytes));
    r->at = at + n;
    r->read += n;
    if (!r->old)
        memcpy(r->bytes.at + at, bytes, n);
    else if (memcmp(r->old + at, bytes, n) != 0)
        return -EAGAIN; /* from its begin on, into memory of its own */
    return 0;
}

static void on_file(struct stick_file *f, int err)
{
    struct reload *r = reload_of(f);

    r->differs = err == -EAGAIN;
    if (r->differs) {
        stick_read(f);
        return;
    }
    if (!err && r->old) {
        files_keep(f->path);
    } else if (!err) {
        err = reload_add(f->path, r->bytes);
        r->bytes.at = err ? r->bytes.at : NULL;
        r->changed[r->name] = true;
        r->kept += f->bytes;
    }
    if (err == -ENOMEM)
        reload_fail(r, "%s, %llu KiB: not enough free memory beside what it replaces", f->path,
                    (unsigned long long)f->bytes / KIB);
    else if (err && err != -ENOENT) /* the reader of trivet.conf tells that, with the line */
        reload_fail(r, "%s on %s: %s", f->path, stick_name(), stick_why());
    else {
        r->name++;
        read_next(r);
    }
}

static void read_next(struct reload *r)
{
    if (r->name == r->nnames) {
        reload_parse(r);
        return;
    }
    r->file = (struct stick_file){
        .path = r->names[r->name], .begin = on_begin, .piece = on_piece, .done = on_file
    };
    stick_read(&r->file);
}

/* A path that is too long the reader of trivet.conf tells. */
static void add_name(void *ctx, unsigned line, const char *path, size_t len)
{
    struct reload *r = ctx;

    (void)line;
    for (unsigned i = 0; i < r->nnames; i++)
        if (config_same_file(r->names[i], strlen(r->names[i]), path, len))
            return;
    if (len >= BOOT_NAME_MAX)
        return;
    if (r->nnames == BOOT_FILES_MAX) {
        r->beyond++;
        return;
    }
    memcpy(r->names[r->nnames], path, len);
    r->names[r->nnames++][len] = '\0';
}

/* ---- trivet.conf itself ---- */

static int on_config_begin(struct stick_file *f)
{
    struct reload *r = reload_of(f);

    r->text = f->bytes <= CONFIG_MAX ? reload_take(f->bytes) : r->text;
    return f->bytes > CONFIG_MAX ? -EFBIG : r->text.at ? 0 : -ENOMEM;
}

static int on_config_piece(struct stick_file *f, uint64_t at, const uint8_t *bytes, uint32_t n)
{
    struct reload *r = reload_of(f);

    hv_assert(range_within(at, n, 0, r->text.len));
    memcpy(r->text.at + at, bytes, n);
    r->at = at + n;
    r->read += n;
    return 0;
}

static void on_config(struct stick_file *f, int err)
{
    struct reload *r = reload_of(f);

    if (err) {
        reload_fail(r, "trivet.conf on %s: %s", stick_name(),
                    err == -ENOENT   ? "there is none"
                    : err == -ENOMEM ? "not enough memory"
                    : err == -EFBIG  ? "longer than 1 MiB"
                                     : stick_why());
        return;
    }
    config_files((const char *)r->text.at, engine_default_isa(), add_name, r);
    if (r->beyond)
        reload_fail(r, "trivet.conf names %u files more than the %u that can be loaded", r->beyond,
                    BOOT_FILES_MAX);
    else
        read_next(r);
}

int reload_begin(void)
{
    struct reload *r;
    int err;

    assert_cpu0();
    if (job && !job->done)
        return -EBUSY;
    if (job)
        reload_end(); /* nobody waited for it to the end */
    err = stick_open();
    if (err)
        return err;
    r = calloc(1, sizeof *r); /* charge: as the configuration, Trivet's own */
    if (!r)
        return -ENOMEM;
    r->names = calloc(BOOT_FILES_MAX, sizeof *r->names);     /* charge: the same */
    r->changed = calloc(BOOT_FILES_MAX, sizeof *r->changed); /* charge: the same */
    r->changes = calloc(RELOAD_CHANGES, sizeof *r->changes); /* charge: the same */
    if (!r->names || !r->changed || !r->changes) {
        reload_free(r);
        return -ENOMEM;
    }
    job = r;
    event_init(&r->step, reload_step, 0);
    files_drop(vm_oldest_files());
    r->file = (struct stick_file){
        .path = "trivet.conf", .begin = on_config_begin, .piece = on_config_piece, .done = on_config
    };
    stick_read(&r->file);
    return 0;
}
