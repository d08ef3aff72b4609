"""Checkpoints: the size and the root of a log, signed by the one who orders it.

C2SP tlog-checkpoint v1.0.0, as a signed note of three lines: origin, size, base64 of the root. Extension lines, which
that text advises against, are refused.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from comity.ledger.merkle import HASH_BYTES, LARGEST_SIZE
from comity.ledger.note import decode_base64, open_note, sign_note
from comity.values.errors import DecodeError, InvalidInput


@final
@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log was at one size."""

    origin: str
    """which log; unique, and one line"""
    size: int
    """how many leaves"""
    root: bytes
    """the root of the Merkle tree over them (RFC 6962), 32 bytes"""

    def __post_init__(self) -> None:
        if not self.origin or "\n" in self.origin:
            raise InvalidInput(f"an origin is one line and not empty, got {self.origin!r}")
        if not 0 <= self.size <= LARGEST_SIZE:
            raise InvalidInput(f"a log's size is 0 to 2^63 - 1, got {self.size}")
        if len(self.root) != HASH_BYTES:
            raise InvalidInput(f"a root has 32 bytes, got {len(self.root)}")


def sign_checkpoint(checkpoint: Checkpoint, name: str, private_key: Ed25519PrivateKey) -> str:
    """The checkpoint as a note signed by the key of this name, which should be the origin.

    Who signs must keep it first: two signed checkpoints that no consistency proof connects are a fork for ever.

    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> checkpoint = Checkpoint("example.org/log", 1, bytes(32))
    >>> open_checkpoint(sign_checkpoint(checkpoint, "example.org/log", key), "example.org/log", key.public_key()).size
    1
    """
    return sign_note(_text(checkpoint), name, private_key)


def open_checkpoint(text: str, name: str, public_key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint in a note that the key of this name signed.

    Raises DecodeError if the note does not open or holds anything but a checkpoint in its one spelling. It does not
    know which log was meant: compare the origin.
    """
    body = open_note(text, name, public_key)
    lines = body.split("\n")
    if len(lines) != 4:
        raise DecodeError(f"a checkpoint has 3 lines (origin, size, root), got {len(lines) - 1}")
    origin, size, root, _ = lines
    try:
        checkpoint = Checkpoint(origin, int(size), decode_base64(root))
    except ValueError as error:
        raise DecodeError(f"the signed text is no checkpoint: {error}") from error
    # int() also reads "+1", "01", "1_0" and other scripts' digits.
    if _text(checkpoint) != body:
        raise DecodeError(f"a size is written in plain decimal digits, got {size!r}")
    return checkpoint


def _text(checkpoint: Checkpoint) -> str:
    root = b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"
