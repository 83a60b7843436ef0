/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * passthrough.c: the machine's side of functions that guests have: who is kept for whom, resets,
 * the IOMMU's domains, interrupts. The guest's side is hv/pci/passthrough.c. See
 * <hv/passthrough.h>.
 */
#include <arch/cpu.h>
#include <arch/io.h>
#include <arch/irq.h>
#include <arch/mmu.h>
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/dma.h>
#include <hv/host_topology.h>
#include <hv/iommu.h>
#include <hv/log.h>
#include <hv/passthrough.h>
#include <hv/pci.h>
#include <hv/time.h>
#include <hv/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MSIX_CONTROL = 2, MSIX_SIZE = 0x7ff, MSIX_TABLE = 4, MSIX_ENTRY = 16 }; /* PCI §6.8.2 */

enum { CFG_COMMAND = 4, CFG_STATUS = 6, STATUS_INTX = 1 << 3, CFG_PIN = 0x3d }; /* PCI §6.2 */

#define FN_WATCH 1000000000ull /* ns from one look at a function that is used to the next */
enum { FN_MISSES = 2 }; /* looks in a row that it did not answer: a link may be trained again */

enum fn_state { FN_DIRTY, FN_RESETTING, FN_IDLE, FN_USED, FN_DEAD };
/* One for each unit that the guest's functions are behind. */
struct pass_domain {
    struct iommu_domain iommu;
    struct vm *vm;
    unsigned users;
    struct pass_domain *next;
};
struct fn_irq {
    struct irq_message plain, sent; /* the unit's, from `plain` */
    struct event *ev;               /* NULL: nobody wants it */
    bool made, masked;
};
struct passthrough_fn {
    uint32_t i; /* in host_pci_devs() */
    const struct host_pci_dev *d;
    char name[TOPOLOGY_NAME];
    enum fn_state state;
    bool told; /* its owner's guest can bring about that its interrupts fail, again and again */
    struct host_pci_bar bar[VPCI_BARS];
    uint64_t reach[VPCI_BARS], reach_end[VPCI_BARS]; /* what its owner asked for: offsets */
    volatile uint8_t *map[VPCI_BARS];                /* of memory, from the first owner on */
    uint64_t map_at[VPCI_BARS], map_len[VPCI_BARS];
    /* MSI-X: of table_at, for table_size entries, from the first owner on; it has `ntable` now */
    volatile uint8_t *table;
    uint64_t table_at;
    unsigned table_size, ntable;
    struct fn_irq irq[VPCI_MSIX_MAX];
    enum passthrough_mode mode;
    struct host_pci_reset reset;
    uint64_t due; /* ns: the next step of the reset */
    struct event timer, *then;
    struct vm *vm;   /* that has it */
    unsigned misses; /* FN_MISSES: it was told that it is gone */
    struct pass_domain *domain;
};

static struct passthrough_fn *fns[HOST_PCI_KEEP_MOST];
static uint32_t nfns;
static struct pass_domain *domains;

/* ---- before the drivers ---- */

void passthrough_keep(const char *text, size_t len)
{
    const struct config_limits any = { .memory_max = UINT64_MAX, .cpus = MAX_CPUS };
    struct config c;

    assert_cpu0();
    config_pci_exists = host_pci_select_exists;
    if (!text || config_parse(text, len, &any, &c) < 0)
        return;
    dma_defer(c.host.unmap == UNMAP_DEFERRED);
    for (unsigned i = 0; i < c.host.nvfs; i++)
        if (host_pci_want_vfs(&c.host.vfs[i].select, c.host.vfs[i].count, c.host.vfs[i].text))
            log_warn("vfs: only %d devices can have virtual functions", HOST_PCI_VFS_MOST);
    for (unsigned g = 0; g < c.nguests; g++)
        for (unsigned i = 0; i < c.guest[g].npassthrough; i++)
            if (host_pci_keep(&c.guest[g].passthrough[i].select, c.guest[g].name))
                log_warn("passthrough: only %d devices can be given to guests", HOST_PCI_KEEP_MOST);
    config_free(&c);
}

/* ---- resets ---- */

