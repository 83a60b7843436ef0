/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8042 keyboard controller with nothing plugged in, for its reset pulse, and port 92h. IBM PS/2
 * technical reference, "Keyboard and auxiliary device controller". The A20 gate is always open.
 */
#include <hv/assert.h>
#include <hv/vm.h>
#include <string.h>
#include "x86_dev.h"
#include "x86_devices.h"

#define KBC_VERSION 2

/* status register, output port, and system control port A (port 92h) */
enum { STATUS_OBF = 1, STATUS_SYS = 4, STATUS_CMD = 8, STATUS_UNLOCKED = 0x10 };
enum { OUT_RESET_N = 1, OUT_A20 = 2 };
enum { P92_RESET = 1 /* when it becomes 1 */, P92_A20 = 2 };

static void answer(struct kbc *k, uint8_t val)
{
    k->s.out = val;
    k->s.full = true;
}

/* True: the reset line is pulled. */
static bool command(struct kbc *k, uint8_t cmd)
{
    static const struct {
        uint8_t cmd, answer;
    } fixed[] = { { 0xaa, 0x55 }, { 0xa9, 0 }, { 0xab, 0 }, { 0xc0, 0x80 } };

    debug_assert_held(&k->lock);
    k->s.expect = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
        if (fixed[i].cmd == cmd)
            answer(k, fixed[i].answer);
    if (cmd == 0x20)
        answer(k, k->s.command_byte);
    else if (cmd == 0xd0)
        answer(k, k->s.output_port);
    else if (cmd == 0xa7 || cmd == 0xa8)
        k->s.command_byte = (uint8_t)((k->s.command_byte & ~0x20) | (cmd == 0xa7 ? 0x20 : 0));
    else if (cmd == 0xad || cmd == 0xae)
        k->s.command_byte = (uint8_t)((k->s.command_byte & ~0x10) | (cmd == 0xad ? 0x10 : 0));
    else if (cmd == 0x60 || (cmd >= 0xd1 && cmd <= 0xd4))
        k->s.expect = cmd;
    /* pulses output port bits that are 0; bit 0 is the reset line */
    return cmd >= 0xf0 && !(cmd & 1);
}

static bool data(struct kbc *k, uint8_t val)
{
    uint8_t expect = k->s.expect;

    debug_assert_held(&k->lock);
    k->s.expect = 0;
    if (expect == 0x60)
        k->s.command_byte = val;
    else if (expect == 0xd1)
        k->s.output_port = val;
    else if (expect == 0xd2 || expect == 0xd3)
        answer(k, val);
    return expect == 0xd1 && !(val & OUT_RESET_N);
}

static int data_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct kbc *k = dev;

    (void)off;
    (void)size;
    spin_lock(&k->lock);
    *val = k->s.out;
    k->s.full = false;
    spin_unlock(&k->lock);
    return 0;
}

static int status_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct kbc *k = dev;

    (void)off;
    (void)size;
    *val = STATUS_UNLOCKED | STATUS_SYS | (k->s.expect ? STATUS_CMD : 0) |
           (k->s.full ? STATUS_OBF : 0);
    return 0;
}

static int data_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct kbc *k = dev;
    bool reset;

    (void)off;
    (void)size;
    spin_lock(&k->lock);
    reset = data(k, (uint8_t)val);
    spin_unlock(&k->lock);
    if (reset)
        x86_processor_reset(k->vm, "keyboard controller");
    return 0;
}

static int command_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct kbc *k = dev;
    bool reset;

    (void)off;
    (void)size;
    spin_lock(&k->lock);
    reset = command(k, (uint8_t)val);
    spin_unlock(&k->lock);
    if (reset)
        x86_processor_reset(k->vm, "keyboard controller");
    return 0;
}

static int port92_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    (void)off;
    (void)size;
    *val = ((struct kbc *)dev)->s.port92 | P92_A20;
    return 0;
}

static int port92_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct kbc *k = dev;
    bool reset;

    (void)off;
    (void)size;
    spin_lock(&k->lock);
    reset = val & ~k->s.port92 & P92_RESET;
    k->s.port92 = (uint8_t)val;
    spin_unlock(&k->lock);
    if (reset)
        x86_processor_reset(k->vm, "port 92h");
    return 0;
}

/* ---- <hv/state.h> ---- */

static size_t kbc_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct kbc_state);
}

static int kbc_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &x86_devices_of(vm)->kbc.s, sizeof(struct kbc_state));
    return 0;
}

static int kbc_restore(struct vm *vm, uint32_t i, const void *buf)
{
    static const struct state_limit limits[] = {
        STATE_LIMIT(struct kbc_state, full, 1),
        STATE_LIMIT(struct kbc_state, pad, 0),
    };
    const struct kbc_state *s = buf;

    (void)i;
    if (s->version != KBC_VERSION || !state_within(s, limits, ARRAY_SIZE(limits)))
        return -EINVAL;
    x86_devices_of(vm)->kbc.s = *s;
    return 0;
}

const struct state_ops kbc_state_ops = { .name = "keyboard controller",
                                         .kind = STATE_KBC,
                                         .version = KBC_VERSION,
                                         .size = kbc_size,
                                         .save = kbc_save,
                                         .restore = kbc_restore };

int kbc_create(struct x86_devices *d, bool controller)
{
    static const struct io_ops data_ops = { data_read, data_write, 1 },
                               command_ops = { status_read, command_write, 1 },
                               port92_ops = { port92_read, port92_write, 1 };
    struct kbc *k = &d->kbc;
    int err;

    assert_cpu0();
    k->vm = d->vm;
    k->s = (struct kbc_state){ .version = KBC_VERSION,
                               .command_byte = 0x10,
                               .output_port = 0xc0 | OUT_A20 | OUT_RESET_N };
    spin_init(&k->lock, LOCK_DEVICE);
    err = io_list_add(d->vm, &d->regions,
                      &(struct io_region){ "port 92", IO_PORT, PORT_SYSCTL_A, 1, &port92_ops, k });
    if (err || !controller)
        return err;
    err = io_list_add(d->vm, &d->regions,
                      &(struct io_region){ "kbc data", IO_PORT, PORT_KBC_DATA, 1, &data_ops, k });
    return err ? err
               : io_list_add(d->vm, &d->regions,
                             &(struct io_region){ "kbc command", IO_PORT, PORT_KBC_CMD, 1,
                                                  &command_ops, k });
}
