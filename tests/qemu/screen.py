# SPDX-License-Identifier: BSD-2-Clause
"""A machine's screen, read back as text: each cell is compared with the font's glyphs. And a PNG
file, read back as pixels."""
import os
import struct
import zlib

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


def png_chunks(data):
    """[(type, bytes)] of a PNG file; each CRC is right, and nothing follows the last one."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:8]
    chunks, at = [], 8
    while at < len(data):
        length, = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        crc, = struct.unpack_from(">I", data, at + 8 + length)
        assert crc == zlib.crc32(kind + body), kind
        chunks.append((kind, body))
        at += 12 + length
    assert chunks[0][0] == b"IHDR" and chunks[-1] == (b"IEND", b"")
    return chunks


def png_pixels(data):
    """(width, height, RGB bytes) of a PNG file; rows are as they are, or less the one above."""
    chunks = png_chunks(data)
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[0][1])
    assert kind == [8, 2, 0, 0, 0], kind
    raw = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    stride = 3 * width
    assert len(raw) == height * (1 + stride)
    above, pixels = bytes(stride), []
    for at in range(0, len(raw), 1 + stride):
        row = raw[at + 1:at + 1 + stride]
        assert raw[at] in (0, 2), raw[at]
        if raw[at] == 2:
            row = bytes((a + b) & 255 for a, b in zip(row, above))
        pixels.append(row)
        above = row
    return width, height, b"".join(pixels)
