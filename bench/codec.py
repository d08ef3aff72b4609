"""How far digest, encode and decode are from hashing, copying and reading the same bytes.

Usage: python bench/codec.py [MiB]. Prints ours, floor and their ratio in CPU-seconds: the median of nine
interleaved pairs, with quartiles.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from floors.bytes import check_once, copy_once, hash_once

from comity.values import codec, tree

PAIRS = 9


def main(mebibytes: int) -> None:
    rng = np.random.default_rng(0)
    made = {f"layer{i}": {"w": rng.normal(size=(mebibytes, 2**14)).astype("<f4")} for i in range(16)}
    leaves = list(tree.flatten(made).values())
    data = codec.encode(made)
    body = data[-tree.nbytes(made) :]
    print(f"{tree.nbytes(made) / 2**20:.0f} MiB of float32 in {len(leaves)} arrays; CPU-seconds, {PAIRS} pairs")
    print(f"{'':8}{'ours':>9}{'floor':>9}{'ratio':>8}  quartiles")
    compare("digest", lambda: codec.digest(made), lambda: hash_once(body))
    compare("encode", lambda: codec.encode(made), lambda: copy_once(leaves))
    compare("decode", lambda: codec.decode(data), lambda: check_once(body))


def compare(name: str, ours: Callable[[], object], floor: Callable[[], object]) -> None:
    pairs = np.array([(seconds(ours), seconds(floor)) for _ in range(PAIRS)])
    low, ratio, high = np.quantile(pairs[:, 0] / pairs[:, 1], [0.25, 0.5, 0.75])
    print(f"{name:8}{np.median(pairs[:, 0]):9.4f}{np.median(pairs[:, 1]):9.4f}{ratio:8.2f}  {low:.2f} to {high:.2f}")


def seconds(run: Callable[[], object]) -> float:
    start = process_time()
    run()
    return process_time() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64)
