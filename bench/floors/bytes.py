"""The floors of the codec: hashing the bytes, copying them, and reading them once for finiteness."""

import hashlib

import numpy as np


def hash_once(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def copy_once(parts: list[np.ndarray]) -> bytes:
    return b"".join(parts)


def check_once(data: bytes) -> bool:
    return bool(np.isfinite(np.frombuffer(data, "<f4")).all())
