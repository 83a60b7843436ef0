/* SPDX-License-Identifier: BSD-2-Clause */
/* notice.c: the ring of notices. */
#include <hv/assert.h>
#include <hv/lock.h>
#include <hv/notice.h>
#include <hv/time.h>
#include <stdio.h>

static struct notice ring[NOTICES];
static uint64_t next; /* of the one to be written next; ring[next % NOTICES] */
static void (*sink)(void);
static struct spinlock lock = SPINLOCK_INIT(LOCK_LOG);

void notice_set_sink(void (*fn)(void)) { __atomic_store_n(&sink, fn, __ATOMIC_RELEASE); }

void notice_post(enum notice_kind kind, const char *name, const char *what, const char *text)
{
    void (*fn)(void) = __atomic_load_n(&sink, __ATOMIC_ACQUIRE);
    struct notice *n;

    hv_assert(kind < NOTICE_KINDS && name && what && text);
    spin_lock(&lock);
    n = &ring[next++ % NOTICES];
    n->kind = kind;
    n->ns = time_ns();
    snprintf(n->name, sizeof n->name, "%s", name);
    snprintf(n->what, sizeof n->what, "%s", what);
    snprintf(n->text, sizeof n->text, "%s", text);
    spin_unlock(&lock);
    if (fn)
        fn();
}

bool notice_read(uint64_t *seq, struct notice *out, uint64_t *lost)
{
    bool found;

    spin_lock(&lock);
    if (next > NOTICES && *seq < next - NOTICES) {
        *lost += next - NOTICES - *seq;
        *seq = next - NOTICES;
    }
    found = *seq < next;
    if (found)
        *out = ring[(*seq)++ % NOTICES];
    spin_unlock(&lock);
    return found;
}
