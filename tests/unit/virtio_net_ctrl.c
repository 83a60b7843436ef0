/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-net: its queue for commands, pairs of queues, its saved state. */
#include "net_driver.h"

/* ---- the control queue ---- */

enum { CTRL = 2, COMMAND = 0x58000, ANSWER = 0x59000 };
#define CTRL_ALL (F(17) | F(18) | F(19) | F(20) | F(23))
static struct drvq ctrl;
static bool spare; /* `b` has a buffer */

static void control_up(uint64_t features)
{
    memset(half[0] + RINGS_A, 0, 0x10000);
    drv_find(&b.d, SLOT_B);
    assert_true(drv_features(&b.d, V1 | features));
    drv_queue(&b.d, &b.rx, RX, RING, RINGS_B);
    drv_queue(&b.d, &ctrl, CTRL, 8, RINGS_B + 0x6000);
    drv_ok(&b.d);
    assert_int_equal(cr(&b.d, C_STATUS, 1), 15);
    b.posted = 0;
    spare = false;
    bring_up(&a, SLOT_A, RINGS_A, V1);
}

/* The answer: 0 or 1. */
static unsigned command(uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
    const uint8_t head[2] = { class, cmd };
    const struct buf parts[] = { { COMMAND, 2, false },
                                 { COMMAND + 2, len, false },
                                 { ANSWER, 1, true } };
    uint8_t answer = 0xee;

    poke(COMMAND, head, sizeof head);
    if (len)
        poke(COMMAND + 2, data, len);
    poke(ANSWER, &answer, 1);
    if (len) {
        drvq_add(&ctrl, parts, 3, 0);
    } else {
        const struct buf short_one[] = { parts[0], parts[2] };

        drvq_add(&ctrl, short_one, 2, 0);
    }
    drvq_kick(&ctrl);
    assert_int_equal(drvq_used(&ctrl, len ? 3 : 2), 1);
    (void)peek(ANSWER, &answer, 1);
    return answer;
}

static unsigned rx_mode(uint8_t cmd, uint8_t on) { return command(0, cmd, &on, 1); }

/* Whether `b` gets a frame to that address; a buffer that is not used stays for the next. */
static bool gets(net_mac to)
{
    uint64_t at;

    if (!spare)
        post(BUF_STEP);
    at = BUFS + (uint64_t)((b.posted - 1) % RING) * BUF_STEP;
    p16(at + 10, 0);
    host_now += 2000000; /* the switch allows 1000 a second to groups */
    drvq_kick(&b.rx);
    send_as(to, MAC_A, 100, 1);
    run_events();
    spare = g16(at + 10) == 0;
    if (!spare)
        assert_int_equal(received(b.posted - 1, BUF_STEP, 100), 1);
    return !spare;
}

static void test_commands_refused(void **state)
{
    static const uint8_t data[8], other[6] = { 2, 0, 0, 0, 0, 9 };
    uint8_t own[6];

    (void)state;
    net_mac_to(MAC_B, own);
    control_up(0);
    assert_int_equal(rx_mode(0, 1), 1); /* nothing was negotiated */
    control_up(F(17));
    for (uint8_t class = 0; class < 4; class ++)
        for (uint8_t cmd = 0; cmd < 7; cmd++)
            for (uint32_t len = 0; len < 8; len++)
                assert_int_equal(command(class, cmd, data, len), 1);
    control_up(CTRL_ALL);
    assert_int_equal(rx_mode(6, 1), 1);
    assert_int_equal(command(0, 0, data, 2), 1);
    assert_int_equal(command(0, 0, data, 0), 1);
    assert_int_equal(command(1, 0, "\1\0\0\0", 4), 1);
    assert_int_equal(command(1, 0, "\377\377\377\377\0\0\0", 8), 1);
    assert_int_equal(command(1, 0, data, 7), 1);
    assert_int_equal(command(1, 1, other, 6), 1);
    assert_int_equal(command(1, 1, own, 6), 0);
    assert_int_equal(command(2, 0, "\0\20", 2), 1); /* VLAN 4096 */
    assert_int_equal(command(2, 2, data, 2), 1);
    assert_int_equal(cr(&b.d, C_STATUS, 1), 15);
}

