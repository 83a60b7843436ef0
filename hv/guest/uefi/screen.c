/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * screen.c: see <hv/screen.h>. The guest's picture becomes a PNG file a piece at a time, and that
 * an object in the state volume.
 */
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/gmem.h>
#include <hv/png.h>
#include <hv/screen.h>
#include <hv/share.h>
#include <hv/store_volume.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "uefi.h"

#define PIECE (32 * KIB) /* of pixels as the file has them, in one event */
static_assert(PNG_MAX <= STORE_OBJECT_MAX && RAMFB_SIDE_MAX <= PNG_WIDTH_MAX, "it can be kept");
static_assert(STORE_NAME <= SCREEN_OBJECT && sizeof "screen/" + NAME_LEN <= STORE_NAME, "its name");

struct uefi_shot {
    struct uefi *u;
    struct event work;
    struct store_op op;
    struct ramfb_picture picture;
    struct png *png;
    bool given_up;
    uint8_t row[RAMFB_ROW_MAX], rgb[RAMFB_RGB_MAX];
};

int shot_build(struct uefi *u)
{
    u->ramfb = (struct ramfb_state){ .version = RAMFB_STATE_VERSION };
    if (!u->vm->config->screen)
        return 0;
    return fw_cfg_writable(&u->cfg, RAMFB_FILE, u->ramfb.config, sizeof u->ramfb.config);
}

bool shot_give_up(struct uefi *u)
{
    if (u->shot)
        u->shot->given_up = true;
    return u->shot != NULL;
}

/* ---- its end ---- */

static void shot_end(struct uefi_shot *t, const char *why)
{
    struct uefi *u = t->u;
    struct vm_shot *s = &u->vm->shot;

    s->why = why;
    s->bytes = why ? 0 : png_len(t->png);
    s->under_way = false;
    png_free(t->png);
    event_kill(&t->work);
    u->shot = NULL;
    free(t);
    event_post(&u->vm->lifecycle);
}

static const char *not_kept(int status)
{
    switch (status) {
    case 0: return NULL;
    case -ENOSPC:
        return "the state volume is full: `images/state remove` makes room on a workstation, "
               "`state` "
               "shows what is there";
    case -EROFS: return "the state volume cannot be written: `state` says why";
    case -ENODEV: return "the machine has no state volume";
    default: return "the state volume's disk failed: the log says more";
    }
}

static void shot_kept(struct store_op *op, int status)
{
    struct uefi_shot *t = container_of(op, struct uefi_shot, op);

    share_pay(t->u->vm, time_ns() - store_op_ns(op));
    shot_end(t, not_kept(status));
}

static void shot_page(struct store_op *op, uint32_t page, uint8_t *bytes)
{
    png_page(container_of(op, struct uefi_shot, op)->png, page, bytes);
}

static void shot_keep(struct uefi_shot *t)
{
    t->op = (struct store_op){
        .kind = STORE_PUT, .len = png_len(t->png), .page = shot_page, .done = shot_kept
    };
    memcpy(t->op.name, t->u->vm->shot.object, sizeof t->op.name);
    store_volume_submit(&t->op);
}

/* ---- rows ---- */

static int shot_row(struct uefi_shot *t, uint32_t y)
{
    const struct ramfb_picture *p = &t->picture;
    int err = gmem_read(t->u->vm, gpa(p->at + (uint64_t)p->stride * y), t->row, p->row);

    if (err)
        return err;
    ramfb_rgb(p, t->row, t->rgb);
    return png_row(t->png, t->rgb);
}

/* A piece of the rows, and what ends the file behind them. */
static int shot_rows(struct uefi_shot *t)
{
    struct vm_shot *s = &t->u->vm->shot;
    int err = 0;

    for (uint32_t n = 0; !err && s->row < s->height && n < PIECE; n += 3 * s->width)
        err = shot_row(t, s->row++);
    return !err && s->row == s->height ? png_end(t->png) : err;
}

static const char *not_made(int err)
{
    switch (err) {
    case -EFAULT: return "the guest's picture is not in its memory";
    case -EFBIG: return "the picture is larger than an object of the state volume can be (16 MiB)";
    default: return "there is no memory for the picture";
    }
}

static void shot_work(struct event *ev)
{
    struct uefi_shot *t = container_of(ev, struct uefi_shot, work);
    struct vm *vm = t->u->vm;
    uint64_t from = time_ns();
    int err;

    if (t->given_up) {
        shot_end(t, "the guest stopped or was reset meanwhile");
        return;
    }
    if (share_wait(vm, ev))
        return;
    gmem_enter(&vm->gmem);
    err = shot_rows(t);
    share_pay(vm, from);
    if (err)
        shot_end(t, not_made(err));
    else if (vm->shot.row < vm->shot.height)
        event_post(ev);
    else
        shot_keep(t);
}

/* ---- its start ---- */

static int shot_begin(struct uefi *u, const struct ramfb_picture *p)
{
    struct vm_shot *s = &u->vm->shot;
    struct uefi_shot *t = calloc(1, sizeof *t); /* charge: the console's user's */

    if (!t || png_begin(&t->png, p->width, p->height)) {
        free(t);
        s->why = not_made(-ENOMEM);
        return -ENOMEM;
    }
    t->u = u;
    t->picture = *p;
    event_init(&t->work, shot_work, 0);
    u->shot = t;
    s->width = p->width;
    s->height = p->height;
    s->under_way = true;
    event_post(&t->work);
    return 0;
}

int uefi_screenshot(struct vm *vm)
{
    struct uefi *u = vm->uefi;
    struct vm_shot *s = &vm->shot;
    struct ramfb_picture p;
    uint8_t config[RAMFB_CONFIG];

    assert_cpu0();
    hv_assert(vm->state == VM_RUNNING || vm->state == VM_PAUSED);
    if (u && u->shot)
        return -EBUSY;
    *s = (struct vm_shot){ .why = "the guest has no screen: `screen = yes` gives it one" };
    snprintf(s->object, sizeof s->object, "screen/%s", vm->config->name);
    if (!u || !vm->config->screen)
        return -ENOTSUP;
    s->why = "the machine has no state volume to keep it in: `images/build-image --state 16M` or "
             "`images/state make` makes one";
    if (!store_volume_usable())
        return -ENODEV;
    spin_lock(&u->lock);
    memcpy(config, u->ramfb.config, sizeof config);
    spin_unlock(&u->lock);
    s->why = ramfb_picture(config, &p);
    return s->why ? -ENODATA : shot_begin(u, &p);
}
