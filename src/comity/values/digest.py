"""Digests and canonical JSON: how anything in comity is named by what it is."""

import hashlib
from typing import NewType

import rfc8785

from comity.values.errors import InvalidInput

Digest = NewType("Digest", str)
"""`sha256:` and 64 hexadecimal digits."""


def digest(data: bytes | bytearray | memoryview) -> Digest:
    """The SHA-256 of bytes.

    >>> digest(b"")
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def canonical(document: object) -> bytes:
    """A JSON document as RFC 8785 bytes: one document, one byte string.

    Integers beyond 2^53 and values that are not finite are refused; write them as strings.

    >>> canonical({"b": 1.0, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    try:
        return rfc8785.dumps(document)  # pyright: ignore[reportArgumentType]
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"this cannot be written as canonical JSON ({error}); use plain JSON values") from error
