/* SPDX-License-Identifier: BSD-2-Clause */
/* pvpanic.c: see <hv/pvpanic.h>. */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/notice.h>
#include <hv/pci.h>
#include <hv/pvpanic.h>
#include <hv/state.h>
#include <hv/vm.h>
#include <stdio.h>
#include <string.h>

#define PVPANIC_VERSION 1
#define BAR_LEN 16 /* the least that vpci gives; one byte answers */

struct pvpanic {
    struct vpci_dev pci;
};

struct pvpanic_state {
    uint32_t version;
    uint32_t told; /* enum pvpanic_event */
};
static_assert(sizeof(struct pvpanic_state) == 8, "layout of images");

/* A kernel that dumps itself goes on; one that panicked does not. */
static void tell_crash_loaded(struct vm *vm)
{
    static const char what[] = "its kernel crashed and dumps itself";

    spin_lock(&vm->lock);
    if (!vm->pending)
        snprintf(vm->why, sizeof vm->why, "%s", what);
    spin_unlock(&vm->lock);
    vm_log(vm, LOG_WARN, "%s", what);
    notice_post(NOTICE_GUEST_PANIC, vm->config->name, "crash_loaded", what);
}

void pvpanic_tell(struct vm *vm, uint64_t val)
{
    uint8_t events = (uint8_t)(val & PVPANIC_EVENTS);
    uint8_t told = __atomic_fetch_or(&vm->panic_told, events, __ATOMIC_RELAXED);

    events &= (uint8_t)~told;
    if ((events & PVPANIC_PANICKED) != 0) {
        notice_post(NOTICE_GUEST_PANIC, vm->config->name, "panicked", "its kernel panicked");
        vm_kill(vm, "its kernel panicked");
    } else if (events != 0) {
        tell_crash_loaded(vm);
    }
}

static int pvpanic_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    (void)dev;
    (void)size;
    *val = off == 0 ? PVPANIC_EVENTS : 0;
    return 0;
}

static int pvpanic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pvpanic *p = dev;

    (void)size;
    if (off == 0)
        pvpanic_tell(p->pci.vm, val);
    return 0;
}

int pvpanic_create(struct vm *vm)
{
    static const struct io_ops ops = { pvpanic_read, pvpanic_write, 1 };
    static const struct vpci_id id = { .vendor = 0x1b36,
                                       .device = 0x0011,
                                       .subsys_vendor = 0x1af4,
                                       .subsys = 0x1100,
                                       .class_code = 0x088000,
                                       .revision = 1 };
    struct pvpanic *p = vm_alloc(vm, sizeof *p);
    int err;

    assert_cpu0();
    hv_assert(!vm->pvpanic);
    if (!p)
        return -ENOMEM;
    __atomic_store_n(&vm->panic_told, 0, __ATOMIC_RELAXED);
    vpci_dev_init(&p->pci, vm, &id);
    vpci_add_bar(&p->pci, 0, BAR_LEN, false);
    vpci_add_region(
        &p->pci, 0,
        &(struct vpci_region){ .name = "pvpanic", .len = BAR_LEN, .ops = &ops, .dev = p });
    err = vpci_attach_at(&p->pci, PVPANIC_SLOT);
    if (err == 0) {
        vm->pvpanic = p;
        return 0;
    }
    vm_free(vm, p, sizeof *p);
    if (err != -EEXIST && err != -ENOSPC)
        return err;
    vm_log(vm, LOG_INFO, "no pvpanic: there is no room for it on the PCI bus");
    return 0;
}

void pvpanic_destroy(struct vm *vm)
{
    assert_cpu0();
    if (!vm->pvpanic)
        return;
    vpci_detach(&vm->pvpanic->pci);
    vm_free(vm, vm->pvpanic, sizeof *vm->pvpanic);
    vm->pvpanic = NULL;
}

/* ---- <hv/state.h>; the function's configuration space is with those of the bus ---- */

static size_t pvpanic_size(const struct vm *vm, uint32_t i)
{
    (void)i;
    return vm->pvpanic ? sizeof(struct pvpanic_state) : 0;
}

static int pvpanic_save(struct vm *vm, uint32_t i, void *buf)
{
    struct pvpanic_state s = { PVPANIC_VERSION,
                               __atomic_load_n(&vm->panic_told, __ATOMIC_RELAXED) };

    (void)i;
    memcpy(buf, &s, sizeof s);
    return 0;
}

static int pvpanic_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct pvpanic_state *s = buf;

    (void)i;
    if (s->version != PVPANIC_VERSION || s->told > PVPANIC_EVENTS)
        return -EINVAL;
    __atomic_store_n(&vm->panic_told, (uint8_t)s->told, __ATOMIC_RELAXED);
    return 0;
}

const struct state_ops pvpanic_state_ops = { .name = "pvpanic",
                                             .kind = STATE_PVPANIC,
                                             .version = PVPANIC_VERSION,
                                             .size = pvpanic_size,
                                             .save = pvpanic_save,
                                             .restore = pvpanic_restore };
