# SPDX-License-Identifier: BSD-2-Clause
"""The rules of the house. Each rule takes {path: text} of the tree and yields (path, line, what is
wrong)."""
import ast
import fnmatch
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "proof"))
import spin  # noqa: E402

SOURCES = (".c", ".h", ".S")
OURS = ("boot/", "arch/", "hv/", "drivers/", "libc-shim/", "tests/")
FUNCTION_LINES = 60
FILE_LINES = 800
COLUMNS = 100
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DRIVER_ARCH = {"arch/barrier.h", "arch/io.h", "arch/mmu.h", "arch/irq.h"}
DRIVER_NEVER = {"hv/vm.h", "hv/vcpu.h", "hv/guest.h"}
PORTABLE = ("hv/guest/", "hv/vio/", "hv/vm/", "hv/pci/", "hv/mgmt/", "hv/conf/", "hv/console/",
            "hv/block/", "hv/net/", "hv/dbt/riscv64/")
# what runs vCPUs on CPUs and maps their memory
ON_THE_CPU = re.compile(r"hv/vm/(sched\w*|queue|turn|smt|loop|engine|gmem)\.[ch]")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def each_line(files, endings):
    for path, text in files.items():
        if path.endswith(endings):
            for number, line in enumerate(text.split("\n"), 1):
                yield path, number, line


def include_fault(path, kind, name, files):
    """What is wrong with one include, or None."""
    if name.startswith("arch/") and path.startswith(PORTABLE) and not ON_THE_CPU.fullmatch(path):
        return (f"{name}: portable code must build for the host and for foreign guests; "
                f"go through <hv/...>")
    if path.startswith(("drivers/",
                        "hv/firmware/")) and name.startswith("arch/") and name not in DRIVER_ARCH:
        return f"{name}: a driver may include {', '.join(sorted(DRIVER_ARCH))} only"
    if path.startswith(("drivers/", "hv/firmware/")) and name in DRIVER_NEVER:
        return f"{name}: a driver knows no guest"
    if path.startswith("arch/") and name.startswith("drivers/"):
        return f"{name}: arch includes no driver"
    if name.startswith(("lwip/", "netif/")) and not path.startswith("hv/net/nat/"):
        return f"{name}: only hv/net/nat includes lwIP"
    if name.startswith(("efi", "Efi")) and not path.startswith("boot/"):
        return f"{name}: only boot knows UEFI"
    if kind == '"' and name != "boot/boot_info.h":
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
        if posixpath.dirname(name) == posixpath.dirname(path):
            return None         # its own directory, written from the top
        if beside not in files and not path.startswith("tests/"):
            return f'"{name}": a private header is included from its own directory only'
        if ".." in name and not path.startswith(("tests/", "boot/")):
            return f'"{name}": a private header is included from its own directory only'
    return None


def rule_includes(files):
    for path, number, line in each_line(files, SOURCES):
        found = INCLUDE.match(line)
        if found and path.startswith(OURS):
            fault = include_fault(path, found[1], found[2], files)
            if fault:
                yield path, number, fault


def without_comments(text):
    """The text with comments, strings and preprocessor lines blanked; line numbers stay."""
    def blank(found):
        return re.sub(r"[^\n]", " ", found[0])
    text = re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)


def functions(text):
    """(first line, number of lines) of each function: a brace at depth 0 that follows a closing
    parenthesis."""
    depth, line, start, last = 0, 1, None, ""
    for char in without_comments(text):
        if char == "\n":
            line += 1
        elif char == "{":
            if depth == 0 and last == ")":
                start = line
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0 and start is not None:
                yield start, line - start + 1
                start = None
        if not char.isspace():
            last = char


def rule_function_length(files):
    for path, text in files.items():
        if path.endswith((".c", ".h")):
            for start, lines in functions(text):
                if lines > FUNCTION_LINES:
                    yield path, start, f"a function of {lines} lines; {FUNCTION_LINES} are the most"


def rule_file_length(files):
    for path, text in files.items():
        lines = text.count("\n")
        if path.endswith(SOURCES + (".py", ".awk")) and lines > FILE_LINES:
            yield path, lines, f"{lines} lines; {FILE_LINES} are the most"


