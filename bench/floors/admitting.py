"""The floor of admitting: read the JSON, verify the signature, hash, and put every event into a dictionary."""

from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def admit(leaves: list[tuple[bytes, bytes, bytes]], public: bytes) -> int:
    """Leaves as (signed message, signature, JSON)."""
    key, held = Ed25519PublicKey.from_public_bytes(public), {}
    for message, signature, body in leaves:
        key.verify(signature, message)
        sha256(body).digest()
        for event in msgspec.json.decode(body)["events"]:
            held[event["key"]] = event
    return len(held)
