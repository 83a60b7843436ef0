# SPDX-License-Identifier: BSD-2-Clause
"""What gdb reads at `./images/run --gdb`: stops the machine at hv_main(), and compares the build ID
in its memory with that of the symbols, so that nobody reads another build's names.

gdb-multiarch build/ISA/trivet.elf -ex 'target remote ADDRESS' -x images/gdb.py
"""
import gdb

ID_BYTES = 20       # of a SHA-1: the linker's --build-id=sha1
NOTE_HEAD = 16      # bytes before it: three words and the name GNU
NO_ID = 3           # the exit status of a gdb that runs by itself, when the builds differ


def build_id():
    """The build ID of the running Trivet, from its memory, as hexadecimal digits."""
    at = int(gdb.parse_and_eval("(unsigned long)&__build_id_start")) + NOTE_HEAD
    return bytes(gdb.selected_inferior().read_memory(at, ID_BYTES)).hex()


def stop_at_start():
    """Hardware breakpoints only: Trivet is not in memory yet, and its code is never writable."""
    gdb.execute("set breakpoint auto-hw on")
    gdb.execute("thbreak hv_main", to_string=True)
    gdb.execute("continue")


def check():
    wanted, found = gdb.objfiles()[0].build_id, build_id()
    if found != wanted:
        print(f"trivet: the machine runs build {found}, these symbols are of build {wanted}: "
              f"build the image again, or give gdb the trivet.elf that it was made from")
        gdb.execute(f"quit {NO_ID}")
    print(f"trivet: build {found}; stopped at hv_main(). Use hbreak for functions, continue to go "
          f"on, Ctrl-C to stop; thread N is CPU N - 1")


gdb.execute("set pagination off")
gdb.execute("set confirm off")
stop_at_start()
check()