/* While it is FN_RESETTING afterwards, this is to be called again when `due` has come. */
static void fn_step(struct passthrough_fn *f)
{
    uint64_t wait = 0;
    int err = host_pci_reset_step(f->i, &f->reset, &wait);

    if (err == -EINPROGRESS) {
        f->due = time_ns() + wait;
        return;
    }
    f->state = err == -EIO ? FN_DEAD : FN_IDLE;
    if (err == -EIO)
        log_err("PCI %s did not respond after its reset: no guest can have it", f->name);
    else if (err)
        log_warn("PCI %s cannot be reset: it keeps the state that its last owner left", f->name);
    if (f->then)
        event_post(f->then);
    f->then = NULL;
}

static void fn_go_on(struct passthrough_fn *f)
{
    fn_step(f);
    if (f->state == FN_RESETTING)
        event_at(&f->timer, f->due);
}

/* One that was pulled out, or has failed, answers with all ones. Told once to each owner. */
static void fn_watch(struct passthrough_fn *f)
{
    bool there = host_pci_read(f->d, CFG_STATUS, 2) != UINT16_MAX;

    if (f->misses < FN_MISSES)
        f->misses = there ? 0 : f->misses + 1;
    if (f->misses == FN_MISSES)
        vm_tell(
            f->vm, LOG_ERR,
            "PCI %s does not answer any more: it was removed, or has failed. Stop the guest, and "
            "start it when the device is back.",
            f->name);
    else
        event_at(&f->timer, time_ns() + FN_WATCH);
}

static void fn_timer(struct event *ev)
{
    struct passthrough_fn *f = container_of(ev, struct passthrough_fn, timer);

    if (f->state == FN_RESETTING)
        fn_go_on(f);
    else if (f->state == FN_USED)
        fn_watch(f);
}

static void fn_begin_reset(struct passthrough_fn *f)
{
    f->state = FN_RESETTING;
    f->reset.step = 0; /* what is saved stays */
    fn_go_on(f);
}

/* All at the same time. Each ends: host_pci_reset_step() takes a bounded number of steps. */
static void fn_first_resets(void)
{
    bool more = true;

    while (more) {
        more = false;
        for (uint32_t i = 0; i < nfns; i++) {
            if (fns[i]->state == FN_RESETTING && time_ns() >= fns[i]->due)
                fn_step(fns[i]);
            more |= fns[i]->state == FN_RESETTING;
        }
        cpu_relax();
    }
}

static void fn_irqs_off(struct passthrough_fn *f)
{
    host_pci_irq_off(f->d);
    for (unsigned n = 0; n < VPCI_MSIX_MAX; n++) {
        if (f->irq[n].ev)
            iommu_irq_off(f->d, n);
        f->irq[n].ev = NULL;
    }
}

static int fn_reset(struct passthrough_fn *f, struct event *then)
{
    assert_cpu0();
    if (f->state == FN_IDLE || f->state == FN_DEAD)
        return 0;
    f->then = then;
    if (f->state != FN_RESETTING) {
        host_pci_command(f->d, 0, HOST_PCI_MASTER);
        fn_irqs_off(f);
        fn_begin_reset(f);
    }
    return f->state == FN_RESETTING ? -EINPROGRESS : 0;
}

/* ---- domains ---- */

static struct pass_domain *domain_find(const struct vm *vm, const struct host_pci_dev *d)
{
    for (struct pass_domain *p = domains; p; p = p->next)
        if (p->vm == vm && p->iommu.unit == iommu_unit_of(d))
            return p;
    return NULL;
}

/* Its guest is told why nothing comes from it any more. */
static void domain_tell(struct iommu_domain *d, const struct host_pci_dev *dev,
                        const struct iommu_fault *f, bool cut)
{
    struct vm *vm = container_of(d, struct pass_domain, iommu)->vm;
    char name[TOPOLOGY_NAME];

    assert_cpu0();
    host_pci_name(dev, name);
    if (cut && f)
        vm_tell(vm, LOG_ERR,
                "PCI %s is cut off from this guest's memory: too many faults, the last one at %llx "
                "(`iommu` counts them). It is back when the guest is reset, or started again.",
                name, (unsigned long long)f->addr);
    else if (cut)
        vm_tell(vm, LOG_ERR,
                "PCI %s is cut off from this guest's memory: its IOMMU does not answer.", name);
}

