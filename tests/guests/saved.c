/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * saved: a guest under load that is saved and restored behind its back, and must never notice. Each
 * CPU rewrites and checks its own memory, keeps patterns in registers that only a switch of
 * machines can lose, and passes on a token by IPI; timers of three kinds interrupt; and TSC and PM
 * timer must agree. It runs until it is ended, and says every 100 ms how often each came. Options:
 * pages=N of each CPU, disk (also reads and writes the first virtio-blk disk), net (sends frames
 * from its first virtio-net device to its second), touch=N (CPU 0 also writes to N further pages as
 * fast as it can).
 */
#include <virtio.h>
#include <pattern.h>

enum { VEC_TIMER = 0x41, VEC_PIT = 0x42, VEC_TOKEN = 0x43, APIC_DIVIDE_1 = 0xb };
#define MSR_LSTAR 0xc0000082u
#define MSR_KERNEL_GS_BASE 0xc0000102u

static unsigned ncpus;
static volatile uint64_t timers, pits, tokens;
static volatile unsigned token_at; /* the CPU that has it, and is to pass it on */

static void on_timer(struct frame *f)
{
    (void)f;
    timers++;
    apic_write(APIC_TIMER_INIT, 1000000); /* the next one in 1 ms */
    apic_eoi();
}

static void on_pit(struct frame *f)
{
    (void)f;
    pits++;
    apic_eoi();
}

static void on_token(struct frame *f)
{
    (void)f;
    tokens++;
    token_at = this_cpu()->index;
    apic_eoi();
}

static void pass_token(unsigned me)
{
    if (token_at != me)
        return;
    token_at = ~0u;
    apic_icr(cpus[(me + 1) % ncpus].apic_id, VEC_TOKEN);
}

/* ---- registers ---- */

static uint64_t xmm15(void)
{
    uint64_t v;

    __asm__ volatile("movq %%xmm15, %0" : "=r"(v));
    return v;
}

static uint64_t dr(unsigned n)
{
    uint64_t v;

    if (n == 0)
        __asm__ volatile("mov %%dr0, %0" : "=r"(v));
    else
        __asm__ volatile("mov %%dr3, %0" : "=r"(v));
    return v;
}

static uint64_t mine(unsigned me, unsigned which) { return 0x123450000ull + me * 256 + which; }

static void set_registers(unsigned me)
{
    write_cr4(read_cr4() | 3u << 9); /* OSFXSR, OSXMMEXCPT */
    __asm__ volatile("movq %0, %%xmm15" : : "r"(mine(me, 0)));
    __asm__ volatile("mov %0, %%dr0" : : "r"(mine(me, 1)));
    __asm__ volatile("mov %0, %%dr3" : : "r"(mine(me, 2)));
    wrmsr(MSR_LSTAR, mine(me, 3));
    wrmsr(MSR_KERNEL_GS_BASE, mine(me, 4));
}

static void check_registers(unsigned me)
{
    uint64_t now[5] = { xmm15(), dr(0), dr(3), rdmsr(MSR_LSTAR), rdmsr(MSR_KERNEL_GS_BASE) };

    for (unsigned i = 0; i < 5; i++)
        if (now[i] != mine(me, i))
            fail("saved registers", "cpu %u, %u: %lx, not %lx", me, i, now[i], mine(me, i));
}

/* ---- a disk: each slot writes its part of it, reads it back, and so on; only CPU 0 ---- */

enum { SLOTS = 4, SECTOR = 512, DISK_PART = 160 * 1024, BLK_IN = 0, BLK_OUT = 1 };

static struct vdev dev;
static struct vq vq;
static struct slot {
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    uint64_t generation;
    uint8_t status;
} slots[SLOTS];
static uint64_t data[SLOTS][DISK_PART / 8] __attribute__((aligned(4096)));
static unsigned slot_of[256];
static volatile uint64_t disk_irqs;
static uint64_t transfers;

static void on_disk(void) { disk_irqs++; }

static void submit(unsigned i, uint32_t type)
{
    struct slot *s = &slots[i];
    struct viov iov[3] = { { (uint64_t)&s->header, 16 },
                           { (uint64_t)data[i], DISK_PART },
                           { (uint64_t)&s->status, 1 } };

    s->header.type = type;
    s->header.sector = i * DISK_PART / SECTOR;
    s->status = 0xff;
    if (type == BLK_OUT)
        s->generation++;
    for (unsigned w = 0; w < DISK_PART / 8; w++)
        data[i][w] = type == BLK_OUT ? pattern(i, s->generation, w) : 0;
    int id = vq_add(&vq, iov, type == BLK_OUT ? 2 : 1, type == BLK_OUT ? 1 : 2);
    if (id < 0)
        fail("saved disk", "the ring is full");
    else
        slot_of[id] = i;
}

