/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <hv/files.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/vm.h>

#include "arch/host/host.h"
#include "boot/boot_info.h"

static char shown[1 << 16];

static void sink(const char *s, size_t n) { strncat(shown, s, n); }

static void test_ring_and_levels(void **state)
{
    char buf[300];
    uint64_t seq = 0;

    (void)state;
    log_info("first");
    log_debug("second");
    log_err("third");
    assert_true(log_read(&seq, LOG_INFO, buf, sizeof(buf)) && strstr(buf, "] first"));
    assert_true(log_read(&seq, LOG_INFO, buf, sizeof(buf)) && strstr(buf, "] error: third"));
    assert_false(log_read(&seq, LOG_INFO, buf, sizeof(buf)));
    /* What came before the sink is shown by it, and once. */
    log_set_sink(sink);
    assert_true(strstr(shown, "first") && strstr(shown, "third") && !strstr(shown, "second"));
    log_warn("fourth");
    assert_non_null(strstr(shown, "] warning: fourth\n"));
    for (unsigned i = 0; i < 1000; i++)
        log_debug("line %u", i);
    seq = 0;
    assert_true(log_read(&seq, LOG_DEBUG, buf, sizeof(buf)));
    assert_non_null(strstr(buf, "line 488"));
    assert_null(strstr(shown, "line"));
    assert_true(log_read(&seq, LOG_DEBUG, buf, 10));
    assert_int_equal(strlen(buf), 9);
}

/* With the wall clock, also those that were there before; and back again. */
static void test_wall_clock(void **state)
{
    char buf[300];
    uint64_t seq = 0;

    (void)state;
    host_now = 61250000000;
    shown[0] = '\0';
    log_err("at this time");
    log_show_utc(1798761599); /* 2026-12-31 23:59:59 */
    log_warn("at that time");
    assert_non_null(strstr(shown, "[   61.250000] error: at this time\n"));
    assert_non_null(strstr(shown, "[2027-01-01 00:01:00.250000] warning: at that time\n"));
    while (log_read(&seq, LOG_ERR, buf, sizeof buf))
        ;
    assert_string_equal(buf, "[2027-01-01 00:01:00.250000] error: at this time");
    log_show_utc(0);
    seq = 0;
    while (log_read(&seq, LOG_ERR, buf, sizeof buf))
        ;
    assert_string_equal(buf, "[   61.250000] error: at this time");
}

static void test_guest_text_is_escaped(void **state)
{
    char text[400];

    (void)state;
    shown[0] = '\0';
    log_info("a\033[2Jb\r\n%s\x80", "\t");
    assert_non_null(strstr(shown, "] a\\x1b[2Jb\\x0d\\x0a\\x09\\x80\n"));
    memset(text, 7, sizeof(text));
    text[399] = '\0';
    log_info("%s", text);
    assert_non_null(strstr(shown, "\\x07\n"));
}

static void test_rate_limit(void **state)
{
    static struct guest_config config = { .name = "hog" };
    static struct vm vm = { .config = &config };
    unsigned lines = 0;

    (void)state;
    shown[0] = '\0';
    for (unsigned i = 0; i < 100; i++)
        vm_log(&vm, LOG_INFO, "n%u", i);
    for (const char *p = shown; (p = strstr(p, "hog: n")); p++)
        lines++;
    assert_int_equal(lines, 20);
    shown[0] = '\0';
    host_now += 1000000000;
    vm_log(&vm, LOG_INFO, "more");
    assert_non_null(strstr(shown, "hog: 80 lines about this guest were dropped"));
    assert_non_null(strstr(shown, "hog: more"));
    vm_log(&vm, LOG_INFO, "second");
    vm_log(&vm, LOG_INFO, "third");
    assert_true(strstr(shown, "second") && !strstr(shown, "third"));
}

/*
 * A guest that fills the log at debug level still gets its warning through; and the other way
 * round.
 */
static void test_debug_lines_have_their_own(void **state)
{
    static struct guest_config config = { .name = "chatty" };
    static struct vm vm = { .config = &config };

    (void)state;
    log_set_console_level(LOG_DEBUG);
    for (unsigned i = 0; i < 1000; i++)
        vm_log(&vm, LOG_DEBUG, "d%u", i);
    shown[0] = '\0';
    vm_log(&vm, LOG_WARN, "important");
    assert_non_null(strstr(shown, "chatty: important"));
    assert_null(strstr(shown, "dropped"));
    host_now += 1000000000;
    vm_log(&vm, LOG_DEBUG, "again");
    assert_non_null(strstr(shown, "980 debug lines about this guest were dropped"));
    log_set_console_level(LOG_INFO);
}

/* The lock is held by what the NMI interrupted: here, by the sink. The line comes later, once. */
static void test_from_nmi(void **state)
{
    (void)state;
    shown[0] = '\0';
    log_from_nmi("a fault");
    log_from_nmi("a fault");
    assert_string_equal(shown, "");
    log_notes();
    assert_non_null(strstr(shown, "warning: NMI on CPU 0: a fault (more than once)"));
    shown[0] = '\0';
    log_notes();
    assert_string_equal(shown, "");
}