def rule_arch_conditionals(files):
    pattern = re.compile(r"^\s*#\s*(?:el)?if(?:n?def)?\b.*"
                         r"(x86_64|amd64|i386|aarch64|arm64|riscv|__arm|CONFIG_)", re.I)
    for path, number, line in each_line(files, (".c",)):
        if pattern.match(line):
            yield (path, number, "a conditional on the architecture in a .c file: "
                   "give each its own file")


def rule_white_space(files):
    for path, number, line in each_line(files, SOURCES + (".ninja", ".py", ".awk", ".lds", ".asl")):
        if "\t" in line:
            yield path, number, "a tab: indent with 4 spaces"
        elif line != line.rstrip():
            yield path, number, "space or carriage return at the end of the line"
    for path, text in files.items():
        if text and not text.endswith("\n"):
            yield path, text.count("\n") + 1, "the last line has no end"


def rule_columns(files):
    ours = {path: text for path, text in files.items()
            if path.endswith(SOURCES + (".py",)) or text.startswith("#!/usr/bin/python3")}
    for path, number, line in each_line(ours, ("",)):
        length = len(line.encode())     # some tools count bytes
        if length > COLUMNS:
            yield path, number, f"{length} columns; {COLUMNS} are the most"


def formatted(files):
    """{path: text} as clang-format leaves it."""
    cpus = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="lint-") as where:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(where, path)), exist_ok=True)
            with open(os.path.join(where, path), "w", encoding="utf-8") as copy:
                copy.write(text)
        shutil.copy(os.path.join(TOP, ".clang-format"), where)
        shares = [share for share in (list(files)[cpu::cpus] for cpu in range(cpus)) if share]
        with ThreadPoolExecutor(cpus) as pool:
            list(pool.map(lambda share: subprocess.run(["clang-format", "-i", *share], cwd=where,
                                                       check=True), shares))
        result = {}
        for path in files:
            with open(os.path.join(where, path), encoding="utf-8") as copy:
                result[path] = copy.read()
    return result


def rule_format(files):
    sources = {path: text for path, text in files.items() if path.endswith((".c", ".h"))}
    for path, text in formatted(sources).items():
        if text != sources[path]:
            pairs = zip(text.split("\n"), sources[path].split("\n"))
            first = next((number for number, (new, old) in enumerate(pairs, 1) if new != old), 1)
            yield path, first, f"not as clang-format leaves it: clang-format -i {path}"


def is_shell(path, text):
    return path.endswith(".sh") or re.match(r"#!\s*\S*/(env )?(ba|da)?sh\b", text)


def rule_scripts(files):
    for path, text in files.items():
        if is_shell(path, text):
            done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True,
                                  check=False)
            if done.returncode:
                yield path, 1, done.stderr.strip().splitlines()[0]
        elif path.endswith(".py") or text.startswith("#!/usr/bin/python3"):
            try:
                ast.parse(text, path)
            except SyntaxError as error:
                yield path, error.lineno or 1, str(error)


def rule_links(files):
    folders = {posixpath.dirname(path) for path in files}
    folders |= {posixpath.dirname(folder) for folder in folders}
    for path, number, line in each_line(files, (".md",)):
        for target in re.findall(r"\]\(([^)#\s]+)", line):
            # these: `ninja docs`
            if re.match(r"[a-z]+:", target) or path.startswith("docs/pages/"):
                continue
            full = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if full not in files and full not in folders:
                yield path, number, f"the link {target} leads nowhere"


def named_file(name, files, folders):
    """Whether a path or <header> that a page names is there; "" where it names none."""
    header = re.fullmatch(r"<(hv|arch)/([\w/.]+)>", name)
    if header:
        return f"{header[1]}/include/{header[1]}/{header[2]}" in files
    if not re.fullmatch(r"(hv|arch|boot|drivers|docs|images|libc-shim|tests)/[\w/.*-]*", name):
        return ""
    return bool(fnmatch.filter(files, name)) or name.rstrip("/") in folders


