"""A blob sealed for the wire: AES-256-GCM in STREAM form.

Source: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance", CRYPTO 2015 (STREAM); NIST SP 800-38D (GCM).

The plaintext is cut into chunks of 1 MiB; only the last may be shorter, and it is empty only when the
whole plaintext is. Each chunk is sealed on its own under

    nonce (12 bytes) = prefix, 7 bytes of zero | the chunk's index, 4 bytes, big-endian | last ? 1 : 0

so that a chunk changed, moved, doubled or left out, at the end too, is refused at once, and work is taken
up again at any chunk. The prefix may be fixed because a key is used for one plaintext only: whoever seals
makes a random key per blob and keeps it, so that a resumed upload goes on with the same ciphertext.

NOT promised: anything when one key seals two plaintexts; who sealed it; that no second key opens it (GCM
does not commit to its key). The signed header that carries the key and the plaintext's digest settles both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from comity.values.errors import DecodeError, InvalidInput

KEY = 32
CHUNK = 2**20
TAG = 16
SEALED_CHUNK = CHUNK + TAG
MOST_CHUNKS = 2**32 - 1
PREFIX = bytes(7)

Bytes = bytes | bytearray | memoryview


def seal_chunk(key: bytes, index: int, *, last: bool, plaintext: Bytes) -> bytes:
    """One sealed chunk: the ciphertext and its tag of 16 bytes.

    Raises InvalidInput for a key that has not 32 bytes, an index from 2^32 - 1 on, or a chunk that is not
    full without being the last.

    >>> seal_chunk(bytes(32), 0, last=True, plaintext=b"heart").hex()
    '41a4455080ab4468be20702e2c14852e823870a46e'
    """
    if not _fits(index, len(plaintext), last=last):
        raise InvalidInput(
            f"chunk {index} has {len(plaintext)} bytes; each but the last has {CHUNK}, and only an empty blob is empty"
        )
    return _cipher(key).encrypt(_nonce(index, last=last), plaintext, None)


def open_chunk(key: bytes, index: int, *, last: bool, sealed: Bytes) -> bytes:
    """The plaintext of one sealed chunk.

    Raises DecodeError for anything but what `seal_chunk` made with this key, index and flag; InvalidInput for
    a key or an index that it refuses.
    """
    if not _fits(index, len(sealed) - TAG, last=last):
        raise DecodeError(f"sealed chunk {index} has {len(sealed)} bytes, which no sealed chunk has; fetch it again")
    try:
        return _cipher(key).decrypt(_nonce(index, last=last), sealed, None)
    except InvalidTag as error:
        raise DecodeError(
            f"sealed chunk {index} was altered, moved or cut off, or has another key; fetch it again"
        ) from error


def seal_chunks(key: bytes, plaintext: Iterable[Bytes], *, first: int = 0) -> Iterator[bytes]:
    """The sealed chunks of a plaintext that comes in pieces of any size, from chunk `first` on.

    A resume gives the plaintext from byte `first * CHUNK` on. Holds one chunk in memory, and is done with a
    piece before it asks for the next one. Raises what `seal_chunk` does.

    >>> [len(chunk) for chunk in seal_chunks(bytes(32), [bytes(CHUNK), b"heart"])]
    [1048592, 21]
    """
    for index, (chunk, last) in enumerate(_cut(plaintext, CHUNK), first):
        yield seal_chunk(key, index, last=last, plaintext=chunk)


def open_chunks(key: bytes, sealed: Iterable[Bytes], *, first: int = 0) -> Iterator[bytes]:
    """The plaintext chunks of a sealed blob that comes in pieces of any size, from chunk `first` on.

    A resume gives the sealed blob from byte `first * SEALED_CHUNK` on. Each chunk was verified before it
    comes out; that none is missing at the end is known only once the iterator has ended without DecodeError.

    >>> b"".join(open_chunks(bytes(32), seal_chunks(bytes(32), [b"he", b"art"])))
    b'heart'
    """
    for index, (chunk, last) in enumerate(_cut(sealed, SEALED_CHUNK), first):
        yield open_chunk(key, index, last=last, sealed=chunk)


def sealed_size(plain_size: int) -> int:
    """How many bytes a plaintext has once sealed; raises InvalidInput beyond 2^32 - 1 chunks.

    >>> sealed_size(0), sealed_size(2**20), sealed_size(2**20 + 1)
    (16, 1048592, 1048609)
    """
    if not 0 <= plain_size <= MOST_CHUNKS * CHUNK:
        raise InvalidInput(f"a blob of {plain_size} bytes cannot be sealed; it may have {MOST_CHUNKS * CHUNK} at most")
    return plain_size + max(1, -(-plain_size // CHUNK)) * TAG


def plain_size(sealed_size_: int) -> int:
    """How many bytes a sealed blob has once opened; raises DecodeError for a size that no sealed blob has.

    >>> plain_size(1048609)
    1048577
    """
    plain = sealed_size_ - -(-sealed_size_ // SEALED_CHUNK) * TAG
    if not 0 <= plain <= MOST_CHUNKS * CHUNK or sealed_size(plain) != sealed_size_:
        raise DecodeError(f"no sealed blob has {sealed_size_} bytes; the announced size is wrong")
    return plain


def _fits(index: int, length: int, *, last: bool) -> bool:
    if last:
        return (0 if index == 0 else 1) <= length <= CHUNK
    return length == CHUNK


def _nonce(index: int, *, last: bool) -> bytes:
    if not 0 <= index < MOST_CHUNKS:
        raise InvalidInput(f"there is no chunk {index}; a sealed blob has at most {MOST_CHUNKS}")
    return PREFIX + index.to_bytes(4, "big") + bytes([last])


def _cipher(key: bytes) -> AESGCM:
    # AESGCM takes shorter keys too, and would then be AES-128 or AES-192.
    if len(key) != KEY:
        raise InvalidInput(f"a blob's key has {KEY} bytes, this one {len(key)}")
    return AESGCM(key)


def _cut(pieces: Iterable[Bytes], size: int) -> Iterator[tuple[memoryview, bool]]:
    """Chunks of `size` bytes and a last one, each with whether it is the last; valid until the next is asked for."""
    chunk, filled = memoryview(bytearray(size)), 0
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            if filled == size:
                yield chunk, False
                filled = 0
            taken = rest[: size - filled]
            chunk[filled : filled + len(taken)] = taken
            filled += len(taken)
            rest = rest[len(taken) :]
    yield chunk[:filled], True
