"""The floor of sealing: AES-256-GCM and SHA-256 over the same chunks, by `cryptography` and hashlib."""

import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def seal_and_hash(key: bytes, chunks: Iterable[bytes], size: int) -> str:
    cipher, seen, sealed = AESGCM(key), hashlib.sha256(), bytearray(size + 16)
    for index, chunk in enumerate(chunks):
        cipher.encrypt_into(index.to_bytes(12, "big"), chunk, None, sealed)
        seen.update(sealed)
    return seen.hexdigest()


def open_and_hash(key: bytes, chunks: Iterable[tuple[bytes, bytes]], size: int) -> str:
    cipher, seen, plain = AESGCM(key), hashlib.sha256(), bytearray(size)
    for nonce, chunk in chunks:
        cipher.decrypt_into(nonce, chunk, None, plain)
        seen.update(plain)
    return seen.hexdigest()