static int domain_start(struct pass_domain *p, struct vm *vm, const struct host_pci_dev *d)
{
    char owner[NAME_LEN + 8];
    int err;

    p->vm = vm;
    snprintf(owner, sizeof owner, "guest %s", vm->config->name);
    err = iommu_domain_init(&p->iommu, d, owner, charge_tables, vm);
    if (err)
        return err;
    p->iommu.fault = domain_tell;
    err = gmem_attach(vm, &p->iommu.gmem);
    if (err)
        iommu_domain_fini(&p->iommu);
    return err;
}

static struct pass_domain *domain_make(struct vm *vm, const struct host_pci_dev *d, int *err)
{
    struct pass_domain *p = domain_find(vm, d);

    *err = 0;
    if (p)
        return p;
    p = vm_alloc(vm, sizeof *p);
    *err = p ? domain_start(p, vm, d) : -ENOMEM;
    if (*err) {
        if (p)
            vm_free(vm, p, sizeof *p);
        return NULL;
    }
    p->next = domains;
    domains = p;
    return p;
}

static void domain_drop(struct pass_domain *p)
{
    struct pass_domain **at = &domains;

    if (p->users)
        return;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    gmem_detach(p->vm, &p->iommu.gmem);
    iommu_domain_fini(&p->iommu);
    vm_free(p->vm, p, sizeof *p);
}

static int fn_attach(struct passthrough_fn *f, struct vm *vm)
{
    struct pass_domain *p;
    int err;

    if (!iommu_unit_of(f->d))
        return 0; /* unsafe-passthrough: there is none */
    p = domain_make(vm, f->d, &err);
    if (!p)
        return err;
    err = iommu_attach(&p->iommu, f->d);
    if (err) {
        domain_drop(p);
        return err;
    }
    p->users++;
    f->domain = p;
    return 0;
}

static void fn_detach(struct passthrough_fn *f)
{
    if (!f->domain)
        return;
    iommu_detach(f->d);
    f->domain->users--;
    domain_drop(f->domain);
    f->domain = NULL;
}

/* ---- an owner ---- */

static struct passthrough_fn *fn_of(uint32_t i)
{
    struct passthrough_fn *f;

    for (uint32_t n = 0; n < nfns; n++)
        if (fns[n]->i == i)
            return fns[n];
    f = nfns < ARRAY_SIZE(fns) ? calloc(1, sizeof *f) : NULL; /* charge: the machine's, and few */
    if (!f)
        return NULL;
    f->i = i;
    f->d = &host_pci_devs(&(uint32_t){ 0 })[i];
    host_pci_name(f->d, f->name);
    event_init(&f->timer, fn_timer, 0);
    return fns[nfns++] = f;
}

/* Whether the guest may have it; unsafe-passthrough overrides what only isolation asks for. */
static int fn_allowed(const struct passthrough_fn *f, const struct guest_config *c, char *why,
                      size_t size)
{
    int err = host_topology_may_pass(f->i, c->name, why, size);

    if (!err || err == -EBUSY || err == -ENOTSUP || !c->unsafe_passthrough)
        return err;
    log_err("%s: UNSAFE: %s is passed through although %s", c->name, f->name, why);
    return 0;
}

static int fn_ready(const struct passthrough_fn *f, const struct guest_config *c, char *why,
                    size_t size)
{
    int err = fn_allowed(f, c, why, size);

    if (err)
        return err;
    if (f->state == FN_IDLE)
        return 0;
    snprintf(why, size, "%s %s", f->name,
             f->state == FN_DEAD   ? "did not come back from its last reset"
             : f->state == FN_USED ? "is in use"
                                   : "is still being reset: try again");
    return f->state == FN_DEAD ? -EIO : -EBUSY;
}

/*
 * The function's table, in what was found to be its own when the BARs were looked at. Each word is
 * read once: it may be another the next time. One that has moved since its last owner had it lies.
 */
