"""How far sealing and hashing a blob is from AES-256-GCM and SHA-256 over the same bytes, and opening likewise.

Usage: python bench/seal.py [MiB]. Prints ours, floor and their ratio in CPU-seconds: the median of nine
interleaved pairs, with quartiles. The plaintext is one chunk again and again; needs as much memory as it is long.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from itertools import repeat
from pathlib import Path
from time import process_time

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from floors.sealing import open_and_hash, seal_and_hash

from comity.values.stream import CHUNK, open_chunks, seal_chunks

PAIRS = 9


def main(mebibytes: int) -> None:
    key, chunk = os.urandom(32), os.urandom(CHUNK)
    sealed = list(seal_chunks(key, repeat(chunk, mebibytes)))
    nonces = [bytes(7) + i.to_bytes(4, "big") + bytes([i == mebibytes - 1]) for i in range(mebibytes)]
    print(f"{mebibytes} MiB in chunks of 1 MiB, sealed or opened and hashed; CPU-seconds, {PAIRS} pairs")
    print(f"{'':8}{'ours':>9}{'floor':>9}{'ratio':>8}  quartiles")
    compare(
        "seal",
        lambda: hashed(seal_chunks(key, repeat(chunk, mebibytes))),
        lambda: seal_and_hash(key, repeat(chunk, mebibytes), CHUNK),
    )
    compare(
        "open",
        lambda: hashed(open_chunks(key, sealed)),
        lambda: open_and_hash(key, zip(nonces, sealed, strict=True), CHUNK),
    )


def hashed(chunks: Iterable[bytes]) -> str:
    seen = hashlib.sha256()
    for chunk in chunks:
        seen.update(chunk)
    return seen.hexdigest()


def compare(name: str, ours: Callable[[], object], floor: Callable[[], object]) -> None:
    pairs = np.array([(seconds(ours), seconds(floor)) for _ in range(PAIRS)])
    low, ratio, high = np.quantile(pairs[:, 0] / pairs[:, 1], [0.25, 0.5, 0.75])
    print(f"{name:8}{np.median(pairs[:, 0]):9.4f}{np.median(pairs[:, 1]):9.4f}{ratio:8.2f}  {low:.2f} to {high:.2f}")


def seconds(run: Callable[[], object]) -> float:
    start = process_time()
    run()
    return process_time() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1024)