/* What it wants, by address; a reset has it want all again. */
static void test_wants(void **state)
{
    const net_mac group = 0x01005e000001, another = 0x01005e000002;
    uint8_t table[8 + 6] = { [4] = 1 };

    (void)state;
    net_mac_to(group, table + 8);
    control_up(CTRL_ALL);
    assert_true(gets(MAC_B) && gets(NET_MAC_BROADCAST) && gets(group));
    assert_int_equal(rx_mode(0, 0), 0);
    assert_true(gets(MAC_B) && gets(NET_MAC_BROADCAST) && !gets(group));
    assert_int_equal(counters(1)->filtered, 1);
    assert_int_equal(command(1, 0, table, sizeof table), 0);
    assert_true(gets(group) && !gets(another));
    assert_int_equal(rx_mode(1, 1), 0);
    assert_true(gets(another));
    assert_int_equal(rx_mode(3, 1), 0);
    assert_true(!gets(group) && gets(MAC_B));
    assert_int_equal(rx_mode(5, 1), 0);
    assert_true(!gets(NET_MAC_BROADCAST));
    assert_int_equal(rx_mode(4, 1), 0);
    assert_true(!gets(MAC_B));
    control_up(CTRL_ALL);
    assert_true(gets(MAC_B) && gets(group));
}

/* With more addresses than it can list, all of their kind come. */
static void test_long_table(void **state)
{
    uint8_t table[8 + 6 * 40] = { [4] = 40 };

    (void)state;
    control_up(CTRL_ALL);
    for (unsigned i = 0; i < 40; i++)
        net_mac_to(0x01005e000100 + i, table + 8 + 6 * i);
    assert_int_equal(rx_mode(0, 0), 0);
    assert_int_equal(command(1, 0, table, sizeof table), 0);
    assert_true(gets(0x01005e0001ff));
    table[4] = 32;
    assert_int_equal(command(1, 0, table, 8 + 6 * 32), 0);
    assert_true(!gets(0x01005e0001ff) && gets(0x01005e00011f));
}

/* Frames of VLANs that were added, and those of none; with the feature only. */
static void test_vlans(void **state)
{
    uint8_t frame[64] = { 2, 0, 0, 0, 0, 2, [12] = 0x81, 0, 0xe0, 7 };
    struct virtio_dev d = { .s.driver_features = CTRL_ALL };
    struct net_wants w;

    (void)state;
    net_wants_reset(&w);
    assert_true(net_wants(&w, &d, frame, frame, sizeof frame));
    w.flags = 0;
    assert_true(net_wants(&w, &d, frame, frame, sizeof frame)); /* the table is empty */
    w.vlan[0] = 1u << 6;
    assert_false(net_wants(&w, &d, frame, frame, sizeof frame));
    w.vlan[0] = 1u << 7;
    assert_true(net_wants(&w, &d, frame, frame, sizeof frame));
    frame[15] = 8;
    assert_false(net_wants(&w, &d, frame, frame, sizeof frame));
    frame[12] = 8;
    assert_true(net_wants(&w, &d, frame, frame, sizeof frame));
    frame[12] = 0x81;
    d.s.driver_features = 0;
    assert_true(net_wants(&w, &d, frame, frame, sizeof frame));
    control_up(CTRL_ALL);
    assert_int_equal(command(2, 0, "\377\17", 2), 0);
    assert_int_equal(command(2, 1, "\377\17", 2), 0);
}

/* ---- pairs of queues ---- */

enum { MQ = 22, RX1 = 2, TX1 = 3, CTRL_MQ = 4, RINGS_MQ = 0x44000, BUF_RX1 = 0x42000 };
enum { OUT_B = 0x43000, FLOW = 60, PORT_B = 9 };
static struct drvq rx1, tx1;

static void post_rx1(void)
{
    const struct buf one = { BUF_RX1, BUF_STEP, true };

    drvq_add(&rx1, &one, 1, 0);
}

