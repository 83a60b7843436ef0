/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's GICv2: banked registers, targets, SGIs with their sources, the MSI frame, GICV. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/vgic_fakes.h"

#define V2M(off) (PLAT_V2M + (off))
#define FROM(src, id) ((uint32_t)(src) << 10 | (id))

static int start(void **state)
{
    (void)state;
    fake_start(2, 4);
    for (unsigned v = 0; v < 4; v++)
        fake_cpu[v].vmcr = 0xf8000001;
    wr(GICD(0), 1);
    for (unsigned v = 0; v < 4; v++) {
        on(v);
        wr(GICD(0x100), 0xffff);
    }
    on(0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_stop();
    return 0;
}

static void test_registers(void **state)
{
    uint64_t val = 0;

    (void)state;
    assert_int_equal(rd(GICD(0)), 1);
    wr(GICD(0), 3);
    assert_int_equal(rd(GICD(0)), 1);
    assert_int_equal(rd(GICD(4)), 3 | 3 << 5);
    assert_int_equal(rd(GICD(0xfe8)) >> 4 & 15, 2);
    assert_int_equal(rd(GICD(8)) & 0xfff, 0x43b);
    wr(GICD(0x80), ~0u);
    assert_int_equal(rd(GICD(0x80)), 0); /* no groups */
    on(1);
    wr(GICD(0x100), 1u << 30);
    wr8(GICD(0x41e), 0x4f);
    assert_int_equal(rd(GICD(0x100)), 1u << 30 | 0xffff);
    assert_int_equal(rd8(GICD(0x41e)), 0x48);
    on(0);
    assert_int_equal(rd(GICD(0x100)), 0xffff); /* banked */
    assert_int_equal(rd8(GICD(0x41e)), 0);
    assert_int_equal(rd(GICD(0x800)), 0x01010101);
    on(2);
    assert_int_equal(rd(GICD(0x81c)), 0x04040404);
    wr(GICD(0x81c), ~0u);
    assert_int_equal(rd(GICD(0x81c)), 0x04040404);
    wr(GICD(0x820), 0xff040201);
    assert_int_equal(rd(GICD(0x820)), 0x0f040201);
    assert_int_equal(rd8(GICD(0x823)), 0x0f);
    wr(GICD(0xc00), 0);
    assert_int_equal(rd(GICD(0xc00)), 0xaaaaaaaa);
    assert_int_equal(rd(GICD(0xc04)), 0);
    wr(GICD(0xc08), 0x8);
    assert_int_equal(rd(GICD(0xc08)), 0x8);
    assert_int_equal(fake_slot.base.v, PLAT_GICC);
    assert_int_equal(fake_slot.host.v, 0x108030000);
    assert_int_equal(fake_slot.kind, MEMSLOT_MMIO);
    assert_int_equal(vgic_sysreg(&fake_vcpu[0], ARM_ICC_SRE_EL1, false, &val), -ENOENT);
    assert_int_equal(vgic_sysreg(&fake_vcpu[0], ARM_ICC_SGI1R_EL1, true, &val), -ENOENT);
    assert_int_equal(vgic_sysreg(&fake_vcpu[0], ARM_CNTPCT_EL0, false, &val), 0);
}

static void test_spi(void **state)
{
    (void)state;
    wr(GICD(0x104), 2);
    wr8(GICD(0x821), 4);
    virq_set(&fake_vm, 33, true);
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(ack(2), 33);
    assert_false(cpu_of(2)->gic.lr[0] & ARM_LR_GROUP1);
    virq_set(&fake_vm, 33, false);
    eoi(2, 33);
    virq_set(&fake_vm, 33, true);
    on(0);
    wr8(GICD(0x821), 0); /* nobody */
    assert_int_equal(take(2), SPURIOUS);
    wr8(GICD(0x821), 0xa); /* one of several: the first */
    assert_int_equal(take(3), SPURIOUS);
    assert_int_equal(ack(1), 33);
    virq_set(&fake_vm, 33, false);
    eoi(1, 33);
    wr(GICD(0), 0);
    virq_set(&fake_vm, 33, true);
    assert_int_equal(take(1), SPURIOUS);
    wr(GICD(0), 1);
    assert_true(attend(1));
    assert_true(wakes(1));
}

static void sgir(unsigned from, uint32_t val)
{
    on(from);
    wr(GICD(0xf00), val);
}

static void test_sgi(void **state)
{
    (void)state;
    sgir(0, 0x000e0005);
    for (unsigned v = 1; v < 4; v++)
        assert_int_equal(take(v), FROM(0, 5));
    sgir(2, 0x01000003); /* all others */
    assert_int_equal(take(2), SPURIOUS);
    assert_int_equal(take(0), FROM(2, 3));
    assert_int_equal(take(1), FROM(2, 3));
    assert_int_equal(take(3), FROM(2, 3));
    sgir(3, 0x02000004);
    assert_int_equal(take(3), FROM(3, 4));
    sgir(0, 0x03ff0004); /* reserved filter */
    sgir(0, 0x00f00004); /* CPUs 4..7: none */
    for (unsigned v = 0; v < 4; v++)
        assert_int_equal(take(v), SPURIOUS);
    for (unsigned from = 0; from < 4; from++) /* each source counts for itself */
        sgir(from, 0x00020007);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(take(1), FROM(n, 7));
    assert_int_equal(take(1), SPURIOUS);
    sgir(0, 0x00020007);
    assert_int_equal(ack(1), FROM(0, 7));
    sgir(3, 0x00020007);
    assert_int_equal(ack(1), SPURIOUS);
    assert_true(cpu_of(1)->gic.lr[0] & ARM_LR_EOI); /* else nobody would give it the second */
    eoi(1, FROM(0, 7));
    assert_int_equal(take(1), FROM(3, 7));
}

static void test_sgi_pending(void **state)
{
    (void)state;
    sgir(0, 0x00020007);
    sgir(2, 0x00020007);
    on(1);
    assert_int_equal(rd(GICD(0xf14)), 0x05000000);
    assert_int_equal(rd(GICD(0x200)), 1u << 7);
    wr(GICD(0x280), 1u << 7); /* no effect on SGIs */
    wr8(GICD(0xf17), 1);
    assert_int_equal(rd8(GICD(0xf27)), 4);
    (void)attend(1);
    assert_int_equal(rd8(GICD(0xf27)), 4); /* also from the list register */
    wr8(GICD(0xf27), 2);
    assert_int_equal(rd8(GICD(0xf17)), 6);
    wr8(GICD(0xf17), 4);
    assert_int_equal(take(1), FROM(1, 7));
    assert_int_equal(take(1), SPURIOUS);
    wr8(GICD(0xf23), 8);
    assert_int_equal(take(1), FROM(3, 3));
    on(1);
    wr(GICD(0x200), 0xffff);
    assert_int_equal(take(1), SPURIOUS);
    wr(GICD(0x180), 1u << 7); /* disabled: waits */
    sgir(0, 0x00020007);
    assert_int_equal(take(1), SPURIOUS);
    on(1);
    wr(GICD(0x100), 1u << 7);
    assert_int_equal(take(1), FROM(0, 7));
}

static void test_v2m(void **state)
{
    (void)state;
    assert_int_equal(rd(V2M(8)), 64 << 16 | 64);
    wr(GICD(0xc10), ~0u);
    wr(GICD(0x108), 3);
    wr8(GICD(0x841), 2);
    assert_int_equal(virq_msi(&fake_vm, 8, V2M(0x40), 64), 0);
    assert_int_equal(take(0), 64);
    assert_int_equal(take(0), SPURIOUS);
    assert_int_equal(virq_msi(&fake_vm, 8, V2M(0x40), 65), 0);
    assert_int_equal(take(1), 65);
    assert_int_equal(virq_msi(&fake_vm, 8, V2M(0x40), 63), -EINVAL);
    assert_int_equal(virq_msi(&fake_vm, 8, V2M(0x40), 128), -EINVAL);
    assert_int_equal(virq_msi(&fake_vm, 8, V2M(0x44), 64), -ENOENT);
    wr(V2M(0x40), 64);
    assert_int_equal(take(0), 64);
    wr(V2M(0x40), 200);
    assert_int_equal(rd(V2M(0x40)), 0);
}

static void test_bad_layouts(void **state)
{
    struct vgic_layout l = { .version = 4, .nr_spis = 32 };

    (void)state;
    assert_int_equal(vgic_create(&fake_vm, &l), -EINVAL);
    l.version = 2;
    l.nr_spis = 1000;
    assert_int_equal(vgic_create(&fake_vm, &l), -EINVAL);
    assert_int_equal(vgic_host_version(&fake_vm), 2);
    fake_stop();
    fake_start(3, 9);
    l.nr_spis = 32;
    assert_int_equal(vgic_create(&fake_vm, &l), -EINVAL); /* 9 vCPUs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_registers, start, stop),
        cmocka_unit_test_setup_teardown(test_spi, start, stop),
        cmocka_unit_test_setup_teardown(test_sgi, start, stop),
        cmocka_unit_test_setup_teardown(test_sgi_pending, start, stop),
        cmocka_unit_test_setup_teardown(test_v2m, start, stop),
        cmocka_unit_test_setup_teardown(test_bad_layouts, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