def rule_page_names(files):
    """Files, functions, structs and enums that the pages about the architecture name are there."""
    folders = {posixpath.dirname(path) for path in files}
    folders |= {posixpath.dirname(folder) for folder in folders}
    code = [text for path, text in files.items() if path.startswith(OURS)
            and path.endswith(SOURCES + (".py",))]
    calls = {name for text in code for name in re.findall(r"\b(\w+)\(", text)}
    for path, number, line in each_line(files, (".md",)):
        for name in re.findall(r"`([^`]+)`", line) if path.startswith("docs/pages/arch") else ():
            there = named_file(name, files, folders)
            call = re.fullmatch(r"(\w+)\(\)", name)
            kind = re.fullmatch(r"(?:struct|enum) \w+", name)
            if call:
                there = call[1] in calls
            elif kind:
                there = any(f"{name} {{" in text for text in code)
            if not there and there != "":
                yield path, number, f"there is no {name}"


# functions of others that comments name
FOREIGN = {"cpu_clear_ignne"}
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def rule_comment_calls(files):
    """A function that a comment or a README names by `name()` is there: also after a rename."""
    code = {path: text for path, text in files.items() if path.endswith(SOURCES)}
    words = FOREIGN | {word for text in code.values()
                       for word in re.findall(r"\w+", COMMENT.sub(" ", text))}
    for path, text in files.items():
        if path.endswith("README.md"):
            parts = [(0, text)]
        else:
            parts = [(c.start(), c[0]) for c in COMMENT.finditer(code.get(path, ""))]
        for at, part in parts:
            for call in re.finditer(r"\b([a-z_][a-z0-9_]*)\(\)", part):
                if call[1] not in words:
                    line = text.count("\n", 0, at + call.start()) + 1
                    yield path, line, f"there is no {call[0]}"


def rule_machine_traces(files):
    paths = re.compile(r"(^|[^A-Za-z0-9_.])/(wo[r]k|ro[o]t|ho[m]e/[a-z])/")
    hosts = re.compile(r"\b(deb|security|snapshot|ftp)\.deb[i]an\.org|"
                       r"registry\.np[m]js\.org|\bpyp[i]\.org")
    for path, number, line in each_line(files, ("",)):
        if paths.search(line):
            yield path, number, "a path of somebody's machine"
        elif hosts.search(line):
            yield path, number, "a package registry's host"


def rule_no_binaries(files):
    pattern = re.compile(r"\.(o|a|so|elf|efi|img|iso|qcow2|deb|fd|bin|vmdk|cpio|gz|xz|zst|aml|"
                         r"psf)$", re.I)
    for path, text in files.items():
        if pattern.search(path) or "\0" in text:
            yield path, 1, "a binary or generated file in the tree"
        elif len(text) > 400_000:
            yield path, 1, "a file above 400 kB"


def rule_sources_built(files):
    ninja = "".join(text for path, text in files.items() if path.endswith(".ninja"))
    variables = dict(re.findall(r"^(\w+) = (\S+)$", ninja, re.M))
    ninja = re.sub(r"\$(\w+)", lambda found: variables.get(found[1], found[0]), ninja)
    ninja = re.sub(r"#.*", "", ninja)
    scripts = "".join(re.sub(r"#.*", "", text) for path, text in files.items()
                      if path.startswith("tests/") and text.startswith("#!"))
    for path in files:
        if path.endswith((".c", ".S")) and path.startswith(OURS) and path not in ninja:
            # a test may build its own program
            if not (path.startswith("tests/") and path in scripts):
                yield path, 1, "no .ninja file builds this source"


GUEST_FACING = ("hv/guest/", "hv/vio/", "hv/pci/", "hv/vm/io.c", "hv/vm/exit.c", "hv/vm/vintc.c")
AT_START = re.compile(r"/(load\w*|elf|acpi\w*|fdt|efi|build)\.c$")     # run before the guest
GUEST_VALUE = re.compile(r"\b(gpr|arg|cmd)\[|\b(io|a|e)\. (addr|val|reason|mem|pio|sysreg)\b"
                         r"|\bqueue_select\b")
