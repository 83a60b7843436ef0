/* SPDX-License-Identifier: BSD-2-Clause */
/* `vm`: guests saved into host memory, and what is held of them. */
#include "mgmt.h"
#include "out.h"
#include <hv/save.h>
#include <hv/state.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <hv/words.h>
#include <string.h>

static const char *saves_name_of(const struct vm *vm) { return vm->config->name; }

/* ---- save ---- */

static void saves_say_saved(struct out *o, const struct wait *w)
{
    const struct vm *vm = w->vm;
    struct saved_info info;
    char size[16];

    if (!vm_saved(vm, &info))
        return;
    if (!o->json) {
        out_line(o, "%s: saved, %s of host memory; `vm restore %s` starts it from there",
                 saves_name_of(vm), format_size(info.bytes, size, sizeof size), saves_name_of(vm));
        return;
    }
    out_text(o, "name", "", "%s", saves_name_of(vm));
    out_number(o, "bytes", "", info.bytes, UNIT_BYTES);
    out_number(o, "state_bytes", "", info.state_bytes, UNIT_BYTES);
    out_number(o, "live_pages", "", info.live_pages, UNIT_NONE);
    out_number(o, "paused_pages", "", info.pages - info.live_pages, UNIT_NONE);
    out_number(o, "stood_ns", "", info.stood_ns, UNIT_NS);
    out_number(o, "took_ns", "", time_ns() - w->began, UNIT_NS);
}

static bool save_poll(struct out *o, struct wait *w)
{
    struct vm *vm = w->vm;

    if (vm->save.under_way) {
        if (wait_progress_due(w))
            shell_progress(o, "%s: saving, %llu of %llu MiB looked at", saves_name_of(vm),
                           (unsigned long long)(vm->save.looked / MIB),
                           (unsigned long long)(vm->config->memory / MIB));
        return false;
    }
    if (vm->save.result)
        out_error(o, "%s was not saved: %s", saves_name_of(vm), vm->save.why);
    else
        saves_say_saved(o, w);
    return true;
}

static void do_save(struct out *o, struct vm *vm)
{
    int err = vm_save(vm);

    if (err == -EBUSY)
        out_error(o, "%s is neither running nor paused (%s)", saves_name_of(vm),
                  vm_state_names[vm->state]);
    else if (err == -EPERM)
        out_error(o,
                  "%s cannot be saved: it has devices of the machine (passthrough), whose state "
                  "cannot be read",
                  saves_name_of(vm));
    else if (err)
        out_error(o, "%s cannot be saved: %s", saves_name_of(vm), error_text(err));
    else
        wait_for(o, vm, UINT64_MAX, save_poll);
}

/* ---- restore ---- */

static bool restore_poll(struct out *o, struct wait *w)
{
    struct vm *vm = w->vm;

    if (vm->state == VM_STARTING || vm->state == VM_STOPPING) {
        if (wait_progress_due(w))
            shell_progress(o, "%s: restoring, %llu s", saves_name_of(vm), wait_seconds(w));
        return false;
    }
    if (vm->state != VM_RUNNING) {
        out_error(o, "%s was not restored: %s", saves_name_of(vm), vm->why);
    } else if (o->json) {
        out_text(o, "name", "", "%s", saves_name_of(vm));
        out_text(o, "state", "", "%s", vm_state_names[vm->state]);
        out_number(o, "took_ns", "", time_ns() - w->began, UNIT_NS);
    } else {
        out_line(o, "%s: running, as it was saved", saves_name_of(vm));
    }
    return true;
}

static void do_restore(struct out *o, struct vm *vm)
{
    int err = vm_restore(vm);

    if (err == -ENOENT)
        out_error(o, "nothing is saved of %s; `vm save %s` saves it", saves_name_of(vm),
                  saves_name_of(vm));
    else if (err == -EBUSY)
        out_error(o, "%s is %s; `stop %s --force` first", saves_name_of(vm),
                  vm_state_names[vm->state], saves_name_of(vm));
    else if (err)
        out_error(o, "%s cannot be restored: %s", saves_name_of(vm),
                  vm->why[0] ? vm->why : error_text(err));
    else
        wait_for(o, vm, UINT64_MAX, restore_poll);
}

/* ---- drop, saved ---- */

