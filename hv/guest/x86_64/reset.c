/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reset.c: resets of a PC's processors by the keyboard controller, port 92h, a triple fault or
 * INIT. They leave memory and devices as they are; the BIOS then looks at the shutdown code in CMOS
 * 0Fh and may go on at the far pointer in 40:67 (IBM PC/AT Technical Reference, "Shutdown"). With
 * any other code there is firmware's work to do, which is to start the machine from its beginning.
 */
#include <hv/assert.h>
#include <hv/vm.h>
#include "x86.h"
#include "x86_dev.h"
#include "x86_devices.h"

#define CMOS_SHUTDOWN 0x0f
#define WARM_VECTOR 0x467 /* offset, segment */
enum { SHUTDOWN_JUMP_EOI = 5, SHUTDOWN_JUMP = 0xa };

static struct x86_devices *devices_of(const struct vm *vm)
{
    return vm->vintc != NULL ? x86_devices_of(vm) : NULL;
}

static bool jumps(uint8_t code) { return code == SHUTDOWN_JUMP_EOI || code == SHUTDOWN_JUMP; }

static uint8_t shutdown_code(struct x86_devices *d, bool take)
{
    uint8_t code;

    spin_lock(&d->rtc.lock);
    code = d->rtc.s.cmos[CMOS_SHUTDOWN];
    if (take && jumps(code))
        d->rtc.s.cmos[CMOS_SHUTDOWN] = 0;
    spin_unlock(&d->rtc.lock);
    return code;
}

void x86_processor_reset(struct vm *vm, const char *why)
{
    struct x86_devices *d = devices_of(vm);

    if (d != NULL && jumps(shutdown_code(d, false)))
        apic_init_all(vm->vintc);
    else
        vm_request_reset(vm, why);
}

/* What was in service at the PICs is not when the guest goes on; both chips, lowest level first. */
static void end_of_interrupt(struct vm *vm)
{
    static const uint16_t ports[] = { PORT_PIC2, PORT_PIC1 };

    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
        struct io_access eoi = { .addr = ports[i], .size = 1, .write = true, .val = 0x20 };

        (void)!io_dispatch(vm, IO_PORT, &eoi);
    }
}

bool x86_warm_start(struct vcpu *v, uint16_t *segment, uint16_t *offset)
{
    struct x86_devices *d = devices_of(v->vm);
    uint16_t vector[2];
    uint8_t code;

    assert_own_cpu(v);
    if (d == NULL || !jumps(code = shutdown_code(d, true)) ||
        gmem_read(v->vm, gpa(WARM_VECTOR), vector, sizeof vector) != 0)
        return false;
    if (code == SHUTDOWN_JUMP_EOI)
        end_of_interrupt(v->vm);
    *offset = vector[0];
    *segment = vector[1];
    return true;
}
