"""Masks: AES-128-CTR keystreams (NIST SP 800-38A) that are added in the ring and cancel, or are taken off again.

A mask's key comes by HKDF-SHA256 (RFC 5869) from what two sites share by X25519 (RFC 7748), or from a
site's own seed, and belongs to one session, one pair or site, and one segment. A keystream is the ring's
elements as it is, little-endian: modulo a power of two nothing is drawn again and nothing is uneven.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from comity.privacy.terms import canonical
from comity.values.digest import Digest
from comity.values.errors import DecodeError
from comity.values.keys import sealing_key
from comity.values.tree import Array

Mask: TypeAlias = tuple[bytes, int]
"""A key, and +1 to add its keystream or -1 to take it off."""

PIECE = 1 << 17
"""Bytes that are masked at a time: the piece stays in the cache while every mask passes over it."""

_ZEROS = bytes(PIECE)
_BLOCK = 16


def ring(bits: int) -> np.dtype[np.unsignedinteger]:
    """The ring's elements as they lie in memory and on the wire."""
    return np.dtype(f"<u{bits // 8}")


def shared_secret(private: bytes, public: bytes) -> bytes:
    """What a pair shares, 32 bytes; raises DecodeError for a public key of small order."""
    own, theirs = X25519PrivateKey.from_private_bytes(private), sealing_key(public)
    try:
        return own.exchange(theirs)
    except ValueError as error:
        raise DecodeError("an X25519 exchange gave nothing but zeros") from error


def pair_key(secret: bytes, session: Digest, one: str, other: str, segment: int) -> bytes:
    """The key of the mask that two sites share in a segment; the same for both."""
    return derived(secret, ["pair", session, *sorted((one, other)), segment])


def own_key(seed: bytes, session: Digest, name: str, segment: int) -> bytes:
    """The key of a site's own mask in a segment."""
    return derived(seed, ["own", session, name, segment])


def derived(secret: bytes, use: Sequence[str | int]) -> bytes:
    """An AES-128 key for one use, 16 bytes."""
    return HKDF(algorithm=SHA256(), length=16, salt=None, info=canonical(list(use))).derive(secret)


def keystream(key: bytes) -> CipherContext:
    """AES-128-CTR from a counter of zero: a key has one stream, so it needs no nonce."""
    return Cipher(algorithms.AES(key), modes.CTR(bytes(_BLOCK))).encryptor()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """The masks of one vector, from which those of each of its segments follow."""

    session: Digest
    own: Sequence[tuple[str, bytes, int]]
    """(site, seed, sign) of masks that belong to a site."""
    pairs: Sequence[tuple[str, str, bytes, int]]
    """(site, site, what they share, sign) of masks that belong to a pair."""

    def of(self, segment: int) -> list[Mask]:
        """Of the segment of this number."""
        return [
            *((own_key(seed, self.session, name, segment), sign) for name, seed, sign in self.own),
            *((pair_key(shared, self.session, a, b, segment), sign) for a, b, shared, sign in self.pairs),
        ]


def apply(segment: Array, masks: Sequence[Mask]) -> None:
    """Add every mask to a segment of the ring, or take it off, in place.

    segment: (d,) of `ring(bits)`, contiguous.
    """
    streams = [(keystream(key), np.add if sign > 0 else np.subtract) for key, sign in masks]
    buffer = bytearray(PIECE + _BLOCK - 1)
    drawn = np.frombuffer(buffer, segment.dtype, PIECE // segment.itemsize)
    for first in range(0, len(segment), len(drawn)):
        piece = segment[first : first + len(drawn)]
        zeros = memoryview(_ZEROS)[: piece.nbytes]
        mask = drawn[: len(piece)]
        for stream, combine in streams:
            stream.update_into(zeros, buffer)
            combine(piece, mask, out=piece)
