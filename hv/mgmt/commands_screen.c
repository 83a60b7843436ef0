/* SPDX-License-Identifier: BSD-2-Clause */
/* `screenshot`: a guest's screen as a file in the state volume. */
#include "mgmt.h"
#include "out.h"
#include <hv/guest.h>
#include <hv/screen.h>
#include <hv/store_volume.h>
#include <hv/vm.h>

static const char *screen_guest(const struct vm *vm) { return vm->config->name; }

static void screen_say_kept(struct out *o, const struct vm *vm)
{
    const struct vm_shot *s = &vm->shot;

    out_text(o, "name", "Guest", "%s", screen_guest(vm));
    out_text(o, "object", "Kept as", "%s", s->object);
    out_text(o, "volume", "In", "%s", store_volume_name());
    out_number(o, "width", "Pixels a row", s->width, UNIT_NONE);
    out_number(o, "height", "Rows", s->height, UNIT_NONE);
    out_number(o, "bytes", "Size", s->bytes, UNIT_BYTES);
    out_line(o, "`images/state get DISK %s >%s.png` on a workstation makes it a PNG file",
             s->object, screen_guest(vm));
}

static bool screen_poll(struct out *o, struct wait *w)
{
    const struct vm_shot *s = &w->vm->shot;

    if (s->under_way) {
        if (wait_progress_due(w))
            shell_progress(o, "%s: row %u of %u", screen_guest(w->vm), s->row, s->height);
        return false;
    }
    if (s->why)
        out_error(o, "no screenshot of %s: %s", screen_guest(w->vm), s->why);
    else
        screen_say_kept(o, w->vm);
    return true;
}

void cmd_screenshot(struct out *o, unsigned argc, char **argv)
{
    struct vm *vm = vm_find(argv[1]);
    int err;

    (void)argc;
    if (vm->state != VM_RUNNING && vm->state != VM_PAUSED) {
        out_error_code(o, OUT_STATE, "%s is %s: `start %s` first", screen_guest(vm),
                       vm_state_names[vm->state], screen_guest(vm));
        return;
    }
    if (!vm->guest_ops->screenshot) {
        out_error(o, "guests of this instruction set have no screen");
        return;
    }
    err = vm->guest_ops->screenshot(vm);
    if (err && err != -EBUSY)
        out_error(o, "no screenshot of %s: %s", screen_guest(vm), vm->shot.why);
    else
        wait_for(o, vm, UINT64_MAX, screen_poll);
}
