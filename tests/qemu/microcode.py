# SPDX-License-Identifier: BSD-2-Clause
"""Files of microcode as Intel's and AMD's packages have them, with nothing in them: emulators
accept the instruction that loads one, and load nothing."""
import struct

from trivet import scratch

DATE = 0x02132019                       # mmddyyyy
BOCHS = (0x306c3, 0x40651, 0x50654, 0x706e5, 0x806c1)       # its models from Haswell on
EPYC_V3 = 0x800f12


def intel(revision):
    """SDM volume 3 table 9-7: one update for each of Bochs' models."""
    out = b""
    for signature in BOCHS:
        head = [1, revision, DATE, signature, 0, 1, 0, 2000, 2048, 0, 0, 0]
        head[4] = -sum(head) & 0xffffffff
        out += struct.pack("<12I", *head) + bytes(2000)
    return scratch("intel.bin", out)


def amd(revision):
    """A container with one CPU in its table, and one patch."""
    patch = struct.pack("<II16xH38x", DATE, revision, 1) + bytes(192)
    return scratch("amd.bin", b"DMA\0" + struct.pack("<II", 0, 32) +
                   struct.pack("<I8xH2x", EPYC_V3, 1) + bytes(16) +
                   struct.pack("<II", 1, len(patch)) + patch)