static void disk_done(unsigned i)
{
    struct slot *s = &slots[i];

    transfers++;
    if (s->status)
        fail("saved disk", "status %u", s->status);
    for (unsigned w = 0; s->header.type == BLK_IN && w < DISK_PART / 8; w++) {
        if (data[i][w] == pattern(i, s->generation, w))
            continue;
        fail("saved disk", "slot %u word %u: %lx", i, w, data[i][w]);
        break;
    }
    submit(i, s->header.type == BLK_OUT ? BLK_IN : BLK_OUT);
}

static void turn_disk(void)
{
    int id;

    if (!vq.size)
        return;
    while ((id = vq_poll(&vq, NULL)) >= 0)
        disk_done(slot_of[id]);
    vq_kick(&vq);
}

static void start_disk(void)
{
    if (!vdev_find(VIRTIO_BLK, 0, &dev) || !vdev_negotiate(&dev, VF_VERSION_1) ||
        !vq_setup(&dev, &vq, 0, 64)) {
        fail("saved disk", "no disk");
        return;
    }
    vdev_msix(&dev, &vq, 0, on_disk);
    vdev_ok(&dev);
    for (unsigned i = 0; i < SLOTS; i++)
        submit(i, BLK_OUT);
    vq_kick(&vq);
}

/* ---- network: each frame that arrives is followed by the next one; only CPU 0 ---- */

enum { FRAME = 1500, ETHER = 14, NET_HDR = 12, BUFFERS = 16, PAYLOAD = (FRAME - ETHER) / 8 };

static struct nic {
    struct vdev dev;
    struct vq rx, tx;
    uint8_t mac[6];
} from, to;
static uint8_t buffers[BUFFERS][2048] __attribute__((aligned(4096)));
static uint8_t sent[2048];
static unsigned buffer_of[256];
static uint64_t frames, frame_seq, resend_at;

static void post(unsigned i)
{
    struct viov v = { (uint64_t)buffers[i], sizeof buffers[i] };
    int id = vq_add(&to.rx, &v, 0, 1);

    if (id < 0)
        fail("saved net", "the ring is full");
    else
        buffer_of[id] = i;
}

static bool start_nic(struct nic *n, unsigned nth)
{
    if (!vdev_find(VIRTIO_NET, nth, &n->dev) || !vdev_negotiate(&n->dev, VF_VERSION_1) ||
        !vq_setup(&n->dev, &n->rx, 0, 64) || !vq_setup(&n->dev, &n->tx, 1, 64)) {
        fail("saved net", "no device %u", nth);
        return false;
    }
    for (unsigned i = 0; i < 6; i++)
        n->mac[i] = mmio_r8(n->dev.config + i);
    vdev_ok(&n->dev);
    return true;
}

/* A frame has its number, and a pattern of it. What was under way when it was saved is lost. */
static void send_next(void)
{
    uint64_t words[PAYLOAD];
    struct viov v = { (uint64_t)sent, NET_HDR + ETHER + sizeof words };

    if (vq_poll(&from.tx, NULL) < 0 && frame_seq)
        return; /* the buffer is still the device's */
    words[0] = ++frame_seq;
    for (unsigned w = 1; w < PAYLOAD; w++)
        words[w] = pattern(0, frame_seq, w);
    memcpy(sent + NET_HDR, to.mac, 6);
    memcpy(sent + NET_HDR + 6, from.mac, 6);
    sent[NET_HDR + 12] = 0x88; /* 0x88b5, for local experiments: IEEE 802 */
    sent[NET_HDR + 13] = 0xb5;
    memcpy(sent + NET_HDR + ETHER, words, sizeof words);
    if (vq_add(&from.tx, &v, 1, 0) < 0)
        fail("saved net", "the ring is full");
    vq_kick(&from.tx);
    resend_at = rdtsc() + tsc_hz / 10;
}

static void check_frame(const uint8_t *data, uint32_t len)
{
    static uint64_t last;
    uint64_t words[PAYLOAD];

    memcpy(words, data + NET_HDR + ETHER, sizeof words);
    if (len != NET_HDR + ETHER + sizeof words || words[0] <= last || words[0] > frame_seq)
        fail("saved net", "frame %lu of %u bytes after %lu", words[0], len, last);
    last = words[0];
    for (unsigned w = 1; w < PAYLOAD; w++) {
        if (words[w] == pattern(0, words[0], w))
            continue;
        fail("saved net", "frame %lu word %u: %lx", words[0], w, words[w]);
        break;
    }
    frames++;
}

