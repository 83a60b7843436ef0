# SPDX-License-Identifier: BSD-2-Clause
"""Shows that the tests under ThreadSanitizer can fail: each row takes one atomic access, lock or
wait away, and the test must notice.

A broken copy of one source is compiled together with the test; the linker prefers it to the
archive's object.
"""
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BROKEN = os.path.join("build", "tsan", "broken")

# (test, source, what stands there once, what takes its place)
ROWS = [
    ("event_race", "hv/core/event.c", "return !posted && !running;",
     "(void)running; return !posted;"),
    ("event_race", "hv/core/event.c", "&head, ev, true, __ATOMIC_RELEASE,",
     "&head, ev, true, __ATOMIC_RELAXED,"),
    ("event_race", "hv/core/event.c",
     "__atomic_store_n(&q->next_when, q->timers ? q->timers->when : UINT64_MAX, "
     "__ATOMIC_RELAXED)",
     "q->next_when = q->timers ? q->timers->when : UINT64_MAX"),
    ("sched_race", "hv/core/lock.c", "(uint16_t)(l->owner + 1), __ATOMIC_RELEASE)",
     "(uint16_t)(l->owner + 1), __ATOMIC_RELAXED)"),
    ("sched_race", "hv/vm/queue.c",
     "__atomic_store_n(&q->nqueued, q->nqueued + 1, __ATOMIC_RELAXED)", "q->nqueued++"),
    ("io_race", "hv/vm/io.c", "__atomic_store_n(&to->base, r->base, __ATOMIC_RELAXED)",
     "to->base = r->base"),
    ("io_race", "hv/vm/io.c", "return __atomic_load_n(&t->seq, __ATOMIC_RELAXED) == seq;",
     "(void)t, (void)seq;\n    return true;"),
    ("dbt_smp", "hv/dbt/riscv64/access.c",
     "__atomic_load_n((const uint64_t *)at, __ATOMIC_SEQ_CST)", "*(const uint64_t *)at"),
    ("dbt_smp", "hv/dbt/x86_64/asm.c", "[ASM_XADD] = TWO(LOCK, 0xc1)",
     "[ASM_XADD] = TWO(0, 0xc1)"),
    ("dbt_smp", "hv/dbt/x86_64/asm.c", "[ASM_CMPXCHG] = TWO(LOCK, 0xb1)",
     "[ASM_CMPXCHG] = TWO(0, 0xb1)"),
    ("vio_race", "hv/core/event.c", "while (!cancelled(ev, q))\n        cpu_relax();",
     "(void)cancelled(ev, q);"),
    ("vio_race", "hv/vio/virtio.c",
     "was = mine ? __atomic_exchange_n(&d->s.status, VIRTIO_NEEDS_RESET, __ATOMIC_ACQ_REL) : 0;",
     "was = mine ? d->s.status : 0;\n    if (mine)\n        d->s.status = VIRTIO_NEEDS_RESET;"),
]


def link_command(test):
    commands = subprocess.run(["ninja", "-t", "commands", f"build/tsan/{test}"], cwd=TOP, text=True,
                              capture_output=True, check=True)
    return commands.stdout.rstrip().splitlines()[-1]


def build(number, test, source, old, new):
    """The test with the broken source in it; its path."""
    with open(os.path.join(TOP, source), encoding="utf-8") as text:
        whole = text.read()
    if whole.count(old) != 1:
        sys.exit(f"{source}: this stands there {whole.count(old)} times, not once: {old}")
    os.makedirs(os.path.join(TOP, BROKEN), exist_ok=True)
    copy, program = f"{BROKEN}/{number}.c", f"{BROKEN}/{number}"
    with open(os.path.join(TOP, copy), "w", encoding="utf-8") as text:
        text.write(whole.replace(old, new))
    command = link_command(test)
    command = command.replace(f" tests/unit/{test}.c ",
                              f" -I{os.path.dirname(source)} {copy} tests/unit/{test}.c ")
    command = command.replace(f"build/tsan/{test}", program)
    subprocess.run(command, cwd=TOP, shell=True, check=True)
    return program


def notices(program):
    """Whether one of ten runs fails: what depends on the moment may go well a few times."""
    for _ in range(10):
        try:
            if subprocess.run([os.path.join(TOP, program)], cwd=TOP, capture_output=True,
                              timeout=60, check=False).returncode:
                return True
        except subprocess.TimeoutExpired:
            return True
    return False


def main():
    missed = 0
    for number, (test, source, old, new) in enumerate(ROWS):
        found = notices(build(number, test, source, old, new))
        missed += not found
        print(f"{'found ' if found else 'MISSED'} {test}: {source}: {old.splitlines()[0]}",
              flush=True)
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
