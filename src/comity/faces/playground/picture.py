"""The rows that a hospital was dealt as a picture: an image each, or a patient's findings in shades of grey."""

from __future__ import annotations

import struct
import zlib
from math import ceil

import numpy as np

from comity.values.rows import Rows
from comity.values.tree import Array

TILE = 28
FRAME = 2
GAP = 2
ACROSS = 20

NEGATIVE, POSITIVE = (0x86, 0x8E, 0x96), (0xE6, 0x49, 0x80)
"""Frames; both can be seen on white and on black."""


def picture(rows: Rows) -> bytes:
    """A PNG of all rows, positive ones first, each in a frame of its class's colour; the rest is transparent."""
    order = np.argsort(-rows.targets, kind="stable")
    tiles = _tiles(rows.x[order])  # (n, TILE, TILE) uint8
    positive = rows.targets[order] > 0
    cell = TILE + 2 * FRAME + GAP
    made = np.zeros((ceil(len(tiles) / ACROSS) * cell, ACROSS * cell, 4), np.uint8)
    for at, tile in enumerate(tiles):
        top, left = at // ACROSS * cell, at % ACROSS * cell
        framed = made[top : top + cell - GAP, left : left + cell - GAP]
        framed[:] = (*(POSITIVE if positive[at] else NEGATIVE), 255)
        framed[FRAME:-FRAME, FRAME:-FRAME, :3] = tile[:, :, None]
    return png(made)


def png(pixels: Array) -> bytes:
    """The PNG file of (h, w, 4) uint8: red, green, blue, alpha (PNG specification, third edition)."""
    height, width, _ = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * 4)], axis=1)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 6)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def _tiles(x: Array) -> Array:
    """(n, TILE, TILE) shades of grey of images in [0, 1], or of standardized columns laid out in a square."""
    if x.ndim > 2:
        return (np.clip(x[:, 0], 0, 1) * 255).astype(np.uint8)
    side = ceil(x.shape[1] ** 0.5)
    shades = np.full((len(x), side * side), 128, np.uint8)
    shades[:, : x.shape[1]] = np.clip(128 + x * 51, 0, 255)  # 2.5 standard deviations to either side
    place = np.arange(TILE) * side // TILE
    return shades.reshape(-1, side, side)[:, place][:, :, place]
