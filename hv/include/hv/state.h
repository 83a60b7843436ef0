/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VM is, as bytes: the state of its vCPUs, its devices and its engine. Each kind of object
 * has one `struct state_ops`; a VM's table is made of three lists: of every VM (hv/vm/state.c), of
 * the engine (vcpu_ops.state) and of the guest's ISA (guest_ops.state, which also names the virtio
 * devices and the PCI bus). The order of the table is the order of records in an image, and of all
 * calls; state_resume() goes through it in the same order.
 *
 * What is saved are plain structs without pointers or implicit padding, each asserted in size, with
 * a version of its own. Memory (RAM, disks) is not part of it: see hv/vm/save.c.
 *
 * All calls: CPU 0, the VM is paused (all vCPUs parked, none loaded), or is a machine that was just
 * built and has not run. CPU 0 is in the VM's view (gmem_enter).
 *
 *   quiesce -> save ... -> resume       a VM that goes on after it
 *   quiesce                  resume     a VM that is paused
 *   (built)    restore       resume     a VM that was made for it
 *
 * An image may come from anywhere: restore() believes nothing that it is given. Whatever the bytes
 * are, Trivet must stay whole; the guest may find itself with a state that kills it.
 */
#pragma once
#include <hv/types.h>
struct vm;

/* Numbers are for ever: a new layout of a kind gets a new version, not a new number. */
enum state_kind {
    STATE_VM = 1,  /* clock */
    STATE_VCPU,    /* general registers, event, requests */
    STATE_SYSREGS, /* vcpu_ops.sysregs */
    STATE_FPU,     /* vcpu_ops.get_fpu_regs */
    STATE_ENGINE,  /* what an engine has beyond those; of its own layout */
    STATE_RAM,     /* pages */
    /* of machines with PCI, every ISA */
    STATE_VPCI = 0x80,
    STATE_VPCI_DEV,
    STATE_VIRTIO,
    STATE_RAMDISK,
    STATE_CFI_FLASH,
    STATE_FW_CFG,
    STATE_UEFI_VARS, /* pages */
    STATE_RAMFB,
    STATE_PVPANIC,
    /* x86 */
    STATE_X86_MACHINE = 0x100,
    STATE_X86_CPU,
    STATE_LAPIC,
    STATE_X86_INTC, /* IOAPIC, PIC, shared lines */
    STATE_PIT,
    STATE_RTC,
    STATE_PM,
    STATE_UART,
    STATE_KBC,
    STATE_HPET,
    STATE_X86_WATCHDOG,
    /* ARM64 */
    STATE_ARM_MACHINE = 0x200,
    STATE_ARM_CPU,
    STATE_VGIC,
    STATE_PL011,
    STATE_PL031,
    STATE_PL061,
    /* riscv64 */
    STATE_RV_HART = 0x300,
    STATE_RV_MACHINE, /* PLIC, ACLINT, UART, SBI */
};

/*
 * One kind of object. `i` is its number among those of its kind, below count(); a vCPU's id for
 * what each vCPU has.
 */
struct state_ops {
    const char *name; /* for people: in messages and in the table of sizes */
    uint32_t kind;    /* enum state_kind */
    uint16_t version; /* of the layout */
    /* how many there are in this VM; NULL: one */
    uint32_t (*count)(const struct vm *);
    /*
     * It stands still until resume(): timers are held, no event of it does anything, nothing of it
     * touches guest memory. Does nothing when done twice. 0, or -EINPROGRESS: not yet;
     * vm->lifecycle is posted when it is worth asking again. NULL: only a running vCPU makes it
     * move.
     */
    int (*quiesce)(struct vm *, uint32_t i);
    /*
     * Bytes that save() writes, the same until the machine is destroyed; 0: there is nothing to
     * save (no record). A machine built from the same configuration has the same sizes.
     */
    size_t (*size)(const struct vm *, uint32_t i);
    /* buf is zeroed, of size() bytes, and aligned to 8. 0, or -Exxx: it cannot be saved. */
    int (*save)(struct vm *, uint32_t i, void *buf);
    /*
     * buf has size() bytes, is aligned to 8 and constant during the call. 0, or -EINVAL: this
     * cannot be the state of such an object, and nothing that others rely on was changed; -ENOMEM.
     * All lengths, ranges and reserved bits are checked. Guest memory holds its contents; only
     * resume() may write to it.
     */
    int (*restore)(struct vm *, uint32_t i, const void *buf);
    /* it moves again: timers are armed, events posted, from its state and the guest's clock */
    void (*resume)(struct vm *, uint32_t i);
};
/* A list that ends with NULL. */
typedef const struct state_ops *const state_table[];

