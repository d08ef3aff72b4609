"""What compression saves and what it takes: bytes, and CPU at a site and where contributions are added.

Usage: python -m bench.compress [PARAMETERS]: 1,000,000 unless given, float32. Ours at a site is what an engine does of
a contribution: compressed, with what the rounding has lost where it is kept. Ours where it is added is a site's file,
read, looked at and added in float64. The floor of the same run moves as many bytes at the speed of memory: each number
read once and written once in fewer bytes, and read once and added. Median of nine interleaved pairs of CPU-seconds.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
from bench.floors import narrowing
from bench.ratio import line

import comity as co
from comity.engine import adding
from comity.engine.compressing import sent
from comity.values import codec
from comity.values.contribution import Contribution

PAIRS = 9

WAYS = {
    "BFloat16()": (co.compression.BFloat16(), np.int16),
    "QSGD(error_feedback=False)": (co.compression.QSGD(error_feedback=False), np.int8),
    "QSGD()": (co.compression.QSGD(), np.int8),
}


def seconds(run: Callable[[], object]) -> float:
    began = process_time()
    run()
    return process_time() - began


def compare(name: str, ours: Callable[[], object], floor: Callable[[], object], scale: float) -> None:
    pairs = [(seconds(ours), seconds(floor)) for _ in range(PAIRS)]
    mine, base = [each[0] for each in pairs], [each[1] for each in pairs]
    print(f"  {name + ', floor':24}{median(base) * scale:9.4f} ms")
    line(name, mine, base, scale, "ms", None)


def main(parameters: int) -> None:
    """Print the figures."""
    floats = np.random.default_rng(0).normal(size=parameters).astype(np.float32)
    contribution = Contribution({"w": floats}, 1)
    scale = 1e3 * 1e6 / parameters
    plain = co.Experiment(
        model=co.numpy.Linear(2),
        train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=1, steps=1),
        strategy=co.FedAvg(),
    )
    print(f"CPU for a million of {parameters} parameters; ours / floor, median of {PAIRS} pairs [quartiles]")
    with TemporaryDirectory() as folder:
        path = Path(folder, "part")
        for name, (compression, narrow) in WAYS.items():
            experiment = replace(plain, compression=compression)
            give = partial(sent, experiment, (contribution, {}), {}, clip=None, place=(1, "a"))
            made = give()
            path.write_bytes(codec.encode(made.arrays.arrays, made.arrays.as_bf16))
            out, total = np.empty(parameters, narrow), np.zeros(parameters)
            print(f"{name}: {made.arrays.nbytes / floats.nbytes:.3f} of {floats.nbytes / 1e6:.0f} MB")
            compare("site", give, partial(narrowing.narrow, floats, out), scale)
            compare(
                "added",
                lambda: deque(adding.added([("a", path)]), 0),
                partial(narrowing.widen_and_add, out, total),
                scale,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
