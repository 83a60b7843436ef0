/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8259A pair: master at 20h, slave at a0h behind the master's input 2, edge/level registers at
 * 4d0h. Intel 8259A data sheet; ELCR: 82371AB (PIIX4) data sheet §7.1.4. The single-chip and 8080
 * modes of ICW1 and ICW4 have no effect on vectors.
 */
#include <hv/assert.h>
#include <hv/io.h>
#include <hv/order.h>
#include <hv/vm.h>
#include <string.h>
#include "x86_dev.h"

#define CASCADE 2
enum { ICW1 = 0x10, OCW3 = 0x08, ICW1_IC4 = 1, ICW1_SINGLE = 2, ICW4_AEOI = 2, ICW4_SFNM = 0x10 };

void pic_reset(struct x86_intc *x)
{
    assert_held(&x->lock);
    memset(&x->pic, 0, sizeof x->pic);
    x->pic.version = 1;
    for (unsigned i = 0; i < 2; i++) {
        x->pic.chip[i].imr = 0xff; /* as firmware leaves it: vectors set, all inputs masked */
        x->pic.chip[i].base = i ? 0x70 : 0x08;
        x->pic.chip[i].low = 7;
    }
    x->pic.chip[1].elcr = 1 << (LINE_SCI - 8) | 1 << (10 - 8) | 1 << (11 - 8);
}

/* Distance from the highest priority: 0..7; 8 when mask is 0. */
static unsigned rank(const struct pic_chip *c, uint8_t mask)
{
    unsigned first = (c->low + 1u) & 7;
    unsigned turned = (uint8_t)(mask >> first | mask << (8 - first));

    return turned ? (unsigned)__builtin_ctz(turned) : 8;
}

static unsigned input_of(const struct pic_chip *c, unsigned r) { return (c->low + 1u + r) & 7; }

/* The input that would be acknowledged now, or -1. */
static int chip_request(const struct pic_chip *c, bool master)
{
    unsigned want = rank(c, c->irr & (uint8_t)~c->imr);
    uint8_t serving = c->isr;

    if (c->special_mask)
        serving &= (uint8_t)~c->imr;
    if (c->sfnm && master)
        serving &= (uint8_t) ~(1 << CASCADE);
    return want < rank(c, serving) ? (int)input_of(c, want) : -1;
}

static void chip_line(struct pic_chip *c, unsigned n, bool level)
{
    uint8_t bit = (uint8_t)(1 << n);

    if (level && (c->elcr & bit || !(c->lines & bit)))
        c->irr |= bit;
    if (!level && c->elcr & bit)
        c->irr &= (uint8_t)~bit;
    c->lines = level ? c->lines | bit : c->lines & (uint8_t)~bit;
}

static void rotate_to(struct pic_chip *c, unsigned n) { c->low = (uint8_t)n; }

static void chip_ack(struct pic_chip *c, unsigned n)
{
    uint8_t bit = (uint8_t)(1 << n);

    if (!(c->elcr & bit))
        c->irr &= (uint8_t)~bit;
    if (!c->aeoi)
        c->isr |= bit;
    else if (c->rotate_aeoi)
        rotate_to(c, n);
}

/*
 * The slave's output is the master's input 2; the master's is the CPU's (LINT0) and the IOAPIC's
 * pin 0.
 */
static void update(struct x86_intc *x)
{
    struct pic_chip *m = &x->pic.chip[0];
    bool was = x->pic.out, out;

    debug_assert_held(&x->lock);
    if (chip_request(&x->pic.chip[1], false) >= 0)
        m->irr |= 1 << CASCADE;
    else
        m->irr &= (uint8_t) ~(1 << CASCADE);
    out = chip_request(m, true) >= 0;
    __atomic_store_n(&x->pic.out, out, __ATOMIC_RELEASE);
    store_before_load();
    if (out == was)
        return;
    ioapic_set_pin(x, 0, out);
    for (unsigned i = 0; out && i < x->nlapics; i++) {
        struct lapic *l = x->lapic[i];

        if (!l)
            continue;
        if (!lapic_hw_enabled(l) && lapic_wants_pic(l))
            vcpu_request(l->v, REQ_IRQ);
        else
            lapic_local(l, LVT_LINT0);
    }
}

void pic_set_irq(struct x86_intc *x, unsigned irq, bool level)
{
    debug_assert_held(&x->lock);
    if (irq == CASCADE)
        return;
    chip_line(&x->pic.chip[irq >> 3], irq & 7, level);
    update(x);
}

/* Acknowledges a request of chip i; 7 without effect when there is none (a spurious interrupt). */
static unsigned take(struct x86_intc *x, unsigned i)
{
    struct pic_chip *c = &x->pic.chip[i];
    int n = chip_request(c, i == 0);

    debug_assert_held(&x->lock);
    if (n < 0)
        return 7;
    chip_ack(c, (unsigned)n);
    return (unsigned)n;
}

int pic_ack(struct x86_intc *x)
{
    unsigned i = 0, n;

    spin_lock(&x->lock);
    n = take(x, 0);
    if (n == CASCADE) {
        i = 1;
        n = take(x, 1);
    }
    n += x->pic.chip[i].base;
    /* INTR falls; another request raises it anew */
    __atomic_store_n(&x->pic.out, 0, __ATOMIC_RELEASE);
    ioapic_set_pin(x, 0, false);
    update(x);
    spin_unlock(&x->lock);
    return (int)(n & 0xff);
}

