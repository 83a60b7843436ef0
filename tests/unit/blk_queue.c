/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests that wait for a disk: each submitter has its turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/blk_queue.h>
#include <string.h>

enum { MOST = 64, SMALL = 8, LARGE = 512 };
static struct blk_req reqs[MOST];
static struct blk_queue queue;
static const char many, few;

static int begin(void **state)
{
    (void)state;
    memset(reqs, 0, sizeof reqs);
    memset(&queue, 0, sizeof queue);
    return 0;
}

/* n requests from reqs[from] on. */
static void submit(unsigned from, unsigned n, const void *who, uint64_t nsectors)
{
    for (unsigned i = from; i < from + n; i++) {
        reqs[i].who = who;
        reqs[i].nsectors = nsectors;
        blk_queue_add(&queue, &reqs[i]);
    }
}

/* The number in reqs of what comes next; MOST: nothing. */
static unsigned next(void)
{
    struct blk_req *r = blk_queue_take(&queue);

    return r ? (unsigned)(r - reqs) : MOST;
}

static void one_submitters_requests_keep_their_order(void **state)
{
    (void)state;
    submit(0, 3, NULL, SMALL);
    submit(3, 2, NULL, LARGE);
    submit(5, 3, NULL, 0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(next(), i);
    assert_int_equal(next(), MOST);
}

static void who_has_few_does_not_wait_for_who_has_many(void **state)
{
    (void)state;
    submit(0, 40, &many, SMALL);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(next(), i);
    submit(40, 2, &few, SMALL);
    assert_int_equal(next(), 40);
    assert_int_equal(next(), 4);
    assert_int_equal(next(), 41);
    for (unsigned i = 5; i < 40; i++)
        assert_int_equal(next(), i);
    assert_int_equal(next(), MOST);
}

/* 256 KiB are five turns: between two of them the other one has five small ones. */
static void large_requests_take_more_turns(void **state)
{
    unsigned small = 0, large = 0;

    (void)state;
    submit(0, 10, &many, LARGE);
    submit(10, 40, &few, SMALL);
    for (unsigned i = 0; i < 24; i++) {
        if (next() < 10)
            large++;
        else
            small++;
    }
    assert_in_range(small, 4 * large, 6 * large);
}

/* Who was away saves nothing up, and who comes back owes nothing. */
static void nothing_is_saved_up(void **state)
{
    unsigned in_a_row = 0;

    (void)state;
    submit(0, 20, &many, SMALL);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(next(), i);
    submit(20, 10, &many, SMALL);
    submit(30, 10, &few, SMALL);
    for (unsigned i = 0; i < 20; i++) {
        in_a_row = next() >= 30 ? in_a_row + 1 : 0;
        assert_in_range(in_a_row, 0, 1);
    }
}

/*
 * Nor does who has another one each time one was taken, but never two of them waiting, with large
 * ones of the other waiting.
 */
static void who_comes_back_at_once_does_not_overtake_for_ever(void **state)
{
    unsigned of_few = 0;

    (void)state;
    submit(0, 2, &many, LARGE);
    assert_int_equal(next(), 0);
    submit(2, 1, &few, SMALL);
    for (unsigned i = 3; next() != 1; i++, of_few++) {
        assert_in_range(i, 3, MOST - 1);
        submit(i, 1, &few, SMALL);
    }
    assert_in_range(of_few, 1, 8);
}

static void what_is_called_off_is_gone(void **state)
{
    (void)state;
    submit(0, 4, &many, SMALL);
    assert_true(blk_queue_remove(&queue, &reqs[3]));
    assert_true(blk_queue_remove(&queue, &reqs[0]));
    assert_false(blk_queue_remove(&queue, &reqs[0]));
    submit(4, 1, &many, SMALL);
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 2);
    assert_int_equal(next(), 4);
    assert_int_equal(next(), MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_submitters_requests_keep_their_order, begin),
        cmocka_unit_test_setup(who_has_few_does_not_wait_for_who_has_many, begin),
        cmocka_unit_test_setup(large_requests_take_more_turns, begin),
        cmocka_unit_test_setup(nothing_is_saved_up, begin),
        cmocka_unit_test_setup(who_comes_back_at_once_does_not_overtake_for_ever, begin),
        cmocka_unit_test_setup(what_is_called_off_is_gone, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