BOUNDED = re.compile(r"index_nospec|[&%] "
                     r"?~?(?:0x[0-9a-f]+|\d+|\(?[A-Z]\w*|sizeof)|__builtin_c[lt]z")
NOSPEC = "/* nospec: "


def bodies(text):
    """(first line, text) of each function: no comments, and no < or > but those that compare."""
    blank = without_comments(text).replace("->", ". ").replace("<<", "??").replace(">>", "??")
    lines = blank.split("\n")
    for start, count in functions(text):
        yield start, "\n".join(lines[start - 1:start - 1 + count])


def closing(body, at):
    """The offset of the ] that closes the [ before `at`."""
    depth = 1
    while depth and at < len(body):
        depth += {"[": 1, "]": -1}.get(body[at], 0)
        at += 1
    return at - 1


def subscripts(body):
    """(offset, expression) of each [expression] that follows a name, a ) or a ]."""
    for found in re.finditer(r"(?<=[\w)\]])\[", body):
        yield found.start(), body[found.end():closing(body, found.end())]


def compared(body):
    """The operands of a function's comparisons, as one text: no subscripts, no loop headers, no
    assertions, which are about what no guest steers."""
    body = re.sub(r"\b\w*assert\w*\([^;]*;", ";", body)
    while re.search(r"\[[^\[\]]*\]", body):
        body = re.sub(r"\[[^\[\]]*\]", "", body)
    body = re.sub(r"\bfor \([^;]*;[^;]*;", ";", body)
    parts = re.split(r"&&|\|\||[?;{},]| = |\breturn\b|\bif\b|\bwhile\b", body)
    return " ; ".join(part for part in parts if re.search(r"[<>]", part))


def unmasked(index, body, checked):
    """Names in an index that the function compares with a bound and does not mask. A loop's counter
    is none."""
    for name in re.findall(r"(?<![\w.])[A-Za-z_]\w*(?:\. ?\w+)*(?![\w.(])", index):
        word = re.escape(name)
        counts = re.search(rf"\bfor \([^;=]*\b{word} = |\b{word}\+\+|\+\+{word}\b", body)
        masked = re.search(rf"(?<![\w.]){word} = [^;,]*index_nospec", body)
        found = re.search("[a-z]", name) and re.search(rf"(?<![\w.]){word}\b", checked)
        if found and not counts and not masked:
            yield name


def rule_guest_index(files):
    for path, text in files.items():
        guest = path.startswith(GUEST_FACING) and path.endswith((".c", ".h"))
        if not guest or AT_START.search(path):
            continue
        source = text.split("\n")
        for start, body in bodies(text):
            checked = compared(body)
            for at, index in subscripts(body):
                line = start + body.count("\n", 0, at)
                if BOUNDED.search(index) or any(NOSPEC in near for near in source[line - 2:line]):
                    continue
                if GUEST_VALUE.search(index) or any(unmasked(index, body, checked)):
                    yield path, line, (f"[{index.replace('. ', '->')}]: a CPU may run ahead past "
                                       f"the check "
                                       "of this index: mask it with index_nospec(), or say why no "
                                       "guest "
                                       f"steers it: {NOSPEC}... */")


TAKES_MEMORY = re.compile(r"^\s.*\b(malloc|calloc|realloc|pmm_alloc|pmm_alloc_zero)\(")
CHARGED = "/* charge: "          # on the line, or alone on the line above


def rule_charged(files):
    """Memory for a guest comes from vm_alloc() and vm_pages(), or a comment says who pays for
    it."""
    for path, text in files.items():
        ours = path.startswith(("hv/", "arch/", "drivers/")) and not path.startswith("arch/host/")
        if ours and path.endswith((".c", ".h")):
            source = text.split("\n")
            for number, line in enumerate(without_comments(text).split("\n"), 1):
                found = TAKES_MEMORY.match(line)
                above = source[number - 2].lstrip()
                if found and CHARGED not in source[number - 1] and not above.startswith(CHARGED):
                    yield (path, number, f"{found[1]}(): for a guest use vm_alloc() or vm_pages(), "
                           f"else say who pays: {CHARGED}... */")


