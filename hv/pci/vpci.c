/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus: configuration space through ECAM (PCIe 5.0 §7.2.2) and CONFIG_ADDRESS/CONFIG_DATA (PCI
 * 3.0 §3.2.2.3.2), the host bridge.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/panic.h>
#include <string.h>
#include "vpci.h"

enum { CF8_PORT = 0xcf8, CF8_LEN = 8, CF9 = 1, CFC = 4, RESET_CPU = 1 << 2, HEADER_END = 0x40 };
enum { PCIEXBAR = 0x60, PCIEXBAR_ON = 1 };
#define CF8_ENABLE 0x80000000u

void vpci_dev_init(struct vpci_dev *d, struct vm *vm, const struct vpci_id *id)
{
    assert_cpu0();
    hv_assert(vm && id->pin <= 4);
    d->vm = vm;
    d->s.version = VPCI_STATE_VERSION;
    spin_init(&d->lock, LOCK_DEVICE);
    vpci_cfg_set(d, PCI_VENDOR_ID, 2, id->vendor);
    vpci_cfg_set(d, PCI_DEVICE_ID, 2, id->device);
    vpci_cfg_set(d, PCI_SUBSYS_VENDOR, 2, id->subsys_vendor);
    vpci_cfg_set(d, PCI_SUBSYS_ID, 2, id->subsys);
    vpci_cfg_set(d, PCI_CLASS, 3, id->class_code);
    d->s.cfg[PCI_REVISION] = id->revision;
    d->s.cfg[PCI_INT_PIN] = d->pin = id->pin;
    d->cap_free = HEADER_END;
    d->wmask[PCI_COMMAND] = PCI_CMD_MEM | PCI_CMD_MASTER;
    d->wmask[PCI_COMMAND + 1] = PCI_CMD_INTX_OFF >> 8;
    d->wmask[PCI_CACHE_LINE] = d->wmask[PCI_INT_LINE] = 0xff;
}

unsigned vpci_add_cap(struct vpci_dev *d, uint8_t id, const void *body, const void *wmask,
                      unsigned len)
{
    unsigned at = d->cap_free;

    assert_cpu0();
    hv_assert(at + 2 + len <= sizeof d->s.cfg);
    d->s.cfg[at] = id; /* nospec: at creation */
    memcpy(d->s.cfg + at + 2, body, len);
    if (wmask)
        memcpy(d->wmask + at + 2, wmask, len);
    d->s.cfg[d->cap_tail ? d->cap_tail + 1 : PCI_CAP_PTR] = (uint8_t)at;
    d->s.cfg[PCI_STATUS] |= PCI_STATUS_CAPS;
    d->cap_tail = (uint8_t)at;
    d->cap_free = (uint8_t)min_u64(align_up(at + 2 + len, 4), 0xff);
    return at;
}

int vpci_attach(struct vpci_dev *d)
{
    struct vpci *p = d->vm->pci;
    unsigned slot = 0;

    hv_assert(p);
    while (slot < VPCI_SLOTS && p->dev[slot])
        slot++;
    return slot == VPCI_SLOTS ? -ENOSPC : vpci_attach_at(d, slot);
}

int vpci_attach_at(struct vpci_dev *d, unsigned slot)
{
    struct vpci *p = d->vm->pci;
    unsigned line;
    int e;

    assert_cpu0();
    hv_assert(p && slot < VPCI_SLOTS);
    if (p->dev[slot])
        return -EEXIST;
    d->slot = (uint8_t)slot;
    e = vpci_bars_assign(p, d);
    if (e)
        return e;
    if (d->pin) {
        line = (slot + d->pin - 1u) & 3;
        d->s.cfg[PCI_INT_LINE] = p->layout.intx_line[line] ? p->layout.intx_line[line]
                                                           : (uint8_t)(p->layout.intx_gsi + line);
    }
    d->s.cfg[PCI_COMMAND] |= PCI_CMD_MEM | (d->wmask[PCI_COMMAND] & PCI_CMD_IO);
    p->dev[slot] = d;
    vpci_bars_sync(p);
    return 0;
}

const struct vpci_dev *vpci_at(const struct vm *vm, unsigned slot)
{
    assert_cpu0();
    hv_assert(vm->pci && slot < VPCI_SLOTS);
    return slot ? vm->pci->dev[slot] : NULL;
}

void vpci_detach(struct vpci_dev *d)
{
    struct vpci *p = d->vm ? d->vm->pci : NULL;

    assert_cpu0();
    if (!p || p->dev[d->slot] != d)
        return;
    if (d->pin)
        vpci_intx_take(d);
    vpci_bars_unmap(d);
    p->dev[d->slot] = NULL;
}

