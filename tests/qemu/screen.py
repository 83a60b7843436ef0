# SPDX-License-Identifier: BSD-2-Clause
"""A machine's screen, read back as text: each cell is compared with the font's glyphs."""
import os

import trivet

FONT = os.path.join(trivet.TOP, "build/deps/font/font.psf")
WIDTH, HEIGHT = 8, 16


def _glyphs():
    """{16 bytes of a glyph: its character}"""
    with open(FONT, "rb") as file:
        data = file.read()[4:]
    return {data[16 * c:16 * c + 16]: chr(c) for c in range(126, 31, -1)}


def _dump(machine, device):
    """The screen as (width, height, RGB bytes), from a PPM file."""
    path = os.path.join(machine.folder, "screen.ppm")
    answer = machine.qmp("screendump", filename=path, **({"device": device} if device else {}))
    assert "return" in answer, answer
    with open(path, "rb") as file:
        kind, size, _, pixels = file.read().split(b"\n", 3)
    os.remove(path)
    assert kind == b"P6"
    width, height = map(int, size.split())
    return width, height, pixels


def read(machine, device=None):
    """The screen's rows as text, without spaces at their ends; what is no glyph is a `?`."""
    width, height, pixels = _dump(machine, device)
    glyphs, rows = _glyphs(), []
    lit = bytes(1 if pixels[i] > 100 else 0 for i in range(0, len(pixels), 3))
    for top in range(0, height - HEIGHT + 1, HEIGHT):
        row = ""
        for left in range(0, width - WIDTH + 1, WIDTH):
            cell = bytes(int("".join(map(str, lit[(top + y) * width + left:][:WIDTH])), 2)
                         for y in range(HEIGHT))
            row += glyphs.get(cell, "?")
        rows.append(row.rstrip())
    return rows