CAN_FAIL = re.compile(r"^(?:extern )?(?:int|int32_t|int64_t) (?!must_check\b)(\w+)"
                      r"\([^;{]*\)[^;{]*;", re.M)


def rule_must_check(files):
    """Who calls what can fail has to look: `(void)!f()`, with a reason, where nobody can care."""
    for path, text in files.items():
        if path.endswith(".h") and path.startswith(("hv/", "arch/", "drivers/", "boot/")):
            plain = without_comments(text)
            for found in CAN_FAIL.finditer(plain):
                yield (path, plain.count("\n", 0, found.start()) + 1,
                       f"{found[1]}() can fail: `int must_check {found[1]}(...)`, or void")


SEQ_CST_STORE = re.compile(r"__atomic_store_n\([^;{}]*?__ATOMIC_SEQ_CST\)", re.S)


def rule_seq_cst_stores(files):
    """A load that follows may still come first: <hv/order.h>."""
    for path, text in files.items():
        ours = path.startswith(("hv/", "arch/", "drivers/")) and not path.startswith("arch/host/")
        if ours and path.endswith((".c", ".h")):
            plain = without_comments(text)
            for found in SEQ_CST_STORE.finditer(plain):
                yield (path, plain.count("\n", 0, found.start()) + 1,
                       "__ATOMIC_RELEASE, and store_before_load() where a load must stay behind it")


LICENSE = "SPDX-License-Identifier: BSD-2-Clause"
LICENSED = SOURCES + (".lds", ".asl", ".pml", ".proof", ".py", ".awk", ".ninja")


def rule_license(files):
    for path, text in files.items():
        script = text.startswith("#!")
        if script or path.endswith(LICENSED):
            lines = text.split("\n", 2)[script:]
            if not lines or lines[0] not in (f"/* {LICENSE} */", f"# {LICENSE}"):
                yield path, 1 + script, f"this line does not say {LICENSE}"


def rule_header_guards(files):
    for path, text in files.items():
        guarded = "#pragma once" in text or re.search(r"#ifndef (\w+)\n#define \1\b", text)
        if path.endswith(".h") and not guarded:
            yield path, 1, "neither #pragma once nor an include guard"


def rule_pci_drivers(files):
    """A driver that is in no section is built and never asked."""
    for path, text in files.items():
        if not path.startswith("drivers/") or not path.endswith(".c"):
            continue
        for number, line in enumerate(without_comments(text).split("\n"), 1):
            found = re.search(r"\bstruct pci_driver (\w+) =", line)
            if found and f"PCI_DRIVER({found[1]});" not in text:
                yield path, number, f"no PCI_DRIVER({found[1]}): it would never be probed"


def function_names(text):
    """(first line, last line, name) of each function."""
    plain = without_comments(text).split("\n")
    for start, length in functions(text):
        head = "\n".join(plain[:start])
        names = re.findall(r"^\w[\w \t*]*?(\w+)\([^;{}]*\)\s*\{", head, re.M)
        yield start, start + length - 1, names[-1] if names else "?"


# In hv/vio/virtqueue.c: what only these functions may name. A queue works under what was copied
# when it was enabled.
RING_SETUP = (
    (re.compile(r"\bvirtio_has\b|\bdriver_features\b"), ()),
    (re.compile(r"\bs->(size|desc|driver|device)\b"), ("setup_of",)),
    (re.compile(r"(->|\.)host\b"), ("ring_at", "map_parts")),
    (re.compile(r"(->|\.)set = "), ("vq_clear", "vq_enable")),
)


def rule_ring_setup(files):
    text = files.get("hv/vio/virtqueue.c", "")
    where = list(function_names(text))
    for number, line in enumerate(without_comments(text).split("\n"), 1):
        inside = [name for first, last, name in where if first <= number <= last]
        for pattern, allowed in RING_SETUP:
            found = pattern.search(line)
            if found and not set(inside) & set(allowed):
                yield ("hv/vio/virtqueue.c", number,
                       f"{found[0]}: an enabled queue works under q->set alone")