static void write_icw1(struct pic_chip *c, uint8_t val)
{
    c->irr = c->lines & c->elcr;
    c->imr = c->isr = 0;
    c->low = 7;
    c->special_mask = c->read_isr = c->poll = c->rotate_aeoi = c->aeoi = c->sfnm = false;
    c->icw1 = val;
    c->icw = 2;
}

static void write_ocw3(struct pic_chip *c, uint8_t val)
{
    if (val & 4)
        c->poll = true;
    if (val & 2)
        c->read_isr = val & 1;
    if (val & 0x40)
        c->special_mask = val & 0x20;
}

/* The interrupt that a non-specific EOI ends, or -1. */
static int top_in_service(const struct pic_chip *c)
{
    unsigned r = rank(c, c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr);

    return r < 8 ? (int)input_of(c, r) : -1;
}

/* OCW2: R SL EOI in bits 7:5. */
static void write_ocw2(struct pic_chip *c, uint8_t val)
{
    bool rotate = val & 0x80, specific = val & 0x40, eoi = val & 0x20;
    int n = specific ? val & 7 : top_in_service(c);

    if (!eoi && !specific) {
        c->rotate_aeoi = rotate;
        return;
    }
    if (n < 0 || (!eoi && !rotate))
        return;
    if (eoi)
        c->isr &= (uint8_t) ~(1 << n);
    if (rotate)
        rotate_to(c, (unsigned)n);
}

/*
 * The initialisation sequence ICW2, ICW3 (unless single), ICW4 (if announced); then OCW1, the mask.
 */
static void write_data(struct pic_chip *c, uint8_t val)
{
    uint8_t after3 = c->icw1 & ICW1_IC4 ? 4 : 0;

    switch (c->icw) {
    case 2:
        c->base = val & 0xf8;
        c->icw = c->icw1 & ICW1_SINGLE ? after3 : 3;
        break;
    case 3: c->icw = after3; break;
    case 4:
        c->aeoi = val & ICW4_AEOI;
        c->sfnm = val & ICW4_SFNM;
        c->icw = 0;
        break;
    default: c->imr = val;
    }
}

static uint8_t poll(struct x86_intc *x, unsigned i)
{
    struct pic_chip *c = &x->pic.chip[i];
    int n = chip_request(c, i == 0);

    debug_assert_held(&x->lock);
    c->poll = false;
    if (n < 0)
        return 0;
    chip_ack(c, (unsigned)n);
    update(x);
    return (uint8_t)(0x80 | n);
}

static uint8_t pic_read_port(struct x86_intc *x, unsigned i, bool a0)
{
    const struct pic_chip *c = &x->pic.chip[i];

    debug_assert_held(&x->lock);
    if (c->poll)
        return poll(x, i);
    return a0 ? c->imr : c->read_isr ? c->isr : c->irr;
}

static void pic_write_port(struct x86_intc *x, unsigned i, bool a0, uint8_t val)
{
    struct pic_chip *c = &x->pic.chip[i];

    debug_assert_held(&x->lock);
    if (a0)
        write_data(c, val);
    else if (val & ICW1)
        write_icw1(c, val);
    else if (val & OCW3)
        write_ocw3(c, val);
    else
        write_ocw2(c, val);
    update(x);
}

static void write_elcr(struct x86_intc *x, unsigned i, uint8_t val)
{
    struct pic_chip *c = &x->pic.chip[i];

    /* timer, keyboard, cascade, RTC and FPU are always edge-triggered */
    c->elcr = val & (i ? 0xde : 0xf8);
    c->irr = (c->irr & (uint8_t)~c->elcr) | (c->lines & c->elcr);
    update(x);
}

static int pic_io(struct x86_intc *x, unsigned i, uint64_t a0, bool write, uint64_t *val)
{
    spin_lock(&x->lock);
    if (write)
        pic_write_port(x, i, a0 != 0, (uint8_t)*val);
    else
        *val = pic_read_port(x, i, a0 != 0);
    spin_unlock(&x->lock);
    return 0;
}

static int read1(void *d, uint64_t off, unsigned size, uint64_t *val)
{
    (void)size;
    return pic_io(d, 0, off, false, val);
}
static int read2(void *d, uint64_t off, unsigned size, uint64_t *val)
{
    (void)size;
    return pic_io(d, 1, off, false, val);
}
static int write1(void *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    return pic_io(d, 0, off, true, &val);
}
static int write2(void *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    return pic_io(d, 1, off, true, &val);
}

static int elcr_read(void *d, uint64_t off, unsigned size, uint64_t *val)
{
    (void)size;
    *val = ((struct x86_intc *)d)->pic.chip[off & 1].elcr;
    return 0;
}

static int elcr_write(void *d, uint64_t off, unsigned size, uint64_t val)
{
    struct x86_intc *x = d;

    (void)size;
    spin_lock(&x->lock);
    write_elcr(x, off & 1, (uint8_t)val);
    spin_unlock(&x->lock);
    return 0;
}

int pic_create(struct x86_devices *d, struct x86_intc *x)
{
    static const struct io_ops ops[3] = { { read1, write1, 1 },
                                          { read2, write2, 1 },
                                          { elcr_read, elcr_write, 1 } };
    const struct io_region r[3] = {
        { "pic1", IO_PORT, PORT_PIC1, 2, &ops[0], x },
        { "pic2", IO_PORT, PORT_PIC2, 2, &ops[1], x },
        { "elcr", IO_PORT, PORT_ELCR, 2, &ops[2], x },
    };

    assert_cpu0();
    for (unsigned i = 0; i < 3; i++) {
        int err = io_list_add(d->vm, &d->regions, &r[i]);

        if (err)
            return err;
    }
    return 0;
}