static __attribute__((noinline)) bool device_reads(struct vpci_dev *d, unsigned reg, unsigned size,
                                                   uint32_t *val)
{
    struct io_access a = { .addr = reg, .size = (uint8_t)size };
    bool done = d->cfg_access(d, &a);

    *val = (uint32_t)a.val;
    return done;
}

uint32_t vpci_cfg_read(struct vpci *p, struct vpci_dev *d, unsigned reg, unsigned size)
{
    uint32_t v;

    debug_assert(size == 1 || size == 2 || size == 4);
    debug_assert((reg & 3) + size <= 4);
    debug_assert_no_locks();
    if (d->cfg_access && device_reads(d, reg, size, &v))
        return v;
    if (reg >= sizeof d->s.cfg)
        return 0; /* no extended capabilities */
    reg = (unsigned)index_nospec(reg, sizeof d->s.cfg);
    spin_lock(&p->cfg_lock);
    v = vpci_cfg_get(d, reg, size);
    spin_unlock(&p->cfg_lock);
    if (reg <= PCI_STATUS && reg + size > PCI_STATUS &&
        __atomic_load_n(&d->s.intx, __ATOMIC_RELAXED))
        v |= (uint32_t)PCI_STATUS_INTX << (8 * (PCI_STATUS - reg));
    return v;
}

static bool vpci_overlaps(unsigned reg, unsigned size, unsigned lo, unsigned len)
{
    return reg < lo + len && reg + size > lo;
}

void vpci_cfg_write(struct vpci *p, struct vpci_dev *d, unsigned reg, unsigned size, uint32_t val)
{
    struct io_access a = { .addr = reg, .val = val, .size = (uint8_t)size, .write = true };
    bool command = vpci_overlaps(reg, size, PCI_COMMAND, 2);

    debug_assert(size == 1 || size == 2 || size == 4);
    debug_assert((reg & 3) + size <= 4);
    debug_assert_no_locks();
    if ((d->cfg_access && d->cfg_access(d, &a)) || reg >= sizeof d->s.cfg)
        return;
    reg = (unsigned)index_nospec(reg, sizeof d->s.cfg);
    spin_lock(&p->cfg_lock);
    for (unsigned i = 0; i < size; i++) {
        uint8_t m = d->wmask[reg + i], new = (uint8_t)(val >> (8 * i)) & m;

        vpci_cfg_set(d, reg + i, 1, (d->s.cfg[reg + i] & (uint8_t)~m) | new);
    }
    if (command || vpci_overlaps(reg, size, PCI_BAR0, 4 * VPCI_BARS))
        vpci_bars_sync(p);
    if (d == &p->bridge && vpci_overlaps(reg, size, PCIEXBAR, 8))
        vpci_ecam_sync(p);
    spin_unlock(&p->cfg_lock);
    if (command || (d->msix_cap && vpci_overlaps(reg, size, d->msix_cap + 2u, 2)))
        vpci_msix_control_changed(d);
    if ((command || reg >= HEADER_END) && d->command_changed)
        d->command_changed(d);
}

/*
 * addr: ECAM offset: bus 27:20, device 19:15, function 14:12, register 11:0. Absent functions read
 * all ones: that is how a guest looks for them.
 */
static int cfg_access(struct vpci *p, uint64_t addr, unsigned size, bool write, uint64_t *val)
{
    struct vpci_dev *d = addr >> 20 || (addr >> 12 & 7) ? NULL : p->dev[addr >> 15 & 31];
    unsigned reg = addr & 0xfff;

    if (!d || (reg & 3) + size > 4) {
        if (!write)
            *val = UINT64_MAX;
    } else if (write)
        vpci_cfg_write(p, d, reg, size, (uint32_t)*val);
    else
        *val = vpci_cfg_read(p, d, reg, size);
    return 0;
}

static int ecam_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    return cfg_access(dev, off, size, false, val);
}

static int ecam_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    return cfg_access(dev, off, size, true, &val);
}

/* CONFIG_ADDRESS as an ECAM offset; UINT64_MAX when it selects nothing. */
static uint64_t cf8_target(struct vpci *p)
{
    uint32_t a = __atomic_load_n(&p->cf8, __ATOMIC_RELAXED);

    return a & CF8_ENABLE ? (uint64_t)(a & 0xffff00) << 4 | (a & 0xfc) : UINT64_MAX;
}

static int cf8_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct vpci *p = dev;

    if (off == 0 && size == 4)
        *val = __atomic_load_n(&p->cf8, __ATOMIC_RELAXED);
    else if (off == CF9 && size == 1)
        *val = p->reset_control;
    else if (off >= CFC && cf8_target(p) != UINT64_MAX)
        return cfg_access(p, cf8_target(p) + (off - CFC), size, false, val);
    else
        *val = UINT64_MAX;
    return 0;
}