def anchors(path, text):
    """(line, file, text) of each place in the code that a proof or a self-test names by its
    text."""
    if re.match(r"tests/proof/\w+\.proof$", path):
        for number, line in enumerate(text.split("\n"), 1):
            found = re.match(r"(?:/\* before| \* mutant) (\S+) \| (.*?)(?: \| .*)?$", line)
            if found:
                yield number, found[1], found[2]
    elif path == "tests/tsan/selftest.py":
        for node in ast.walk(ast.parse(text)):
            words = [part.value for part in node.elts if isinstance(part, ast.Constant)] \
                if isinstance(node, ast.Tuple) else []
            if len(words) == 4 and str(words[1]).endswith((".c", ".h")):
                yield node.lineno, words[1], words[2]


def rule_anchors(files):
    """Whoever changes the code that a proof, a model or a mutant names learns of it here, not from
    a long test."""
    for path, text in files.items():
        if path.startswith("tests/proof/") and path.endswith(".pml"):
            for what in spin.broken_ties(text, files.get):
                yield path, 1, what
        for number, file, anchor in anchors(path, text):
            times = files.get(file, "").count(anchor)
            if times != 1:
                yield path, number, f"found {times} times in {file}, not once: {anchor}"


# A static function's name is in one file of an image only, so that a back trace that says NAME+0x12
# is clear; in these folders not yet, where no other folder has the name.
NOT_YET = {"drivers/block", "hv/guest/aarch64", "hv/guest/x86_64"}
STATIC_FUNCTION = re.compile(r"^static\b[^;={}]*?\b"
                             r"(?!__attribute__|aligned\b|printf_like|void\b|static)(\w+)\(", re.M)


def host_isa(path):
    """The ISA of the host whose image alone holds the file; "" for all."""
    part = path.split("/")
    return part[1] if part[0] in ("arch", "boot") and len(part) > 2 and part[1] != "common" else ""


def rule_static_names(files):
    where = {}
    for path, text in files.items():
        if path.endswith(".c") and path.startswith(("hv/", "arch/", "drivers/", "boot/")):
            plain = without_comments(text)
            for found in STATIC_FUNCTION.finditer(plain):
                line = plain.count("\n", 0, found.start(1)) + 1
                where.setdefault(found[1], {}).setdefault(path, line)
    for name, at in where.items():
        for path, line in at.items():
            isa = host_isa(path)
            others = sorted(other for other in at if other != path
                            and (not isa or host_isa(other) in ("", isa)))
            if others and posixpath.dirname(path) not in NOT_YET:
                yield path, line, (f"static {name}() is in {', '.join(others)} as well: "
                                   f"give it a name that says whose it is")


# A function that asserts to be on CPU 0, and where its public header says so: in the comment beside
# it, in the block of lines around it, in the section's comment or in the header's first.
ASSERTS_CPU0 = re.compile(r"^(?!static\b)[\w ]+[ *](\w+)\([^;{}]*\)\n\{\n(?:(?!^\}).)*?"
                          r"^    assert_cpu0\(\);", re.M | re.S)
CPU0_SAID = re.compile(r"\bCPU 0\b|\b[Bb]oot\b")
SECTION = re.compile(r"/\*[\s*]*----.*?\*/", re.S)


def rule_contexts(files):
    asserting = {found[1] for path, text in files.items()
                 if path.endswith(".c") and path.startswith(("hv/", "arch/", "drivers/"))
                 for found in ASSERTS_CPU0.finditer(text)}
    for path, text in files.items():
        if not path.endswith(".h") or "/include/" not in path:
            continue
        plain = COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
        head = text.split("\n#")[0] if "\n#" in text else ""
        for found in re.finditer(r"\b(\w+)\([^;{}]*\)[^;{}()]*;", plain):
            before, after = text[:found.start()], text[found.end():]
            said = [head, *SECTION.findall(before)[-1:]]
            said += [before.split("\n\n")[-1], after.split("\n", 1)[0]]
            if found[1] in asserting and not CPU0_SAID.search(" ".join(said)):
                yield path, text.count("\n", 0, found.start()) + 1, (
                    f"{found[1]}() asserts that it is on CPU 0, and its header does not say so")


