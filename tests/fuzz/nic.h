/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A NIC's driver against a device that does whatever the input says: what a fuzzer of one has in
 * common with those of others. It comes after the model and nic_user.h. Every frame comes back
 * exactly once and in bounded time, and, unless the device lied about it, never while the device
 * may still reach it; the NIC can be stopped, and used again, whatever it did.
 */
#pragma once
enum { OP = 4 };
static void device_lies(const uint8_t *op); /* of the fuzzer: forges, keeps, goes, changes */
static void device_new(void);
extern const struct pci_driver *const driver_under_test;

static void once(void)
{
    if (nic)
        return;
    host_init(1, 128 * MIB);
    device_new();
    if (driver_under_test->probe(&model_dev) || !(nic = newest()))
        abort();
}

/* As after the boot. */
static void heal(void)
{
    struct netdev *n = container_of(nic, struct netdev, nic);
    void (*fn)(void *) = m.irq_fn;
    void *arg = m.irq_arg;

    device_new();
    m.irq_fn = fn;
    m.irq_arg = arg;
    n->state = NETDEV_STOPPING; /* in the fuzzer alone a dead one lives again */
    n->deadline = host_now + 1000000000;
    n->nic.dead = false;
    n->hw->reset(n);
    run(30);
    if (open_nic(1500, true))
        user_fault("it cannot be opened");
    run(50);
    if (!nic->up)
        user_fault("it does not come up");
}

static void op_send(const uint8_t *op)
{
    unsigned i = op[1] % FRAMES;

    if (!frames[i].out)
        (void)send(i, 55 + op[2] * 6u, 1 + op[3] % NIC_SEGS);
}

static void op_run(const uint8_t *op)
{
    host_now += (uint64_t)(op[2] + 1) << (op[3] & 31);
    run(op[1] % 4 + 1);
}

/* Whatever was said: it ends. */
static void finish(void)
{
    nic_stop(nic);
    for (unsigned i = 0; i < 100 && (outstanding() || nic->user); i++)
        run(50);
    if (outstanding())
        user_fault("a frame does not come back");
    if (nic->user || stops != 1)
        user_fault("it does not stop");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const ops[])(const uint8_t *) = {
        op_send, op_send, op_run, op_run, op_send, device_lies, device_lies, device_lies
    };

    once();
    heal();
    forget_all();
    for (size_t at = 0; at + OP <= size && at < 300 * OP; at += OP)
        ops[data[at] & 7](data + at);
    finish();
    return 0;
}