/* `b` has two pairs, with a buffer in each; `a` has one. */
static void pairs_up(uint64_t features)
{
    memset(half[0] + RINGS_A, 0, 0x10000);
    memset(half[0] + RINGS_MQ, 0, 0x8000);
    drv_find(&b.d, SLOT_B);
    assert_true(drv_features(&b.d, V1 | CTRL_ALL | features));
    drv_queue(&b.d, &b.rx, RX, RING, RINGS_B);
    drv_queue(&b.d, &rx1, RX1, RING, RINGS_B + 0x4000);
    drv_queue(&b.d, &tx1, TX1, RING, RINGS_MQ);
    drv_queue(&b.d, &ctrl, CTRL_MQ, 8, RINGS_MQ + 0x4000);
    drv_ok(&b.d);
    b.posted = 0;
    post(BUF_STEP);
    post_rx1();
    drvq_kick(&b.rx);
    bring_up(&a, SLOT_A, RINGS_A, V1);
}

/* A datagram from a port of one of both to one of the other. */
static void send_flow(struct drvq *tx, uint64_t at, bool from_a, uint8_t sport, uint8_t dport)
{
    uint8_t f[HDR + FLOW] = { 0 }, *ip = f + HDR + NET_HEAD;
    const struct buf one = { at, sizeof f, false };

    net_mac_to(from_a ? MAC_B : MAC_A, f + HDR);
    net_mac_to(from_a ? MAC_A : MAC_B, f + HDR + 6);
    f[HDR + 12] = 8;
    ip[0] = 0x45;
    ip[9] = 17;
    ip[15] = from_a ? 1 : 2;
    ip[19] = from_a ? 2 : 1;
    ip[21] = sport;
    ip[23] = dport;
    poke(at, f, sizeof f);
    drvq_add(tx, &one, 1, 0);
    drvq_kick(tx);
}

/* By which pair `b` gets a datagram of `a`'s from that port. */
static int pair_of(uint8_t port)
{
    send_flow(&a.tx, OUT, true, port, PORT_B);
    assert_true(drvq_used(&a.tx, 1) == 0);
    if (drvq_used(&b.rx, 1) == HDR + FLOW) {
        post(BUF_STEP);
        drvq_kick(&b.rx);
        return 0;
    }
    if (drvq_used(&rx1, 1) != HDR + FLOW)
        return -1;
    post_rx1();
    drvq_kick(&rx1);
    return 1;
}

static unsigned set_pairs(uint8_t low, uint8_t high)
{
    const uint8_t number[2] = { low, high };

    return command(4, 0, number, sizeof number);
}

/* Answers come by the pair that the driver sends by; other frames by the first. */
static void test_pairs(void **state)
{
    (void)state;
    pairs_up(F(MQ));
    assert_int_equal(mem_rd(b.d.config + 8, 2), 2);
    assert_int_equal(pair_of(1), 0);
    send_flow(&tx1, OUT_B, false, PORT_B, 1);
    assert_int_equal(drvq_used(&tx1, 1), -1); /* it is not in use yet */
    assert_int_equal(set_pairs(2, 0), 0);
    drvq_kick(&tx1);
    assert_int_equal(drvq_used(&tx1, 1), 0);
    assert_int_equal(pair_of(1), 1);
    assert_int_equal(pair_of(2), 0);
    send(60, 1); /* neither IPv4 nor IPv6 */
    assert_int_equal(received(2, BUF_STEP, 60), 1);
    post(BUF_STEP);
    drvq_kick(&b.rx);
    assert_int_equal(set_pairs(1, 0), 0);
    assert_int_equal(pair_of(1), 0);
}

static void test_pairs_refused(void **state)
{
    (void)state;
    pairs_up(F(MQ));
    assert_int_equal(set_pairs(0, 0), 1);
    assert_int_equal(set_pairs(3, 0), 1);
    assert_int_equal(set_pairs(2, 1), 1);
    assert_int_equal(command(4, 0, "\2\0\0", 3), 1);
    assert_int_equal(command(4, 0, "\2", 1), 1);
    assert_int_equal(command(4, 1, "\2\0", 2), 1);
    assert_int_equal(command(3, 0, NULL, 0), 1); /* a class that nobody offered */
    assert_int_equal(set_pairs(2, 0), 0);
    control_up(CTRL_ALL); /* one pair: its queue for commands is the third */
    assert_int_equal(set_pairs(2, 0), 1);
}