/*
 * Memory that goes with the state: RAM, and changed pieces of RAM disks, as pages of 4 KiB by
 * number. The same rules: CPU 0, the VM stands still, its view is entered. Pages are put before the
 * state is restored.
 */
struct state_pages {
    const char *name;
    uint32_t kind; /* enum state_kind */
    /* pages of a machine that was just built hold zeros: such pages are left out */
    bool fresh_is_zero;
    uint32_t (*count)(const struct vm *); /* NULL: one */
    /* The first page from *page on that there is, and its contents; NULL: there is no more. */
    const void *(*next)(struct vm *, uint32_t i, uint64_t *page);
    /* 0; -EINVAL: there is no such page; -ENOSPC: beyond the guest's limit. */
    int (*put)(struct vm *, uint32_t i, uint64_t page, const void *from);
};

/*
 * An image: this head, then the records, each of them at a multiple of 8 bytes. Little-endian, as
 * all hosts of Trivet are.
 */
#define STATE_MAGIC 0x3145544154535654ull /* "TVSTATE1" */
#define STATE_IMAGE_VERSION 1
struct state_image {
    uint64_t magic;
    uint32_t version, isa; /* enum isa */
    uint64_t len;          /* of all of it */
    uint32_t records, vcpus;
};
static_assert(sizeof(struct state_image) == 32, "layout of images");
struct state_record {
    uint32_t kind;
    uint16_t version, instance;
    uint32_t len; /* bytes that follow; then zeros to a multiple of 8 */
    uint32_t zero;
};
static_assert(sizeof(struct state_record) == 16, "layout of images");
/* of one record; a larger one is refused */
#define STATE_RECORD_MAX (4 * MIB)

/* The VM's clock. */
struct state_vm {
    uint64_t time_ns; /* guest time at which it stood still */
};
static_assert(sizeof(struct state_vm) == 8, "layout of images");
/* One vCPU, whatever engine ran it. */
struct state_vcpu {
    uint64_t gpr[32], pc, sp, flags;
    uint32_t mp;       /* enum mp_state */
    uint32_t requests; /* of enum vcpu_req: REQ_NMI, REQ_NMI_NEXT, REQ_GUEST */
    uint8_t event_type, event_vector, event_has_error, event_insn_len;
    uint32_t event_error;
};
static_assert(sizeof(struct state_vcpu) == 296, "layout of images");
/* STATE_SYSREGS: one for each entry of vcpu_ops.sysregs, in that order. */
struct state_sysreg {
    uint32_t id;
    uint32_t there; /* 0: this machine has no such register; else 1 */
    uint64_t val;
};
static_assert(sizeof(struct state_sysreg) == 16, "layout of images");

/* CPU 0, the VM is parked. All objects stand still. 0, or -EINPROGRESS as above. */
int must_check state_quiesce(struct vm *);
void state_resume(struct vm *); /* they go on */
/* Bytes of an image of this VM. */
size_t must_check state_size(struct vm *);
/* len == state_size(), else -EINVAL. 0, or an object's error; vm->why says which. */
int must_check state_save(struct vm *, void *buf, size_t len);
/* 0; -EINVAL, -ENOMEM: vm->why says what is wrong; the VM must not run, only be destroyed. */
int must_check state_restore(struct vm *, const void *buf, size_t len);
/*
 * Calls fn for each object of the VM's table, in order, until it returns something else than 0,
 * which is then the result.
 */
int must_check state_each(const struct vm *,
                          int (*fn)(const struct state_ops *, uint32_t i, void *ctx), void *ctx);

/* ---- for objects' restore() ---- */
/* All bytes are 0: of padding and reserved fields. */
bool must_check state_all_zero(const void *, size_t);
/* A field of 1 to 8 bytes, an unsigned number, is at most `max`. Padding has a max of 0. */
struct state_limit {
    uint16_t off;
    uint8_t size;
    uint64_t max;
};
#define STATE_LIMIT(type, field, most)                                                  \
    {                                                                                   \
        .off = offsetof(type, field), .size = sizeof(((type *)0)->field), .max = (most) \
    }
bool must_check state_within(const void *, const struct state_limit *, unsigned n);
