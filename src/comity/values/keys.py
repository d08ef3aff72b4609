"""An organization's keys: Ed25519 to sign (RFC 8032), X25519 with HPKE to open what is sealed to it (RFC 9180).

A signature is over `comity`, its purpose and the message, so that one made for one purpose is worth nothing
for another. HPKE does not say who sealed: what is sealed is signed by its sender too.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from comity.values.errors import DecodeError

Purpose: TypeAlias = Literal["entry", "request", "mail", "join", "rotation", "sum"]

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

SIZE = 32
"""Bytes of a key of either kind."""

_P = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_WEAK_Y = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})
_WEAK_U = frozenset({0, 1, _P - 1, *((1 + y) * pow(1 - y, -1, _P) % _P for y in (_ORDER_8, _P - _ORDER_8))})
"""The points of small order. One signature fits many messages under such a key, and nothing can be sealed to it."""


@final
class PublicKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What others know of an organization: how to check its signatures, and how to seal to it."""

    signing: str
    """Ed25519 public key, base64."""
    sealing: str
    """X25519 public key, base64."""

    def __post_init__(self) -> None:
        for key, weak in ((self.signing, _WEAK_Y), (self.sealing, _WEAK_U)):
            _check_order(from_base64(key, SIZE), weak)

    def verify(self, purpose: Purpose, message: bytes, signature: bytes) -> None:
        """Raises DecodeError unless the holder of these keys signed the message for this purpose."""
        try:
            Ed25519PublicKey.from_public_bytes(from_base64(self.signing, SIZE)).verify(
                signature, _purposed(purpose, message)
            )
        except InvalidSignature as error:
            raise DecodeError(f"the signature of this {purpose} is not that of the key {self.signing}") from error

    def seal(self, message: bytes, context: bytes) -> bytes:
        """The message for the holder of these keys only; opened with the same context."""
        return SUITE.encrypt(message, sealing_key(from_base64(self.sealing, SIZE)), context)


@final
@dataclass(frozen=True, eq=False)
class Identity:
    """An organization's private keys."""

    signing: Ed25519PrivateKey
    sealing: X25519PrivateKey

    @staticmethod
    def generate() -> Identity:
        """New keys from the system's generator."""
        return Identity(Ed25519PrivateKey.generate(), X25519PrivateKey.generate())

    @staticmethod
    def from_bytes(data: bytes) -> Identity:
        """The keys that `to_bytes` wrote; raises DecodeError when these are not 64 bytes."""
        if len(data) != 2 * SIZE:
            raise DecodeError(f"an organization's keys are {2 * SIZE} bytes, not {len(data)}")
        return Identity(
            Ed25519PrivateKey.from_private_bytes(data[:SIZE]), X25519PrivateKey.from_private_bytes(data[SIZE:])
        )

    def to_bytes(self) -> bytes:
        """64 bytes to be kept where only the organization can read them."""
        return self.signing.private_bytes_raw() + self.sealing.private_bytes_raw()

    @property
    def public(self) -> PublicKeys:
        """What others may know."""
        return PublicKeys(
            signing=to_base64(self.signing.public_key().public_bytes_raw()),
            sealing=to_base64(self.sealing.public_key().public_bytes_raw()),
        )

    def sign(self, purpose: Purpose, message: bytes) -> bytes:
        """64 bytes that `PublicKeys.verify` accepts for the same purpose and message."""
        return self.signing.sign(_purposed(purpose, message))

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """What was sealed to these keys; raises DecodeError when it was not, or for another context."""
        try:
            return SUITE.decrypt(sealed, self.sealing, context)
        except (InvalidTag, ValueError) as error:
            raise DecodeError("this was not sealed to these keys, or not for this context") from error


def sealing_key(data: bytes) -> X25519PublicKey:
    """The X25519 key of these bytes; raises DecodeError when they are not 32, or a point of small order."""
    if len(data) != SIZE:
        raise DecodeError(f"an X25519 key is {SIZE} bytes, not {len(data)}")
    _check_order(data, _WEAK_U)
    return X25519PublicKey.from_public_bytes(data)


def to_base64(data: bytes) -> str:
    """Standard base64 with padding.

    >>> to_base64(bytes(3))
    'AAAA'
    """
    return base64.b64encode(data).decode()


def from_base64(text: str, size: int | None = None) -> bytes:
    """The bytes; raises DecodeError unless this is base64 in its one canonical form, of so many bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError(f"{text[:80]!r} is not base64") from error
    if to_base64(data) != text:
        raise DecodeError(f"{text[:80]!r} is not canonical base64")
    if size is not None and len(data) != size:
        raise DecodeError(f"{text[:80]!r} holds {len(data)} bytes where {size} belong")
    return data


def _check_order(key: bytes, weak: frozenset[int]) -> None:
    if int.from_bytes(key, "little") % 2**255 % _P in weak:
        raise DecodeError(f"{to_base64(key)} is a key of small order, which protects nothing; generate another")


def _purposed(purpose: Purpose, message: bytes) -> bytes:
    return b"comity " + purpose.encode() + b"\n" + message