/* The second pair has no buffer: its frames wait until there is one, and all come, in order. */
static void test_a_pair_without_buffers(void **state)
{
    (void)state;
    pairs_up(F(MQ));
    assert_int_equal(set_pairs(2, 0), 0);
    send_flow(&tx1, OUT_B, false, PORT_B, 1);
    assert_int_equal(drvq_used(&tx1, 1), 0);
    for (unsigned i = 0; i < 3; i++) {
        send_flow(&a.tx, OUT, true, 1, PORT_B);
        assert_int_equal(drvq_used(&a.tx, 1), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(drvq_used(&rx1, 1), HDR + FLOW);
        post_rx1();
        drvq_kick(&rx1);
    }
    assert_int_equal(drvq_used(&rx1, 1), -1);
    assert_int_equal(pair_of(2), 0);
}

/* ---- saved states ---- */

static state_table net_objects = { &vio_dev_ops, &vpci_bus_ops, &vpci_dev_ops, NULL };
static const struct guest_ops net_guest = { .isa = ISA_X86_64, .state = net_objects };
static const struct vcpu_ops no_engine = { .name = "none" };
static uint8_t kept_ram[2][HALF];

/* What `b` wants and the rings of both, saved; the machine goes. Returns the length. */
static size_t net_saved(void *image, size_t room)
{
    size_t len;

    memcpy(kept_ram[0], half[0], HALF);
    memcpy(kept_ram[1], half[1], HALF);
    vm.ops = &no_engine;
    vm.guest_ops = &net_guest;
    vm.paused_ns = time_ns();
    assert_int_equal(state_quiesce(&vm), 0);
    len = state_size(&vm);
    assert_true(len <= room);
    assert_int_equal(state_save(&vm, image, len), 0);
    fake_down();
    return len;
}

/* A new machine with that memory: what state_restore() says. */
static int net_restored(const void *image, size_t len)
{
    fake_up();
    memcpy(half[0], kept_ram[0], HALF);
    memcpy(half[1], kept_ram[1], HALF);
    vm.ops = &no_engine;
    vm.guest_ops = &net_guest;
    return state_restore(&vm, image, len);
}

/* Frames go both ways again, and `b` gets what it wanted; with another address it is refused. */
static void test_saved(void **state)
{
    static _Alignas(8) uint8_t image[16384], again[16384];
    const net_mac group = 0x01005e000001, another = 0x01005e000002;
    uint8_t table[8 + 6] = { [4] = 1 };
    size_t len;

    (void)state;
    net_mac_to(group, table + 8);
    control_up(CTRL_ALL);
    assert_int_equal(rx_mode(0, 0), 0);
    assert_int_equal(command(1, 0, table, sizeof table), 0);
    assert_true(gets(group) && !gets(another));
    len = net_saved(image, sizeof image);
    assert_int_equal(net_restored(image, len), 0);
    assert_int_equal(state_save(&vm, again, len), 0);
    assert_memory_equal(image, again, len);
    state_resume(&vm);
    assert_true(gets(MAC_B) && gets(group) && !gets(another));
    fake_down();
    config.net[1].mac = MAC_B + 1;
    assert_int_equal(net_restored(image, len), -EINVAL);
}

static void test_saved_pairs(void **state)
{
    static _Alignas(8) uint8_t image[16384];
    size_t len;

    (void)state;
    pairs_up(F(MQ));
    assert_int_equal(set_pairs(2, 0), 0);
    len = net_saved(image, sizeof image);
    assert_int_equal(net_restored(image, len), 0);
    state_resume(&vm);
    assert_int_equal(pair_of(1), 0); /* which flow is whose is forgotten */
    send_flow(&tx1, OUT_B, false, PORT_B, 1);
    assert_int_equal(drvq_used(&tx1, 1), 0);
    assert_int_equal(pair_of(1), 1);
    fake_down();
    config.vcpus = 1; /* a device with one pair cannot be as that was */
    assert_int_equal(net_restored(image, len), -EINVAL);
    config.vcpus = 2;
}

#define T(f) cmocka_unit_test_setup_teardown(f, net_up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_commands_refused),
        T(test_wants),
        T(test_long_table),
        T(test_vlans),
        T(test_pairs),
        T(test_pairs_refused),
        T(test_a_pair_without_buffers),
        T(test_saved_pairs),
        T(test_saved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
