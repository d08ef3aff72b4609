"""The floor of a masked sum: AES-128-CTR keystreams added piece by piece, and numbers moved at the speed of memory."""

import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PIECE = 1 << 17
ZEROS = bytes(PIECE)


def encode(floats: np.ndarray, out: np.ndarray) -> None:
    """Each number read once and written once, as an integer of the ring."""
    np.copyto(out.view(f"i{out.itemsize}"), floats, casting="unsafe")


def mask(out: np.ndarray, count: int) -> None:
    """So many masks, while a piece is in the cache."""
    streams = [Cipher(algorithms.AES(os.urandom(16)), modes.CTR(bytes(16))).encryptor() for _ in range(count)]
    buffer = bytearray(PIECE + 15)
    drawn = np.frombuffer(buffer, out.dtype, PIECE // out.itemsize)
    for first in range(0, len(out), len(drawn)):
        piece = out[first : first + len(drawn)]
        for stream in streams:
            stream.update_into(memoryview(ZEROS)[: piece.nbytes], buffer)
            np.add(piece, drawn[: len(piece)], out=piece)


def site(floats: np.ndarray, out: np.ndarray, sites: int) -> None:
    """What a site cannot do without: its numbers encoded, its own mask, and one with each other site."""
    encode(floats, out)
    mask(out, sites)


def aggregate(inputs: list[np.ndarray], total: np.ndarray, dropped: int) -> None:
    """What an aggregator cannot do without: inputs added, a mask of each taken off, and one for each pair cut apart."""
    total[:] = 0
    for each in inputs:
        np.add(total, each, out=total)
    mask(total, len(inputs) * (1 + dropped))
