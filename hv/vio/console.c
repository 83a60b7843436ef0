/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-console (virtio 1.2 §5.3): one port, emergency write. Output goes to the guest's console;
 * input waits there for buffers. It comes here once the guest has written here: a driver alone says
 * nothing of where somebody reads, and a guest whose console is its UART has one, too.
 */
#include <hv/assert.h>
#include <hv/console.h>
#include <hv/state.h>
#include <hv/virtio.h>
#include <hv/vm.h>
#include <string.h>

enum {
    DEVICE_CONSOLE = 3,
    F_EMERG_WRITE = 2,
    RX = 0,
    TX = 1,
    PRIORITY = 2,
    EMERG_WR = 8,
    TX_MAX = 65536,
    RX_PART = 256
};
struct console_config {
    uint16_t cols, rows;
    uint32_t max_nr_ports, emerg_wr;
};
static_assert(sizeof(struct console_config) == 12, "virtio 1.2 §5.3.4");
static_assert(offsetof(struct console_config, rows) == 2, "virtio 1.2 §5.3.4");
static_assert(offsetof(struct console_config, max_nr_ports) == 4, "virtio 1.2 §5.3.4");
static_assert(offsetof(struct console_config, emerg_wr) == 8, "virtio 1.2 §5.3.4");

struct vio_console {
    struct virtio_dev dev;
    struct console *console;
    bool listening;
    bool restored;    /* of a guest that has written here before: for the next activation */
    char in[RX_PART]; /* taken from the console, not yet given to the guest */
    uint32_t in_off, in_len;
    struct vq_chain chain;
};

static struct vio_console *vio_console_of(struct virtio_dev *d)
{
    return container_of(d, struct vio_console, dev);
}

static void vio_console_hear(struct vio_console *c)
{
    if (!c->listening)
        c->listening = console_listen(c->console, PRIORITY, &c->dev.event) == 0;
}

/* A buffer longer than the console's whole ring is cut: only its start would be kept anyway. */
static void vio_console_transmit(struct vio_console *c)
{
    struct virtqueue *q = &c->dev.vq[TX];

    debug_assert(virtio_is_here(&c->dev));
    while (vq_pop(q, &c->chain) > 0) {
        uint32_t room = TX_MAX;

        vio_console_hear(c);
        for (unsigned i = 0; i < c->chain.nout && room; i++) {
            uint32_t n = c->chain.iov[i].len < room ? c->chain.iov[i].len : room;

            console_write(c->console, c->chain.iov[i].base, n);
            room -= n;
        }
        virtio_charge(&c->dev, (TX_MAX - room) / 8);
        vq_push(q, &c->chain, 0);
    }
    vq_notify(q);
}

static bool have_input(struct vio_console *c)
{
    if (c->in_off == c->in_len) {
        c->in_off = 0;
        c->in_len = (uint32_t)console_read(c->console, &c->dev.event, c->in, sizeof c->in);
    }
    return c->in_len > c->in_off;
}

static void vio_console_receive(struct vio_console *c)
{
    struct virtqueue *q = &c->dev.vq[RX];

    debug_assert(virtio_is_here(&c->dev));
    while (have_input(c) && vq_pop(q, &c->chain) > 0) {
        const struct iov *in = c->chain.iov + c->chain.nout;
        uint32_t done = 0, n;

        do {
            n = (uint32_t)iov_write(in, c->chain.nin, done, c->in + c->in_off,
                                    c->in_len - c->in_off);
            c->in_off += n;
            done += n;
        } while (n && have_input(c));
        virtio_charge(&c->dev, done / 8);
        vq_push(q, &c->chain, done);
    }
    vq_notify(q);
}

static void vio_console_kick(struct virtio_dev *d, unsigned q)
{
    if (q == TX)
        vio_console_transmit(vio_console_of(d));
    else
        vio_console_receive(vio_console_of(d));
}

static int vio_console_activate(struct virtio_dev *d)
{
    struct vio_console *c = vio_console_of(d);

    if (c->restored)
        vio_console_hear(c);
    c->restored = false;
    return 0;
}

/* The same typed bytes stay for the next driver. */
static int vio_console_reset(struct virtio_dev *d)
{
    struct vio_console *c = vio_console_of(d);

    if (c->listening)
        console_unlisten(c->console, &d->event);
    c->listening = c->restored = false;
    return 0;
}

static void vio_console_config(struct virtio_dev *d, struct io_access *a)
{
    static const struct console_config image = { .cols = 80, .rows = 25, .max_nr_ports = 1 };
    const char ch = (char)a->val;

    if (a->write && a->addr == EMERG_WR)
        console_write(vio_console_of(d)->console, &ch, 1);
    virtio_config_read(&image, a);
}

static void vio_console_destroy(struct virtio_dev *d)
{
    vm_free(d->vm, vio_console_of(d), sizeof *vio_console_of(d));
}

/* What was taken from the console and not given to the guest. */
struct console_saved {
    uint32_t off, len;
    char in[RX_PART];
    uint32_t listening;
};
static_assert(sizeof(struct console_saved) == 268, "a saved state");

static void vio_console_save(struct virtio_dev *d, uint8_t *own)
{
    const struct vio_console *c = vio_console_of(d);
    struct console_saved s = { .off = c->in_off,
                               .len = c->in_len,
                               .listening = c->listening || c->restored };

    memcpy(s.in, c->in, sizeof s.in);
    memcpy(own, &s, sizeof s);
}

static int vio_console_restore(struct virtio_dev *d, const uint8_t *own)
{
    struct vio_console *c = vio_console_of(d);
    struct console_saved s;

    memcpy(&s, own, sizeof s);
    if (s.len > sizeof s.in || s.off > s.len || s.listening > 1 ||
        !state_all_zero(own + sizeof s, VIRTIO_OWN - sizeof s))
        return -EINVAL;
    c->in_off = s.off;
    c->in_len = s.len;
    c->restored = s.listening;
    memcpy(c->in, s.in, sizeof c->in);
    return 0;
}

static const struct virtio_ops ops = {
    .name = "console",
    .id = DEVICE_CONSOLE,
    .class_code = 0x078000,
    .config_len = sizeof(struct console_config),
    .activate = vio_console_activate,
    .reset = vio_console_reset,
    .kick = vio_console_kick,
    .config = vio_console_config,
    .save = vio_console_save,
    .restore = vio_console_restore,
    .free = vio_console_destroy,
};

int vio_console_create(struct vm *vm, struct console *console, struct virtio_dev **out)
{
    struct vio_console *c = vm_alloc(vm, sizeof *c);
    int e;

    assert_cpu0();
    hv_assert(out);
    if (!c)
        return -ENOMEM;
    c->console = console;
    c->dev = (struct virtio_dev){ .ops = &ops,
                                  .vm = vm,
                                  .nqueues = 2,
                                  .input_queues = 1u << RX,
                                  .features = VIRTIO_FEATURES_COMMON | VIRTIO_BIT(F_EMERG_WRITE) };
    e = virtio_add(&c->dev);
    if (e) {
        vm_free(vm, c, sizeof *c);
        return e;
    }
    *out = &c->dev;
    return 0;
}