static void do_drop(struct out *o, struct vm *vm)
{
    int err = vm_drop(vm);

    if (err == -ENOENT)
        out_error(o, "nothing is saved of %s", saves_name_of(vm));
    else if (err)
        out_error(o, "%s is being restored from it", saves_name_of(vm));
    else
        out_line(o, "%s: what was saved is dropped", saves_name_of(vm));
}

static void do_saved(struct out *o)
{
    static const struct column cols[] = {
        { "name", "Guest", UNIT_NONE, false },
        { "bytes", "Host memory", UNIT_BYTES, true },
        { "state_bytes", "of it state", UNIT_BYTES, true },
        { "pages", "Pages", UNIT_NONE, true },
        { "guest_ns", "Had been up for", UNIT_NS, true },
        { "age_ns", "Saved ago", UNIT_NS, true },
    };
    struct saved_info info;
    unsigned n = 0;

    out_list(o, "saved", cols, ARRAY_SIZE(cols));
    for (uint32_t i = 0; i < vm_count(); i++) {
        if (!vm_saved(vm_by_index(i), &info))
            continue;
        n++;
        out_row(o);
        out_cell(o, saves_name_of(vm_by_index(i)));
        out_cell_number(o, info.bytes);
        out_cell_number(o, info.state_bytes);
        out_cell_number(o, info.pages);
        out_cell_number(o, info.guest_ns);
        out_cell_number(o, time_ns() - info.saved_ns);
    }
    out_list_end(o);
    if (n == 0)
        out_line(o, "No guest is saved: `vm save NAME` saves one.");
}

/* ---- sizes ---- */

/* Objects of a kind stand behind one another in a guest's table. */
struct size_row {
    struct out *o;
    const struct state_ops *ops;
    uint64_t count, bytes;
};

static void size_row_end(const struct size_row *r)
{
    if (!r->count)
        return;
    out_row(r->o);
    out_cell(r->o, r->ops->name);
    out_cell_number(r->o, r->ops->version);
    out_cell_number(r->o, r->count);
    out_cell_number(r->o, r->bytes);
}

struct size_walk {
    const struct vm *vm;
    struct size_row row;
};

static int size_add(const struct state_ops *ops, uint32_t i, void *ctx)
{
    struct size_walk *w = ctx;
    size_t bytes = ops->size(w->vm, i);

    if (ops != w->row.ops) {
        size_row_end(&w->row);
        w->row = (struct size_row){ w->row.o, ops, 0, 0 };
    }
    w->row.count += bytes != 0;
    w->row.bytes += bytes;
    return 0;
}

/* What would be saved of it beside its memory. Sizes are read where all stands: <hv/state.h>. */
static void do_sizes(struct out *o, struct vm *vm)
{
    static const struct column cols[] = {
        { "object", "Object", UNIT_NONE, false },
        { "version", "Version", UNIT_NONE, true },
        { "count", "Number", UNIT_NONE, true },
        { "bytes", "Bytes", UNIT_NONE, true },
    };
    struct size_walk walk = { vm, { o, NULL, 0, 0 } };

    if (vm->state != VM_PAUSED) {
        out_error_code(o, OUT_STATE, "%s is not paused: `pause %s`, or `start` it before",
                       saves_name_of(vm), saves_name_of(vm));
        return;
    }
    out_number(o, "state_bytes", "With all heads", state_size(vm), UNIT_BYTES);
    out_list(o, "sizes", cols, ARRAY_SIZE(cols));
    if (!state_each(vm, size_add, &walk))
        size_row_end(&walk.row);
    out_list_end(o);
}

void cmd_vm(struct out *o, unsigned argc, char **argv)
{
    static const struct {
        const char *word;
        void (*fn)(struct out *, struct vm *);
    } actions[] = {
        { "save", do_save }, { "restore", do_restore }, { "drop", do_drop }, { "sizes", do_sizes }
    };
    bool saved = strcmp(argv[1], "saved") == 0;

    if (saved && argc == 2) {
        do_saved(o);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(actions); i++) {
        if (argc == 3 && strcmp(argv[1], actions[i].word) == 0) {
            actions[i].fn(o, vm_find(argv[2]));
            return;
        }
    }
    out_error(o, "usage: vm save NAME, vm restore NAME, vm drop NAME, vm sizes NAME, or vm saved");
}
