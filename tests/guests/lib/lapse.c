/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest can prove of time although its CPU may be taken away between any two instructions.
 */
#include <guest.h>

#define TURN_US 100 /* a longer time between two looks was not all ours */

struct lapse lapse_between(struct edge from, struct edge to)
{
    uint64_t least = to.after > from.before ? to.after - from.before : 0;

    return (struct lapse){ least, to.before - from.after };
}

bool lapse_holds(struct lapse s, uint64_t want, uint64_t permille)
{
    uint64_t slack = muldiv(want, permille, 1000);

    return s.least <= want + slack && s.most >= want - slack;
}

bool lapse_sharp(struct lapse s, uint64_t want, uint64_t permille)
{
    return s.most - s.least <= muldiv(want, permille, 1000);
}

struct patience patience(uint64_t us)
{
    return (struct patience){ ticks(), muldiv(us, ticks_hz, 1000000),
                              muldiv(TURN_US, ticks_hz, 1000000) };
}

bool patience_left(struct patience *p)
{
    uint64_t now = ticks(), turn = now - p->last;

    p->last = now;
    turn = turn < p->turn ? turn : p->turn;
    p->left = turn < p->left ? p->left - turn : 0;
    return p->left > 0;
}

/* Not over before the counter says so, and not before this CPU had that long for itself. */
void delay_us(uint64_t us)
{
    for (struct patience p = patience(us); patience_left(&p);)
        cpu_pause();
}