static bool fn_find_table(struct passthrough_fn *f, uint64_t *at, unsigned *n)
{
    uint32_t cap = host_pci_cap(f->d, HOST_PCI_CAP_MSIX);
    uint32_t place = cap ? host_pci_read(f->d, cap + MSIX_TABLE, 4) : UINT32_MAX;
    const struct host_pci_bar *b = &f->bar[(place & 7) % VPCI_BARS];

    if (!cap || (place & 7) >= VPCI_BARS)
        return false;
    *n = (unsigned)min_u64((host_pci_read(f->d, cap + MSIX_CONTROL, 2) & MSIX_SIZE) + 1,
                           VPCI_MSIX_MAX);
    *at = b->base + (place & ~7u);
    return b->base && !b->io && range_within(place & ~7u, (uint64_t)MSIX_ENTRY * *n, 0, b->len);
}

static void fn_map_table(struct passthrough_fn *f)
{
    uint64_t at;
    unsigned n;

    f->ntable = 0;
    if (!fn_find_table(f, &at, &n))
        return;
    if (!f->table) {
        f->table = mmu_map_device(hpa(at), (uint64_t)MSIX_ENTRY * n);
        f->table_at = at;
        f->table_size = n;
    }
    if (f->table && f->table_at == at && n <= f->table_size)
        f->ntable = n;
}

/* NULL: its interrupts are sent by MSI. */
static volatile uint8_t *fn_table(const struct passthrough_fn *f)
{
    return f->mode == PASSTHROUGH_MSIX ? f->table : NULL;
}

static void fn_look_at_bars(struct passthrough_fn *f, const char *guest)
{
    for (unsigned b = 0; b < VPCI_BARS; b++) {
        f->reach_end[b] = 0;
        if (host_pci_bar(f->d, b, &f->bar[b]))
            f->bar[b].len = 0;
        if (f->bar[b].len && !host_pci_bar_is_its_own(f->i, &f->bar[b])) {
            log_warn("PCI %s: BAR %u (%s%llx, %llu bytes) is hidden from %s: the machine does not "
                     "route its addresses to it",
                     f->name, b, f->bar[b].io ? "port " : "", (unsigned long long)f->bar[b].base,
                     (unsigned long long)f->bar[b].len, guest);
            f->bar[b].len = 0;
        }
    }
}

/* Ports that are not shown are not decoded. */
static uint16_t fn_decodes(const struct passthrough_fn *f)
{
    uint16_t what = HOST_PCI_MEMORY;

    for (unsigned b = 0; b < VPCI_BARS; b++)
        what |= f->bar[b].len && f->bar[b].io ? HOST_PCI_IO : 0;
    return what;
}

static struct passthrough_fn *fn_open(struct vm *vm, const struct guest_config *c, unsigned n,
                                      int *err, char *why, size_t size)
{
    struct passthrough_fn *f;
    uint32_t i;

    assert_cpu0();
    *err = host_pci_kept(c->name, n, &c->passthrough[n].select, &i);
    if (*err) {
        snprintf(why, size,
                 "this machine has no such device, or none that is free; `pci` lists "
                 "them. One that trivet.conf names since a `reload` is given after a reboot");
        return NULL;
    }
    f = fn_of(i);
    *err = f ? fn_ready(f, c, why, size) : -ENOMEM;
    if (*err)
        return NULL;
    *err = fn_attach(f, vm);
    if (*err) {
        snprintf(why, size, "%s cannot be attached to the guest's memory: error %d", f->name,
                 -*err);
        return NULL;
    }
    f->state = FN_USED;
    f->told = false;
    f->vm = vm;
    f->misses = 0;
    event_at(&f->timer, time_ns() + FN_WATCH);
    host_pci_command(f->d, HOST_PCI_NO_INTX, HOST_PCI_MASTER);
    fn_look_at_bars(f, c->name);
    fn_map_table(f);
    f->mode = f->ntable ? PASSTHROUGH_MSIX : PASSTHROUGH_MSI;
    host_pci_command(f->d, fn_decodes(f), 0);
    log_info("%s has PCI %s", c->name, f->name);
    return f;
}

static void fn_close(struct passthrough_fn *f)
{
    assert_cpu0();
    host_pci_command(f->d, 0, HOST_PCI_MASTER | HOST_PCI_MEMORY | HOST_PCI_IO);
    fn_irqs_off(f);
    fn_detach(f);
    if (f->state == FN_USED) /* its guest never ran */
        fn_begin_reset(f);
}

/* ---- while it is used ---- */

