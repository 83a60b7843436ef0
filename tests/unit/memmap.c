/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaving the firmware, which the test plays: its map grows between two calls, and after the first
 * ExitBootServices it bears nothing but memory services (UEFI 2.10 section 7.4.6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "boot/loader.h"

#include <cmocka.h> /* its fail() is a macro */

#define STRIDE 48u
EFI_BOOT_SERVICES *BS;
EFI_RUNTIME_SERVICES *RT;
const uint64_t direct_limit = 1ull << 40;
static unsigned entries, grows_by, refusals, resets;
static UINTN key;
static _Alignas(16) char pool[8 << 20];
static uint64_t used;
static jmp_buf was_reset;

uint64_t alloc_pages(uint64_t bytes, uint64_t max)
{
    (void)max;
    entries++;
    key++;
    used += (bytes + 15) & ~15ull;
    return used <= sizeof pool ? (uint64_t)(pool + used - ((bytes + 15) & ~15ull)) : 0;
}

static EFI_STATUS EFIAPI get_map(UINTN *size, EFI_MEMORY_DESCRIPTOR *to, UINTN *k, UINTN *stride,
                                 UINT32 *version)
{
    UINTN need = entries * STRIDE, room = *size;

    *size = need, *k = key, *stride = STRIDE, *version = 1;
    if (room < need)
        return EFI_BUFFER_TOO_SMALL;
    for (unsigned i = 0; i < entries; i++) {
        EFI_MEMORY_DESCRIPTOR *d = (void *)((char *)to + i * STRIDE);

        *d =
            (EFI_MEMORY_DESCRIPTOR){ .Type = i & 1 ? EfiConventionalMemory : EfiRuntimeServicesData,
                                     .PhysicalStart = i * 0x10000ull,
                                     .NumberOfPages = 16,
                                     .Attribute = EFI_MEMORY_WB };
    }
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI exit_boot(EFI_HANDLE image, UINTN k)
{
    (void)image;
    if (refusals) {
        refusals--;
        entries += grows_by;
        key++;
    }
    return k == key ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

static EFI_STATUS EFIAPI reset(EFI_RESET_TYPE type, EFI_STATUS st, UINTN size, CHAR16 *data)
{
    (void)type, (void)st, (void)size, (void)data;
    resets++;
    longjmp(was_reset, 1);
}

static EFI_STATUS leave(unsigned refuse, unsigned growth, struct boot_info *bi)
{
    static EFI_BOOT_SERVICES bs;
    static EFI_RUNTIME_SERVICES rt;

    bs.GetMemoryMap = get_map;
    bs.ExitBootServices = exit_boot;
    rt.ResetSystem = reset;
    BS = &bs;
    RT = &rt;
    entries = 20, key = 1, resets = 0, used = 0;
    refusals = refuse, grows_by = growth;
    memset(bi, 0, sizeof *bi);
    if (bad(memmap_reserve(bi)))
        return EFI_OUT_OF_RESOURCES;
    return setjmp(was_reset) ? EFI_ABORTED : memmap_exit_boot(bi, NULL);
}

static void all_of_it_is_told(struct boot_info *bi)
{
    assert_int_equal(bi->nmem, entries);
    assert_int_equal(((struct boot_mem *)bi->mem)[entries - 1].base, (entries - 1) * 0x10000ull);
}

static void the_map_stays(void **state)
{
    static struct boot_info bi;

    (void)state;
    assert_int_equal(leave(0, 0, &bi), EFI_SUCCESS);
    all_of_it_is_told(&bi);
}

/* By less than the slack, and by far more, once and again. */
static void the_map_grows(void **state)
{
    static const unsigned growths[] = { 1, 30, 100, 1000 };
    static struct boot_info bi;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        for (unsigned times = 1; times <= 3; times++) {
            assert_int_equal(leave(times, growths[i], &bi), EFI_SUCCESS);
            all_of_it_is_told(&bi);
            assert_int_equal(resets, 0);
        }
}

/* It never lets go: no word can be said, so the machine starts again. */
static void the_map_never_stays(void **state)
{
    static struct boot_info bi;

    (void)state;
    assert_int_equal(leave(1000, 100, &bi), EFI_ABORTED);
    assert_int_equal(resets, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_stays),
        cmocka_unit_test(the_map_grows),
        cmocka_unit_test(the_map_never_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
