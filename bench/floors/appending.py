"""The floor of a log in a database: verify the signature, hash, and insert the bytes; one commit a transaction."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def append(cursor: Any, begin: str, mark: str, public: bytes, batches: Sequence[list[tuple[bytes, bytes]]]) -> None:
    """Each batch of (signed message, signature) in one transaction, by a driver's own cursor."""
    key = Ed25519PublicKey.from_public_bytes(public)
    cursor.execute("DROP TABLE IF EXISTS floor")
    cursor.execute("CREATE TABLE floor (hash VARCHAR PRIMARY KEY, leaf BYTEA)")
    for batch in batches:
        cursor.execute(begin)
        for message, signature in batch:
            key.verify(signature, message)
            cursor.execute(f"INSERT INTO floor VALUES ({mark}, {mark})", (sha256(message).hexdigest(), message))
        cursor.execute("COMMIT")
