/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions of the machine on a guest's PCI bus. hv/pci/passthrough.c is what the guest sees of
 * one; hv/passthrough.c is the machine's side, which knows drivers and IOMMUs. They meet in struct
 * passthrough_ops. Everything on CPU 0, but where another context is named.
 */
#pragma once
#include <hv/host_pci.h>
#include <hv/types.h>
struct event;
struct guest_config;
struct vm;

/* How a function interrupts: as its guest has chosen. */
enum passthrough_mode { PASSTHROUGH_LINE, PASSTHROUGH_MSI, PASSTHROUGH_MSIX };
/* A function that a guest has; of the machine's side. */
struct passthrough_fn;
struct passthrough_ops {
    /*
     * The function of the guest's n-th line `passthrough`, reset, attached to the guest's memory,
     * no bus master, memory decoding on. NULL: *err, and why[size] in words.
     */
    struct passthrough_fn *(*open)(struct vm *, const struct guest_config *, unsigned n, int *err,
                                   char *why, size_t size);
    /* Its address, "0000:03:00.0", for people. */
    const char *(*name)(const struct passthrough_fn *);
    /* Any CPU: configuration space; a virtual function's header as its physical one would have it
     */
    uint32_t (*read)(struct passthrough_fn *, uint32_t off, unsigned size);
    /* Offset of the n-th capability with that id; 0: there is none. */
    uint32_t (*cap)(struct passthrough_fn *, uint8_t id, unsigned n);
    /* Of memory or of ports. -ENOENT: there is none, or none that can be believed. */
    int (*bar)(struct passthrough_fn *, unsigned i, struct host_pci_bar *);
    /* Any CPU, a DEVICE lock may be held: it masters the bus, or not any more */
    void (*master)(struct passthrough_fn *, bool on);
    /*
     * [off, off+len) of BAR i is reached by the next two from here on, and nothing else of it; once
     * for each BAR. -EINVAL: it is not in it, or another was asked for before. -ENOMEM.
     */
    int (*map)(struct passthrough_fn *, unsigned i, uint64_t off, uint64_t len);
    /* Any CPU: a register of 1, 2 or 4 bytes */
    uint32_t (*mmio_read)(struct passthrough_fn *, unsigned i, uint64_t off, unsigned size);
    void (*mmio_write)(struct passthrough_fn *, unsigned i, uint64_t off, unsigned size, uint32_t);
    /*
     * Interrupt n (MSI-X, or MSI's only one) posts `ev` on CPU 0 from here on, until reset(). n
     * below VPCI_MSIX_MAX. -ENOTSUP: it has none, or this machine takes no messages.
     */
    int (*irq)(struct passthrough_fn *, unsigned n, struct event *ev);
    /* CPU 0: what irq() made comes no more, or again: once, if it came meanwhile, or not */
    void (*mask)(struct passthrough_fn *, unsigned n, bool on);
    /*
     * Any CPU, a DEVICE lock held, not at the same time as mask(), and after all irq(): by which of
     * them it interrupts. By line: none is posted, and its INTx stays disabled: line() tells.
     */
    void (*mode)(struct passthrough_fn *, enum passthrough_mode);
    /* Its INTx can be held back, and line() tells of it: PCI Local Bus Specification 2.3 on. */
    bool (*has_line)(struct passthrough_fn *);
    /* Any CPU: it would hold its INTx now */
    bool (*line)(struct passthrough_fn *);
    /*
     * No vCPU runs: it is stopped and reset; no event is posted any more. -EINPROGRESS: not yet;
     * `then` is posted, to call this again. 0: it is idle.
     */
    int (*reset)(struct passthrough_fn *, struct event *then);
    /* After reset() was 0: blocked. The guest's memory may be freed then. */
    void (*close)(struct passthrough_fn *);
};
/* Set before the first guest is made; NULL: nothing is passed through. */
extern const struct passthrough_ops *passthrough_ops;

/* ---- for hv/vio/build.c: in its order and contexts ---- */
/*
 * CPU 0. Puts the guest's functions on its bus. -ENOTSUP: nothing can be passed through; -ENOMEM;
 * -EINVAL, -EEXIST: a BAR has no place; or the errors of passthrough_ops, with vm->why.
 */
int must_check passthrough_build(struct vm *, const struct guest_config *);
/* CPU 0, the VM is parked. -EINPROGRESS: vm->lifecycle will be posted, to call this again. */
int must_check passthrough_quiesce(struct vm *);
/* quiesced; harmless when there are none */
void passthrough_destroy(struct vm *);

/* ---- for hv/main.c: hv/passthrough.c ---- */
/* Before the drivers: what trivet.conf gives to guests is kept; dma_defer() as it says. */
void passthrough_keep(const char *text, size_t len);
/*
 * Before the first guest: functions that are kept are reset, for the first time. Waits for that:
 * 300 ms in general, all of them together; 1.5 s for one that does not come back.
 */
void passthrough_init(void);