static const char *fn_name(const struct passthrough_fn *f) { return f->name; }

static uint32_t fn_read(struct passthrough_fn *f, uint32_t off, unsigned size)
{
    if (off == 0 && size == 2)
        return f->d->vendor; /* a virtual function's own registers say nothing */
    if (off == 2 && size == 2)
        return f->d->device;
    return host_pci_read(f->d, off, size);
}

static void fn_interrupt(void *arg)
{
    const struct fn_irq *q = arg;

    if (q->ev)
        event_post(q->ev);
}

/* Makes the message of interrupt n, once. */
static int fn_message(struct passthrough_fn *f, unsigned n)
{
    struct fn_irq *q = &f->irq[n];
    int err = q->made ? 0 : irq_message(0, fn_interrupt, q, &q->plain);

    q->made = !err;
    return err;
}

/*
 * Where the machine takes no messages (ARM64 so far) the guest sees that the function has none; and
 * no MSI-X of a function whose table cannot be believed.
 */
static uint32_t fn_cap(struct passthrough_fn *f, uint8_t id, unsigned n)
{
    bool sends = id == HOST_PCI_CAP_MSI || id == HOST_PCI_CAP_MSIX;

    if ((sends && fn_message(f, 0) == -ENOTSUP) || (id == HOST_PCI_CAP_MSIX && !f->ntable))
        return 0;
    return host_pci_cap_nth(f->d, id, n);
}

static int fn_bar(struct passthrough_fn *f, unsigned i, struct host_pci_bar *out)
{
    *out = f->bar[i];
    return out->len && out->base ? 0 : -ENOENT;
}

static void fn_master(struct passthrough_fn *f, bool on)
{
    host_pci_command(f->d, on ? HOST_PCI_MASTER : 0, on ? 0 : HOST_PCI_MASTER);
}

/* What an earlier owner had mapped serves again, if it is the same. */
static int fn_map_memory(struct passthrough_fn *f, unsigned i, uint64_t off, uint64_t len)
{
    uint64_t at = f->bar[i].base + off;

    if (f->map[i])
        return f->map_at[i] == at && f->map_len[i] == len ? 0 : -EINVAL;
    f->map[i] = mmu_map_device(hpa(at), len);
    f->map_at[i] = at;
    f->map_len[i] = len;
    return f->map[i] ? 0 : -ENOMEM;
}

static int fn_map(struct passthrough_fn *f, unsigned i, uint64_t off, uint64_t len)
{
    int err;

    if (f->reach_end[i])
        return f->reach[i] == off && f->reach_end[i] == off + len ? 0 : -EINVAL;
    if (!len || !range_within(off, len, 0, f->bar[i].len))
        return -EINVAL;
    err = f->bar[i].io ? 0 : fn_map_memory(f, i, off, len);
    if (err)
        return err;
    f->reach[i] = off;
    f->reach_end[i] = off + len;
    return 0;
}

static bool fn_reaches(const struct passthrough_fn *f, unsigned i, uint64_t off, unsigned size)
{
    return off >= f->reach[i] && off + size <= f->reach_end[i] && !(off & (size - 1));
}

static uint32_t fn_mmio_read(struct passthrough_fn *f, unsigned i, uint64_t off, unsigned size)
{
    if (!fn_reaches(f, i, off, size))
        return UINT32_MAX;
    return f->bar[i].io ? port_read((uint16_t)(f->bar[i].base + off), size)
                        : host_reg_read(f->map[i] + (off - f->reach[i]), size);
}

static void fn_mmio_write(struct passthrough_fn *f, unsigned i, uint64_t off, unsigned size,
                          uint32_t v)
{
    if (!fn_reaches(f, i, off, size))
        return;
    if (f->bar[i].io)
        port_write((uint16_t)(f->bar[i].base + off), size, v);
    else
        host_reg_write(f->map[i] + (off - f->reach[i]), size, v);
}

static int fn_irq(struct passthrough_fn *f, unsigned n, struct event *ev)
{
    struct fn_irq *q = &f->irq[n];
    int err;

    assert_cpu0();
    hv_assert(n < VPCI_MSIX_MAX);
    if (n >= (f->ntable ? f->ntable : 1))
        return -ENOTSUP;
    err = fn_message(f, n);
    if (err)
        return err;
    err = iommu_irq(f->d, n, &q->plain, &q->sent);
    if (err)
        return err;
    q->ev = ev;
    q->masked = false;
    return host_pci_irq_write(f->d, fn_table(f), n, &q->sent);
}

