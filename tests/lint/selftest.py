# SPDX-License-Identifier: BSD-2-Clause
"""Shows of each rule that it can fail: a good snippet that passes and bad ones that do not."""
import sys

import rules

LONG = "int f(void)\n{\n" + "    g();\n" * 60 + "}\n"
FITS = "int f(void)\n{\n" + "    g();\n" * 58 + "}\n"

RING = "{}\n{{\n    {}\n}}\n"


def guarded(*lines):
    """A function of these lines."""
    return "\n".join(["int f(struct a *a, unsigned i)", "{", *("    " + line for line in lines),
                      "}", ""])


CPU0 = "int f(void)\n{\n    int i = 0;\n\n    assert_cpu0();\n    return i;\n}\n"

# rule: (good trees, bad trees)
CASES = {
    "includes": (
        [{"hv/core/a.c": "#include <arch/cpu.h>\n"}, {"hv/vm/sched.c": "#include <arch/cpu.h>\n"},
         {"drivers/a.c": "#include <arch/io.h>\n"},
         {"arch/x86_64/a.c": '#include "b.h"\n', "arch/x86_64/b.h": "\n"},
         {"boot/a.c": "#include <efi.h>\n"},
         {"arch/x86_64/a.c": '#include "boot/boot_info.h"\n'}],
        [{"hv/guest/x86_64/a.c": "#include <arch/cpu.h>\n"},
         {"hv/vio/a.c": "# include <arch/irq.h>\n"},
         {"hv/vm/a.c": "#include <arch/cpu.h>\n"}, {"hv/pci/a.h": "#include <arch/cpu.h>\n"},
         {"hv/mgmt/a.c": "#include <arch/cpu.h>\n"}, {"drivers/a.c": "#include <arch/cpu.h>\n"},
         {"drivers/a.c": "#include <hv/vm.h>\n"}, {"hv/firmware/a.c": "#include <hv/vcpu.h>\n"},
         {"arch/x86_64/a.c": "#include <drivers/acpi.h>\n"},
         {"hv/vm/a.c": "#include <lwip/init.h>\n"},
         {"hv/core/a.c": "#include <efi.h>\n"},
         {"hv/vm/a.c": '#include "c.h"\n', "hv/mm/c.h": "\n"},
         {"hv/vm/a.c": '#include "../mm/c.h"\n', "hv/mm/c.h": "\n"}]),
    "function-length": (
        [{"hv/a.c": FITS + FITS}, {"hv/a.c": "int table[] = {\n" + "    1,\n" * 100 + "};\n"},
         {"hv/a.c": "/* {( */ int f(void) { return '{'; }\n" + FITS}],
        [{"hv/a.c": LONG}, {"hv/a.h": "static inline " + LONG},
         {"hv/a.c": '/* } */ char *s = "}";\n' + LONG}]),
    "file-length": ([{"hv/a.c": "\n" * 800}, {"README.md": "\n" * 900}], [{"hv/a.c": "\n" * 801}]),
    "arch-conditionals": (
        [{"hv/a.c": "#ifdef DEBUG_LOCKS\n"}, {"arch/x86_64/insn.h": "#if __x86_64__\n"}],
        [{"hv/a.c": "#ifdef __x86_64__\n"}, {"hv/a.c": "#if defined(__aarch64__)\n"},
         {"hv/a.c": "# elif __riscv\n"}]),
    "white-space": (
        [{"hv/a.c": "    x;\n"}, {"README.md": "a\tb  \n"}],
        [{"hv/a.c": "\tx;\n"}, {"hv/a.c": "x; \n"}, {"hv/a.c": "x;\r\n"}, {"hv/a.c": "x;"}]),
    "columns": (
        [{"hv/a.c": "/" * 100 + "\n"}, {"README.md": "x" * 101 + "\n"}],
        [{path: "/" * 101 + "\n"} for path in ("hv/a.c", "hv/a.h", "arch/a.S", "tests/a.py")]
        + [{"tests/bench": "#!/usr/bin/python3 -B\n" + "#" * 101 + "\n"}]
        + [{"hv/a.c": "// " + "\u00a7" * 50 + "\n"}]),
    "format": (
        [{"hv/a.c": "int f(void) { return 1; }\n"}, {"hv/a.S": "int  x;\n"}],
        [{"hv/a.c": "int  x;\n"}, {"hv/a.h": "int f(void) { return 1;\n}\n"},
         {"hv/a.c": "int x;\n", "hv/b.c": "int *x,y;\n"}]),
    "scripts": (
        [{"images/run": "#!/bin/bash\necho\n"}, {"a.py": "x = 1\n"}],
        [{"images/run": "#!/bin/bash\nif\n"}, {"tests/run": "#!/usr/bin/python3\nif\n"},
         {"a.py": "def\n"}]),
    "links": (
        [{"README.md": "[a](hv/README.md) [b](hv) [c](https://example.org/)\n",
          "hv/README.md": "[up](../README.md)\n"}],
        [{"README.md": "[a](hv/none.md)\n"}, {"hv/README.md": "[a](README.txt)\n"}]),
    "page-names": (
        [{"docs/pages/architecture-a.md": "`hv/a.c` `hv/` `hv/*.c` `<hv/b.h>` `f()` `struct s`\n",
          "hv/a.c": "int f(void);\nstruct s {\n", "hv/include/hv/b.h": "\n"},
         {"docs/pages/state.md": "`f()`\n"}],
        [{"docs/pages/architecture.md": f"`{name}`\n", "hv/a.c": "int g(void);\n"}
         for name in ("hv/b.c", "hv/b*.c", "boot/", "<hv/a.h>", "f()", "enum e")]),
    "comment-calls": (
        [{"hv/a.c": "/* as f() does */\nint f(void);\n", "hv/README.md": "`f()` `QEMU()`\n"}],
        [{"hv/a.c": "/* as g() does */\nint f(void);\n"},
         {"hv/a.c": "/* f() */\n", "hv/README.md": "x\n"},
         {"hv/a.c": "int f(void);\n", "hv/README.md": "`g()`\n"}]),
    "contexts": (
        [{"hv/a.c": CPU0, "hv/include/hv/a.h": "/* CPU 0 (f()). */\nint f(void);\n"},
         {"hv/a.c": CPU0, "hv/include/hv/a.h": "int f(void); /* boot step */\n"},
         {"hv/a.c": CPU0, "hv/include/hv/a.h": "/* ---- on CPU 0 ---- */\n\nint f(void);\n"},
         {"hv/a.c": CPU0, "hv/include/hv/a.h": "/* Boot CPU. */\n#pragma once\n\nint f(void);\n"},
         {"hv/a.c": CPU0.replace("int f", "static int f"), "hv/include/hv/a.h": "int f(void);\n"},
         {"hv/a.c": "int f(void)\n{\n    return 1;\n}\n" + CPU0.replace("f(", "g("),
          "hv/include/hv/a.h": "int f(void);\n"}],
        [{"hv/a.c": CPU0, "hv/include/hv/a.h": "/* any CPU */\nint f(void);\n"},
         {"hv/a.c": CPU0, "hv/include/hv/a.h": "/* CPU 0 */\nint g(void);\n\nint f(void);\n"}]),
    "machine-traces": (
        [{"a.c": "/* a/work/b, /workshop/, /rooted/ */\n"}],
        [{"a.c": "/* /wo" + "rk/x */\n"}, {"README.md": "see /ro" + "ot/x\n"},
         {"images/setup": "deb.deb" + "ian.org\n"}]),
    "no-binaries": ([{"images/setup": "x\n"}],
                    [{"a.img": "x"}, {"a.c": "x\0\n"}, {"a.c": "x" * 400_001}]),
    "sources-built": (
        [{"hv/a.c": "\n", "hv/hv.ninja": "build $b/a.o: cc hv/a.c\n"},
         {"tests/g/a.c": "\n", "tests/b": "#!/bin/sh\ngcc tests/g/a.c\n"},
         {"tests/g/a.c": "\n", "t.ninja": "src = tests/g\nbuild x: cc $src/a.c\n"}],
        [{"hv/a.c": "\n", "hv/hv.ninja": "build $b/b.o: cc hv/b.c\n"},
         {"hv/a.c": "\n", "hv/hv.ninja": "# hv/a.c\n"},
         {"hv/a.c": "\n", "tests/b": "#!/bin/sh\ngcc hv/a.c\n"},
         {"tests/g/a.c": "\n", "tests/b": "#!/bin/sh\n# tests/g/a.c\n"}]),
    "anchors": (
        [{"tests/proof/a.proof": "/* before hv/a.c | f();\n * mutant hv/a.c | g(); | h(); | what\n",
          "hv/a.c": "f();\ng();\n"},
         {"tests/proof/a.pml": "// code hv/a.c f: g()\n",
          "hv/a.c": "void f(void)\n{\n    g();\n}\n"},
         {"tests/tsan/selftest.py": '[("a", "hv/a.c", "f();", "g();")]', "hv/a.c": "f();\n"}],
        [{"tests/proof/a.pml": "// code hv/a.c f: g()\n",
          "hv/a.c": "void f(void)\n{\n    h();\n}\n"},
         {"tests/proof/a.proof": "/* before hv/a.c | f(\n", "hv/a.c": "int f(void);\nf();\n"},
         {"tests/proof/a.proof": "/* before hv/a.c | f(\n"},
         {"tests/proof/a.proof": " * mutant hv/a.c | f(); | g(); | what\n", "hv/a.c": "g();\n"},
         {"tests/tsan/selftest.py": '[("a", "hv/a.c", "f();", "g();")]', "hv/a.c": "g();\n"}]),
    "ring-setup": (
        [{"hv/vio/virtqueue.c": RING.format("int f(void)", "q->set.size;")},
         {"hv/vio/virtqueue.c": RING.format("static struct vq_setup setup_of(const struct "
                                            "vq_state *s)", "s->size;")},
         {"hv/vio/virtqueue.c": RING.format("int vq_enable(struct q *q)", "q->set = set;")},
         {"hv/vio/virtqueue.c": RING.format("void *ring_at(int a,\n    int b)", "return r->host;")},
         {"hv/vio/virtio.c": RING.format("int f(void)", "virtio_has(d, 3);")}],
        [{"hv/vio/virtqueue.c": RING.format("int vq_pop(void)", "virtio_has(q->dev, 3);")},
         {"hv/vio/virtqueue.c": RING.format("int vq_pop(void)", "q->dev->s.driver_features;")},
         {"hv/vio/virtqueue.c": RING.format("int vq_pop(void)", "q->s->size;")},
         {"hv/vio/virtqueue.c": RING.format("int vq_pop(void)", "q->set = set;")},
         {"hv/vio/virtqueue.c": RING.format("int vq_pop(void)", "r->host + 4;")},
         {"hv/vio/virtqueue.c": RING.format("int setup_of(void)", "x;")
          + RING.format("int g(void)", "q->s->desc;")}]),
    "guest-index": (
        [{"hv/guest/a.c": guarded(*body)} for body in (
            ("if (i >= 8)", "    return 0;", "return t[index_nospec(i, 8)];"),
            ("if (i >= N)", "    return 0;", "i = index_nospec(i, N);", "return t[i];"),
            ("return t[a->addr & 7] + t[i % 8] + t[i];",),
            ("for (unsigned k = 0; k < 8; k++)", "    if (t[k] < 3)", "        return 1;"),
            ("hv_assert(i < 8);", "debug_assert(i != 3 && i < 8);", "return t[i];"),
            ("return i < 8 ? t[i] : 0;    /* nospec: the host's own */",))]
        + [{"hv/core/a.c": guarded("return i < 8 ? t[i] : 0;")}],
        [{path: guarded(*body)} for path in ("hv/guest/x86_64/a.c", "hv/pci/a.c", "hv/vio/a.h",
                                             "hv/vm/io.c")
         for body in (
            ("return i < 8 ? t[i] : 0;",),
            ("if (i - 32 >= g->n)", "    return 0;", "return g->t[(i - 32) / 32];"),
            ("return d->s.sel < d->n ? d->vq[d->s.sel] : 0;",),
            ("if (N <= i || !x)", "    return 0;", "return t[u[i]];"),
            ("return t[a->addr];",), ("hv_assert(a->addr < 8);", "return t[a->addr];"),
            ("hv_assert(x);", "return i < 8 ? t[i] : 0;"),
            ("return t[v->regs.gpr[0]];",),
            ("if (i > 7)", "    return 0;", "j = index_nospec(i, 8);", "return t[i];"))]),
    "charged": (
        [{"hv/vm/a.c": guarded("p = vm_alloc(vm, 8);",
                               "q = calloc(1, 8);    /* charge: Trivet's own */")},
         {"hv/mm/pmm.c": "hpa_t pmm_alloc(unsigned order)\n{\n}\n"},
         {"arch/host/a.c": guarded("p = malloc(8);")},
         {"hv/vm/a.c": guarded("/* calloc(1, 8) */")},
         {"hv/vm/a.c": guarded("/* charge: below */", "p = malloc(8);")},
         {"boot/a.c": guarded("p = malloc(8);")}],
        [{path: guarded(f"p = {name}(8);")} for path in ("hv/guest/x86_64/a.c", "hv/mm/a.c",
                                                         "arch/x86_64/a.c", "drivers/a.c",
                                                         "hv/vio/a.h")
         for name in ("malloc", "calloc", "realloc", "pmm_alloc", "pmm_alloc_zero")]
        + [{"hv/vm/a.c": guarded("/* charge: below */", "", "p = malloc(8);")},
           {"hv/vm/a.c": guarded("p = malloc(8);    /* charge: below */", "p = malloc(8);")}]),
    "static-names": (
        [{"hv/mm/a.c": "static int reset(void)\n{\n}\n", "hv/vm/b.c": "int reset(void)\n{\n}\n"},
         {"hv/mm/a.c": "static int a_reset(void);\nstatic int a_reset(void)\n{\n}\n"},
         {"hv/mm/a.c": "static void (*reset)(int);\n", "hv/mm/b.c": "static void (*reset)(int);\n"},
         {"hv/mm/a.c": "/*\nstatic int reset(void)\n*/\n", "hv/mm/b.c": "static int reset(int);\n"},
         {"hv/mm/a.c": "static int reset(void);\n", "tests/b.c": "static int reset(int);\n"}],
        [{"hv/mm/a.c": "static int reset(void)\n{\n}\n", other: "static void reset(int x)\n{\n}\n"}
         for other in ("hv/mm/b.c", "hv/vm/b.c", "arch/x86_64/b.c", "drivers/net/b.c", "boot/b.c")]
        + [{"hv/mm/a.c": "static bool printf_like(1, 2) reset(int x)\n{\n}\n",
            "hv/mm/b.c": "static inline const struct a *reset(void)\n{\n}\n"}]),
    "must-check": (
        [{"hv/a.h": text} for text in (
            "int must_check f(void);\n", "void f(void);\n", "bool f(int);\n",
            "static inline int f(void)\n{\n}\n", "struct a {\n    int (*f)(void);\n};\n",
            "typedef int f(void);\n", "/*\nint f(void);\n*/\n", "extern int n;\n")]
        + [{"hv/a.c": "int f(void);\n"}, {"tests/a.h": "int f(void);\n"}],
        [{path: text} for path in ("hv/include/hv/a.h", "arch/a.h", "drivers/a.h", "boot/a.h")
         for text in ("int f(void);\n", "extern int f(void);\n", "int64_t f(void);\n",
                      "int f(int (*)(void),\n      int);\n",
                      "int f(const char *, ...) printf_like(1, 2);\n")]),
    "seq-cst-stores": (
        [{"hv/a.c": "f(); __atomic_store_n(&a, 1, __ATOMIC_RELEASE);\n"
                    "b = __atomic_load_n(&a, __ATOMIC_SEQ_CST);\n"},
         {"tests/a.c": "__atomic_store_n(&a, 1, __ATOMIC_SEQ_CST);\n"}],
        [{path: text} for path in ("hv/vm/a.c", "hv/include/hv/a.h", "arch/a.c", "drivers/a.c")
         for text in ("__atomic_store_n(&a, 1, __ATOMIC_SEQ_CST);\n",
                      "__atomic_store_n(&a->b[f(1)],\n                 x ? y : z, "
                      "__ATOMIC_SEQ_CST);\n")]),
    "license": (
        [{"hv/a.c": f"/* {rules.LICENSE} */\n/* a.c: */\n"},
         {"images/run": f"#!/bin/bash\n# {rules.LICENSE}\n"},
         {"a.py": f"# {rules.LICENSE}\n"}, {"README.md": "x\n"}],
        [{"hv/a.c": f"/* a.c: {rules.LICENSE} */\n"},
         {"images/run": f"#!/bin/bash\n\n# {rules.LICENSE}\n"}, {"a.py": ""},
         {"a.ninja": "# SPDX-License-Identifier: MIT\n"},
         {"hv/a.S": f"\n/* {rules.LICENSE} */\n"}]),
    "pci-drivers": (
        [{"drivers/a.c": "const struct pci_driver a = { 0 };\nPCI_DRIVER(a);\n"},
         {"tests/unit/a.c": "static const struct pci_driver a = { 0 };\n"}],
        [{"drivers/a.c": "const struct pci_driver a = { 0 };\n"},
         {"drivers/a.c": "static const struct pci_driver a = { 0 };\nPCI_DRIVER(b);\n"}]),
    "contract-errors": (
        [{"hv/include/hv/a.h": f"/* {said} */\nint must_check f(void);\n",
          "hv/a.c": "static int g(void)\n{\n    return -EIO;\n}\n"
                    "int f(void)\n{\n    int err = g();\n    return err;\n}\n"}
         for said in ("-EIO", "-EIO: it is broken. CPU 0.")]
        + [{"hv/include/hv/a.h": "/* -EIO */\nint must_check g(void);\n/* as g() */\n#define A 1\n"
                                 "int must_check f(void);\n",
            "hv/a.c": "int g(void)\n{\n    return -EIO;\n}\n",
            "hv/b.c": "int f(void)\n{\n    return g();\n}\n"},
           {"hv/include/hv/a.h": "int must_check f(int);\n",
            "hv/a.c": "int f(int n)\n{\n    return n == -EIO;\n}\n"},
           {"hv/include/hv/a.h": "int must_check f(void);\n",
            "hv/a.c": "int f(void)\n{\n    int err = g();\n"
                      "    return err == -EIO ? 0 : err;\n}\n",
            "hv/b.c": "int g(void)\n{\n    return -EIO;\n}\n"}],
        [{"hv/include/hv/a.h": f"/* {said} */\nint must_check f(void); /* CPU 0 */\n",
          "hv/a.c": text}
         for said in ("boot", "-ENOMEM", "as h()")
         for text in ("int f(void)\n{\n    return -EIO;\n}\n",
                      "int f(void)\n{\n    return g();\n}\n"
                      "int g(void)\n{\n    return -EIO;\n}\n")]),
    "header-guards": (
        [{"hv/a.h": "#pragma once\n"}, {"hv/a.h": "#ifndef A_H\n#define A_H\n#endif\n"}],
        [{"hv/a.h": "int x;\n"}]),
}


def faults():
    for name, rule in rules.RULES.items():
        good, bad = CASES.get(name, ([], []))
        if not good or not bad:
            yield f"{name}: no case shows that this rule can pass and fail"
        for number, files in enumerate(good):
            for found in rule(files):
                yield f"{name}: good case {number} is refused: {found}"
        for number, files in enumerate(bad):
            if not list(rule(files)):
                yield f"{name}: bad case {number} is let through"


if __name__ == "__main__":
    found = list(faults())
    print("\n".join(found) if found else f"{len(rules.RULES)} rules can pass and fail")
    sys.exit(bool(found))