static void test_files(void **state)
{
    static struct boot_info bi = { .nfiles = 3 };
    uint64_t len = 0;

    (void)state;
    assert_null(file_find("a", &len));
    bi.files[0] = (struct boot_file){ .name = "\\EFI\\Vmlinuz", .phys = 0x5000, .size = 77 };
    bi.files[1] = (struct boot_file){ .name = "gone", .status = BOOT_FILE_MISSING };
    bi.files[2] = (struct boot_file){ .name = "b", .phys = 0x9000, .size = 1 };
    shown[0] = '\0';
    assert_int_equal(files_init(&bi), 0);
    assert_non_null(strstr(shown, "warning: file gone is not on the boot partition"));
    assert_ptr_equal(file_find("efi/vmlinuz", &len), (void *)0x5000);
    assert_int_equal(len, 77);
    assert_ptr_equal(file_find("/EFI\\VMLINUZ", &len), (void *)0x5000);
    assert_null(file_find("gone", &len));
    assert_null(file_find("efi/vmlinu", &len));
    assert_null(file_find("efi/vmlinuz2", &len));
    assert_null(file_find("", &len));
    assert_ptr_equal(file_find("B", &len), (void *)0x9000);
}

static unsigned drops;
static void drop_one(struct file_version *v)
{
    drops++;
    v->bytes = NULL;
}

/* After test_files: vmlinuz and b are the boot's. */
static void test_generations(void **state)
{
    struct file_version b2 = { .path = "/B", .bytes = "two", .len = 3, .drop = drop_one },
                        b3 = { .path = "b", .bytes = "three", .len = 5, .drop = drop_one },
                        no = { .path = "c", .bytes = "no", .len = 2, .drop = drop_one };
    uint64_t len = 0;

    (void)state;
    assert_int_equal(files_generation(), 1);
    files_add(&no); /* one that does not come */
    files_keep("b");
    assert_null(file_find("c", &len));
    files_look_at(FILES_COMING);
    assert_ptr_equal(file_find("c", &len), no.bytes);
    assert_ptr_equal(file_find("b", &len), (void *)0x9000);
    assert_null(file_find("efi/vmlinuz", &len)); /* not kept */
    files_look_at(FILES_NEWEST);
    files_cancel();
    assert_int_equal(drops, 1);
    assert_ptr_equal(file_find("efi/vmlinuz", &len), (void *)0x5000);
    files_add(&b2);
    files_commit(); /* generation 2: without vmlinuz */
    assert_int_equal(files_generation(), 2);
    assert_ptr_equal(file_find("b", &len), b2.bytes);
    assert_int_equal(len, 3);
    assert_null(file_find("efi/vmlinuz", &len));
    files_look_at(1);
    assert_ptr_equal(file_find("b", &len), (void *)0x9000);
    assert_ptr_equal(file_find("efi/vmlinuz", &len), (void *)0x5000);
    files_look_at(FILES_NEWEST);
    files_keep("B");
    files_commit(); /* 3: the same */
    assert_ptr_equal(file_find("b", &len), b2.bytes);
    files_add(&b3);
    files_commit(); /* 4 */
    assert_ptr_equal(file_find("b", &len), b3.bytes);
    assert_int_equal(files_bytes(), 4 * PAGE_SIZE);
    files_drop(3); /* somebody is of generation 3 */
    assert_int_equal(drops, 1);
    files_look_at(3);
    assert_ptr_equal(file_find("b", &len), b2.bytes);
    files_look_at(FILES_NEWEST);
    files_drop(4);
    assert_int_equal(drops, 2);
    assert_null(b2.bytes);
    assert_ptr_equal(file_find("b", &len), b3.bytes);
    assert_int_equal(files_bytes(), 3 * PAGE_SIZE);
}

/* Three functions in a made-up image. */
__asm__(".globl __text_start, __text_end\n__text_start: .space 16\n__text_end:\n");
extern const char __text_start[];
const uint32_t symbol_count = 3, symbol_offsets[] = { 2, 6, 10 }, symbol_names[] = { 0, 4, 8 };
const char symbol_strings[] = "one\0two\0six";

static void test_symbols(void **state)
{
    const char *name;
    uint64_t off;

    (void)state;
    assert_false(symbol_lookup((uint64_t)__text_start + 1, &name, &off));
    assert_false(symbol_lookup((uint64_t)__text_start - 1, &name, &off));
    assert_true(symbol_lookup((uint64_t)__text_start + 2, &name, &off));
    assert_string_equal(name, "one");
    assert_true(symbol_lookup((uint64_t)__text_start + 9, &name, &off));
    assert_string_equal(name, "two");
    assert_int_equal(off, 3);
    assert_true(symbol_lookup((uint64_t)__text_start + 12, &name, &off));
    assert_string_equal(name, "six");
    assert_false(symbol_lookup((uint64_t)__text_start + 16, &name, &off));
}

static jmp_buf on_panic;
static bool armed;
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void panic(const char *fmt, ...)
{
    (void)fmt;
    percpus[0].locks_held = 0;
    if (!armed)
        fail();
    longjmp(on_panic, 1);
}

static void test_lock_order(void **state)
{
    struct spinlock low, high;
    volatile int panics = 0;

    (void)state;
    spin_init(&low, LOCK_VM);
    spin_init(&high, LOCK_PMM);
    spin_lock(&low);
    spin_lock(&high);
    spin_unlock(&high);
    assert_true(spin_trylock(&high));
    spin_unlock(&high);
    spin_unlock(&low);
    lock_assert_none();
    armed = true;
    if (setjmp(on_panic))
        panics++;
    else {
        spin_lock(&high);
        spin_lock(&low);
    }
    spin_init(&low, LOCK_VM);
    if (setjmp(on_panic))
        panics++;
    else
        spin_unlock(&low);
    spin_init(&low, LOCK_VM);
    if (setjmp(on_panic))
        panics++;
    else {
        spin_lock(&low);
        lock_assert_none();
    }
    armed = false;
    assert_int_equal(panics, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_and_levels),
        cmocka_unit_test(test_wall_clock),
        cmocka_unit_test(test_guest_text_is_escaped),
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_debug_lines_have_their_own),
        cmocka_unit_test(test_from_nmi),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_generations),
        cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_lock_order),
    };

    host_init(1, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