# A public function that must be checked, and the errors that it can return: those that its body
# names, and those of the functions whose results it hands on. The comment above it, or behind it,
# names each one, or the function whose errors they are (`errors as of f()`).
DEFINED = re.compile(r"^(static )?(?:inline )?[A-Za-z_][\w *]*?\b(\w+)\(([^;{}]*?)\)\n\{\n(.*?)^\}",
                     re.M | re.S)
MADE = re.compile(r"(?<![=!]= )(?<!case )-(E[A-Z0-9]+)\b")
CAUGHT = re.compile(r"== -(E[A-Z0-9]+)\b")
HANDED_ON = re.compile(r"\breturn ([^;]*);|\b(?:err|ret|rc|e) = ([^;]*);|\((?:err|ret) = ([^;]*?;)",
                       re.S)
INNER = re.compile(r"^#[^\n]*|^(?:struct|enum|union) \w+ \{.*?^\}", re.M | re.S)
PROMISED = re.compile(r"\bmust_check\s+(?!__)(\w+)\([^;{}]*\)[^;{}()]*;")


class Errors:
    """Which errors each function of the hypervisor can return."""

    def __init__(self, files):
        self.where = {}
        self.made = {}
        self.handed = {}
        for path, text in files.items():
            if path.endswith(".c") and path.startswith(("hv/", "arch/", "drivers/")):
                for found in DEFINED.finditer(without_comments(text)):
                    self.add(path, bool(found[1]), found[2], found[4])
        while any([self.hand_on(key) for key in self.handed]):
            pass

    def add(self, path, static, name, body):
        caught = set(CAUGHT.findall(body))
        calls = {call for part in HANDED_ON.findall(body)
                 for call in re.findall(r"\b(\w+)\(", " ".join(part))}
        self.where.setdefault(name, []).append((path, static))
        self.made[name, path] = set(MADE.findall(body))
        self.handed[name, path] = calls, caught

    def meant(self, name, path):
        """The definitions that a call in `path` can mean."""
        where = self.where.get(name, [])
        own = [(name, at) for at, _ in where if at == path]
        return own or [(name, at) for at, static in where if not static]

    def hand_on(self, key):
        calls, caught = self.handed[key]
        got = {error for call in calls for other in self.meant(call, key[1])
               for error in self.made[other]} - caught
        new = got - self.made[key]
        self.made[key] |= new
        return bool(new)

    def of(self, name):
        return {error for key in self.meant(name, "") for error in self.made[key]}


def rule_contract_errors(files):
    errors = Errors(files)
    for path, text in files.items():
        if not path.endswith(".h") or "/include/" not in path:
            continue
        plain = COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
        for found in PROMISED.finditer(plain):
            before, after = INNER.sub("", text[:found.start()]), text[found.end():]
            said = " ".join([*COMMENT.findall(before)[-1:], *SECTION.findall(before)[-1:],
                             after.split("\n", 1)[0]])
            known = set(re.findall(r"\bE[A-Z0-9]+\b", said))
            for other in re.findall(r"\b(\w+)\(\)", said):
                known |= errors.of(other)
            lacks = errors.of(found[1]) - known
            if lacks and "any error" not in said:
                yield path, text.count("\n", 0, found.start()) + 1, (
                    f"{found[1]}() can return -{', -'.join(sorted(lacks))}, and its contract "
                    f"does not say so")


RULES = {name[5:].replace("_", "-"): rule for name, rule in list(globals().items())
         if name.startswith("rule_")}


def tree(top):
    """{path: text} of every file that git tracks or would."""
    listed = subprocess.run(["git", "-C", top, "ls-files", "-z", "--cached", "--others",
                             "--exclude-standard"],
                            text=True, capture_output=True, check=True).stdout.split("\0")
    files = {}
    for path in filter(None, listed):
        full = os.path.join(top, path)
        if os.path.isfile(full):
            with open(full, encoding="utf-8", errors="replace") as source:
                files[path] = source.read()
    return files
