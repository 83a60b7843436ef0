# SPDX-License-Identifier: BSD-2-Clause
"""tests/proof/selftest.py: shows of the ties between models and code that they break when the code
changes."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spin  # noqa: E402

CODE = """static int
other(int a);

static int f(struct x *x)
{
    /* take(x); */
    give(x,
         1);
    keep(x);
}
"""
CASES = [
    ("the text is there, however its lines are broken", "// code a.c f: give(x, 1)", 0),
    ("two in their order", "// code a.c f: give(x, 1)\n// code a.c f: keep(x)", 0),
    ("two in the wrong order", "// code a.c f: keep(x)\n// code a.c f: give(x, 1)", 1),
    ("only a comment says it", "// code a.c f: take(x)", 1),
    ("another argument", "// code a.c f: give(x, 2)", 1),
    ("the function has another name", "// code a.c g: give(x, 1)", 1),
    ("a declaration is no function", "// code a.c other: int a", 1),
    ("the file is gone", "// code b.c f: give(x, 1)", 1),
]


def main():
    failed = 0
    for what, model, expected in CASES:
        got = spin.broken_ties(model, {"a.c": CODE}.get)
        print(f"{'ok  ' if len(got) == expected else 'FAIL'} {what}: {got}")
        failed += len(got) != expected
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