/* Whether interrupt n is one of those by which it interrupts now. */
static bool fn_sends(const struct passthrough_fn *f, unsigned n)
{
    return f->irq[n].ev && (f->mode == PASSTHROUGH_MSIX  ? n < f->ntable
                            : f->mode == PASSTHROUGH_MSI ? n == 0
                                                         : false);
}

static int fn_unmask(struct passthrough_fn *f, unsigned n)
{
    struct fn_irq *q = &f->irq[n];
    int err = iommu_irq(f->d, n, &q->plain, &q->sent);

    if (err)
        return err;
    q->masked = false;
    err = fn_sends(f, n) ? host_pci_irq_write(f->d, fn_table(f), n, &q->sent) : 0;
    if (err) {
        q->masked = true;
        iommu_irq_off(f->d, n);
    }
    return err;
}

/* Once for each owner. */
static void fn_tell(struct passthrough_fn *f, const char *what, int err)
{
    if (!f->told)
        log_warn("PCI %s: %s: error %d", f->name, what, -err);
    f->told = true;
}

/* At the unit, too: a device can write the message to memory, whatever its mask says. */
static void fn_mask(struct passthrough_fn *f, unsigned n, bool on)
{
    int err = 0;

    assert_cpu0();
    if (!f->irq[n].ev)
        return;
    if (on) {
        f->irq[n].masked = true;
        if (fn_sends(f, n))
            host_pci_irq_mask(f->d, fn_table(f), n, true);
        iommu_irq_off(f->d, n);
    } else {
        err = fn_unmask(f, n);
    }
    if (err)
        fn_tell(f, "an interrupt stays masked", err);
}

static void fn_mode(struct passthrough_fn *f, enum passthrough_mode mode)
{
    int err = 0;

    host_pci_irq_off(f->d);
    f->mode = mode;
    for (unsigned n = 0; !err && n < VPCI_MSIX_MAX; n++)
        if (fn_sends(f, n) && !f->irq[n].masked)
            err = host_pci_irq_write(f->d, fn_table(f), n, &f->irq[n].sent);
    if (err)
        fn_tell(f, "it does not interrupt any more", err);
}

/* fn_open() has switched it off: a function that does not keep that has nothing to do it by. */
static bool fn_has_line(struct passthrough_fn *f)
{
    return host_pci_read(f->d, CFG_PIN, 1) - 1 < 4 &&
           host_pci_read(f->d, CFG_COMMAND, 2) & HOST_PCI_NO_INTX;
}

static bool fn_line(struct passthrough_fn *f)
{
    uint32_t status = host_pci_read(f->d, CFG_STATUS, 2);

    return status != UINT16_MAX && status & STATUS_INTX;
}

static const struct passthrough_ops ops = {
    .open = fn_open,
    .name = fn_name,
    .read = fn_read,
    .cap = fn_cap,
    .bar = fn_bar,
    .master = fn_master,
    .map = fn_map,
    .mmio_read = fn_mmio_read,
    .mmio_write = fn_mmio_write,
    .irq = fn_irq,
    .mask = fn_mask,
    .mode = fn_mode,
    .has_line = fn_has_line,
    .line = fn_line,
    .reset = fn_reset,
    .close = fn_close,
};

void passthrough_init(void)
{
    uint32_t count;

    assert_cpu0();
    passthrough_ops = &ops;
    (void)host_pci_devs(&count);
    for (uint32_t i = 0; i < count; i++) {
        struct passthrough_fn *f = host_topology_of(i)->use == TOPOLOGY_GUEST ? fn_of(i) : NULL;

        if (!f)
            continue;
        f->state = FN_RESETTING;
        if (host_pci_cap(f->d, HOST_PCI_CAP_MSI) || host_pci_cap(f->d, HOST_PCI_CAP_MSIX))
            (void)!fn_message(f, 0); /* so that others of many vectors leave it one */
    }
    fn_first_resets(); /* guests that start by themselves find their functions ready */
}