static void turn_net(void)
{
    uint32_t len;
    int id = to.rx.size ? vq_poll(&to.rx, &len) : -1;

    if (id >= 0) {
        check_frame(buffers[buffer_of[id]], len);
        post(buffer_of[id]);
        vq_kick(&to.rx);
    }
    if (id >= 0 || (to.rx.size && rdtsc() > resend_at))
        send_next();
}

static void start_net(void)
{
    if (!start_nic(&from, 0) || !start_nic(&to, 1))
        return;
    for (unsigned i = 0; i < BUFFERS; i++)
        post(i);
    vq_kick(&to.rx);
}

/* ---- pages that are written to faster than they can be copied; only CPU 0 ---- */

static uint64_t *touched;
static uint64_t touches;

static void touch(unsigned pages)
{
    if (!touched)
        touched = page_alloc(pages);
    for (unsigned p = 0; p < pages; p++) {
        uint64_t *word = touched + p * PATTERN_WORDS + p % PATTERN_WORDS;

        if (*word != touches)
            fail("saved touch", "page %u: %lu, not %lu", p, *word, touches);
        *word = touches + 1;
    }
    touches++;
}

/* ---- clocks: only CPU 0 ---- */

/* The PM timer was read between two looks at the TSC: the CPU may be taken away at any moment. */
static uint64_t tsc_start[2], pm_start, tsc_before;

static void check_clocks(void)
{
    uint64_t a = rdtsc(), pm = pm_timer_ns() - pm_start, b = rdtsc();
    uint64_t from = tsc_to_ns(a - tsc_start[1]), to = tsc_to_ns(b - tsc_start[0]);
    uint64_t slack = to / 200 + 2000000;

    if (a < tsc_before)
        fail("saved TSC", "went back from %lu to %lu", tsc_before, a);
    tsc_before = b;
    if (pm + slack < from || pm > to + slack)
        fail("saved clocks", "%lu ns by the PM timer, %lu to %lu by the TSC", pm, from, to);
}

static void say(uint64_t *next)
{
    static uint64_t lines;

    if (rdtsc() < *next)
        return;
    *next = rdtsc() + tsc_hz / 10;
    print("saved %lu timer %lu pit %lu token %lu bad %u disk %lu %lu net %lu\n", ++lines, timers,
          pits, tokens, failures, transfers, disk_irqs, frames);
}

/* ---- the load ---- */

static void work(void *arg)
{
    unsigned me = this_cpu()->index, pages = (unsigned)cmdline_num("pages", 256);
    unsigned more = (unsigned)cmdline_num("touch", 0);
    uint64_t *memory = page_alloc(pages), next = 0;

    (void)arg;
    set_registers(me);
    cpu_sti();
    for (uint64_t generation = 0;; generation++) {
        for (unsigned p = 0; p < pages; p++) {
            pattern_next(memory + p * PATTERN_WORDS, p, generation);
            pass_token(me);
            check_registers(me);
            if (me)
                continue;
            check_clocks();
            turn_disk();
            turn_net();
            touch(more);
            say(&next);
        }
        if (me == 0)
            __asm__ volatile("hlt");
    }
}

static void start_timers(void)
{
    trap_handle(VEC_TIMER, on_timer);
    trap_handle(VEC_PIT, on_pit);
    trap_handle(VEC_TOKEN, on_token);
    apic_write(APIC_TIMER_DIV, APIC_DIVIDE_1);
    apic_write(APIC_LVTT, VEC_TIMER);
    apic_write(APIC_TIMER_INIT, 1000000);
    ioapic_route(acpi.irq_gsi[0], VEC_PIT | (uint64_t)cpus[0].apic_id << 56);
    outb(0x43, 0x34);
    outb(0x40, 11932 & 0xff);
    outb(0x40, 11932 >> 8);
}

void guest_main(void)
{
    irq_init();
    ncpus = smp_start();
    if (cmdline_has("disk"))
        start_disk();
    if (cmdline_has("net"))
        start_net();
    start_timers();
    pm_timer_ns();
    tsc_start[0] = rdtsc();
    pm_start = pm_timer_ns();
    tsc_start[1] = rdtsc();
    token_at = 0;
    for (unsigned i = 1; i < ncpus; i++)
        smp_run(i, work, NULL);
    work(NULL);
}