static int cf8_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct vpci *p = dev;

    if (off == 0 && size == 4)
        __atomic_store_n(&p->cf8, (uint32_t)val, __ATOMIC_RELAXED);
    else if (off == CF9 && size == 1) {
        p->reset_control = (uint8_t)(val & ~(uint64_t)RESET_CPU);
        if (val & RESET_CPU)
            vm_request_reset(p->vm, "port 0xcf9");
    } else if (off >= CFC && cf8_target(p) != UINT64_MAX) {
        return cfg_access(p, cf8_target(p) + (off - CFC), size, true, &val);
    }
    return 0;
}

static const struct io_ops ecam_ops = { ecam_read, ecam_write, 1 | 2 | 4 };
static const struct io_ops cf8_ops = { cf8_read, cf8_write, 1 | 2 | 4 };

static int map_ecam(struct vpci *p, uint64_t at)
{
    int e =
        io_register(p->vm, &(struct io_region){ "ecam", IO_MEM, at, VPCI_ECAM_LEN, &ecam_ops, p });

    p->ecam = e ? 0 : at;
    return e;
}

static void unmap_ecam(struct vpci *p)
{
    if (p->ecam)
        (void)!io_unregister(p->vm, IO_MEM, p->ecam);
    p->ecam = 0;
}

/* PCIEXBAR (§5.1.16): bits 38:26 by its length, which bits 2:1 say. 0: nowhere. */
static uint64_t ecam_wanted(const struct vpci *p)
{
    uint64_t bar = vpci_cfg_get(&p->bridge, PCIEXBAR, 4) |
                   (uint64_t)vpci_cfg_get(&p->bridge, PCIEXBAR + 4, 4) << 32;

    return bar & PCIEXBAR_ON ? bar & 0x7fffffffffull & ~((256 * MIB >> (bar >> 1 & 3)) - 1) : 0;
}

void vpci_ecam_sync(struct vpci *p)
{
    uint64_t want = p->layout.q35 ? ecam_wanted(p) : p->layout.ecam;

    if (want == p->ecam)
        return;
    unmap_ecam(p);
    if (want && map_ecam(p, want))
        vm_log(p->vm, LOG_WARN, "pci: configuration space at 0x%llx: the range is taken",
               (unsigned long long)want);
}

static int register_spaces(struct vpci *p)
{
    int e = map_ecam(p, p->layout.ecam);

    if (e || !p->layout.cf8)
        return e;
    return io_register(
        p->vm, &(struct io_region){ "pci-config", IO_PORT, CF8_PORT, CF8_LEN, &cf8_ops, p });
}

/* The identity of a generic PCI Express host bridge. */
static const struct vpci_id bridge_id = { .vendor = 0x1b36,
                                          .device = 0x0008,
                                          .subsys_vendor = 0x1af4,
                                          .subsys = 0x1100,
                                          .class_code = 0x060000 };

/* Q35's memory controller hub: Intel 3 Series Express Chipset Family data sheet §5.1. */
static const struct vpci_id q35_id = { .vendor = 0x8086,
                                       .device = 0x29c0,
                                       .subsys_vendor = 0x1af4,
                                       .subsys = 0x1100,
                                       .class_code = 0x060000 };

int vpci_create(struct vm *vm, const struct vpci_layout *l)
{
    struct vpci *p = vm_alloc(vm, sizeof *p);
    int e;

    assert_cpu0();
    hv_assert(!vm->pci);
    if (!p)
        return -ENOMEM;
    vm->pci = p;
    p->vm = vm;
    p->layout = *l;
    p->next32 = l->mmio32;
    p->next64 = l->mmio64;
    p->next_io = l->io;
    spin_init(&p->cfg_lock, LOCK_VM);
    spin_init(&p->intx_lock, LOCK_DEVICE);
    vpci_dev_init(&p->bridge, vm, l->q35 ? &q35_id : &bridge_id);
    if (l->q35) {
        memset(p->bridge.wmask + PCIEXBAR, 0xff, 8);
        vpci_cfg_set(&p->bridge, PCIEXBAR, 4, l->ecam | PCIEXBAR_ON);
    }
    e = vpci_attach(&p->bridge);
    if (!e)
        e = register_spaces(p);
    if (e)
        vpci_destroy(vm);
    return e;
}

void vpci_destroy(struct vm *vm)
{
    struct vpci *p = vm->pci;

    assert_cpu0();
    assert_parked(vm);
    if (!p)
        return;
    unmap_ecam(p);
    if (p->layout.cf8)
        (void)!io_unregister(vm, IO_PORT, CF8_PORT);
    vm->pci = NULL;
    vm_free(vm, p, sizeof *p);
}
