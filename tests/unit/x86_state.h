/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine of x86_fakes.h with all that <hv/state.h> knows of it, in a state in which as much as
 * possible is under way. Included once, by a test or a fuzzer of saved states.
 */
#pragma once
#include <hv/state.h>

#include "tests/unit/x86_fakes.h"

#define IMAGE_MAX 8192
static struct x86_vcpu state_x86[FAKE_VCPUS];

static const struct guest_ops state_guest = { .isa = ISA_X86_64,
                                              .vintc = &x86_vintc,
                                              .state = x86_state_table };

/* A fresh machine. */
static void state_start(unsigned vcpus)
{
    memset(&fake_machine, 0, sizeof fake_machine);
    fake_start(vcpus);
    fake_vm.guest_ops = &state_guest;
    fake_machine.tsc_offset = 0 - host_now;
    fake_machine.wall_s = x86_wall_s(&fake_vm);
    for (unsigned i = 0; i < vcpus; i++) {
        state_x86[i] = (struct x86_vcpu){ .engine = x86_engine_of(&fake_vcpu[i]) };
        fake_vcpu[i].guest = &state_x86[i];
        x86_msr_reset(&state_x86[i].s);
    }
}

static void state_timers(void)
{
    outb(0x43, 0x34); /* channel 0: mode 2, 10 ms */
    outb(0x40, 11932 & 0xff);
    outb(0x40, 11932 >> 8);
    outb(0x43, 0xb6); /* channel 2: mode 3, half written */
    outb(0x42, 0x11);
    outb(0x61, 3);
    outb(0x43, 0x80); /* its count latched */
    outb(0x70, 0x0a); /* RTC: 1024 Hz */
    outb(0x71, 0x26);
    outb(0x70, 0x0b);
    outb(0x71, 0x42);
    mem_write(PLAT_HPET + 0x100, 20 << 9 | 0x14e); /* HPET: periodic, level, 5 ms */
    mem_write(PLAT_HPET + 0x108, 500000);
    mem_write(PLAT_HPET + 0x140, 1 << 8); /* a 32-bit one, that interrupts nobody */
    mem_write(PLAT_HPET + 0x148, 77);
    mem_write(PLAT_HPET + 0x10, 1);
    (void)fake_io(IO_PORT, 0x602, 2, true, 0x101); /* PM: timer and button */
    (void)x86_power_button(&fake_vm);
}

static void state_ports(void)
{
    outb(0x3fa, 0xc7); /* UART: FIFO, interrupts, three bytes of which one is read */
    outb(0x3f9, 0x0f);
    memcpy(fake_in, "abc", fake_in_len = 3);
    event_post(fake_listener);
    event_run();
    (void)inb(0x3f8);
    outb(0x64, 0xd1); /* keyboard controller: waits for a byte; answers another */
    outb(0x64, 0x20);
    outb(0x20, 0x11); /* PIC: in the middle of its initialization */
    outb(0x21, 0x30);
    outb(0xa1, 0xfe);
}

/* Vectors in service and requested, a timer that runs, an error, an INIT that was not taken. */
static void state_apic(unsigned v)
{
    apic_write(v, APIC_SVR, 0x1ff);
    apic_write(v, APIC_TPR, 0x20);
    apic_write(v, APIC_LVT + LVT_ERROR, 0x31);
    apic_write(v, APIC_TDCR, 3);
    apic_write(v, APIC_LVT, 0x20044);
    apic_write(v, APIC_TMICT, 1000000);
    (void)virq_msi(&fake_vm, 0, PLAT_MSI | v << 12, 0x71);
    (void)take(v);
    (void)virq_msi(&fake_vm, 0, PLAT_MSI | v << 12, 0x72);
    (void)virq_msi(&fake_vm, 0, PLAT_MSI | v << 12, 0xc5);
    (void)virq_msi(&fake_vm, 0, PLAT_MSI | v << 12, 0x08);
}

static void state_msrs(unsigned v)
{
    struct x86_state *s = &state_x86[v].s;

    s->tsc_adjust = 12345 + v;
    s->mtrr_var[0] = 0x80000006;
    s->mcg_status = 3;
    s->kvm_steal_time = 0x1001;
    fake_vcpu[v].sched.steal_ns = 777;
    state_x86[v].clock_requests = X86_KICKED;
    fake_vcpu[v].regs.pc = 0x1000 + v;
    fake_vcpu[v].regs.flags = 0x202;
    fake_vcpu[v].mp = v ? MP_WAIT_SIPI : MP_HALTED;
    fake_vcpu[v].event = (struct vcpu_event){ VEV_EXCEPTION, 14, true, 0, 4 };
}

/* Much has happened, and time has passed: then all stands still. */
static void state_busy(void)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        mem_write(PLAT_IOAPIC, 0x10 + 2 * pin);
        mem_write(PLAT_IOAPIC + 0x10, 0x80 + pin + (pin >= 9 ? 0x8000 : 0));
    }
    state_timers();
    state_ports();
    for (unsigned v = 0; v < fake_vm.nvcpus; v++) {
        state_apic(v);
        state_msrs(v);
    }
    virq_set(&fake_vm, 17, true);
    virq_set(&fake_vm, 17, true);
    (void)lapic_set_pv_eoi(&fake_vcpu[0], 0x101);
    advance(1234567);
    if (state_quiesce(&fake_vm))
        abort();
}

static size_t state_take(void *buf)
{
    size_t len = state_size(&fake_vm);

    if (len > IMAGE_MAX || state_save(&fake_vm, buf, len))
        abort();
    return len;
}
