"""How long a round takes whose sum is masked, beside the same round in the clear.

Usage: python -m bench.masked_round [MEGABYTES] [ROUNDS]: a model of 100 MB, 3 rounds, unless given. The rounds are
those of `bench.round`, without any work, on one network of 4 sites and an aggregator: first a plan whose contributions
are added in the clear, sealed on their way, then one with `co.privacy.SecureSum(bits=32)`, which moves as many bytes.
Prints seconds of a round for both, their ratio, and what encoding and masking one contribution takes by itself.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from bench.chaos.network import Network, started
from bench.round import SITES, WARMING, begun, ended, stages
from bench.watching import MEGABYTE, Watch
from null_round import Null

import comity as co
from comity.privacy import masks
from comity.privacy.masks import Masks
from comity.privacy.secure_sum import SecureSum
from comity.privacy.vector import Vector
from comity.values.digest import digest
from comity.values.transform import Transform

SECURE = SecureSum(clip=1000.0, bits=32, max_weight=1)


def main(megabytes: int, rounds: int) -> None:
    """Print the figures."""
    numbers = megabytes * MEGABYTE // 4
    with TemporaryDirectory() as made, started(Path(made, "network"), 1 + SITES) as network:
        (hub,), (aggregator, *sites) = network.processes("hub"), network.processes("node")
        watched = {"hub": [hub], "aggregator": [aggregator], "a site": sites[:1]}
        with Watch(watched) as before:
            clear = seconds(network, numbers, rounds, ())
        with Watch(watched) as watch:
            masked = seconds(network, numbers, rounds, [SECURE])
    encoding, masking = by_itself(numbers)
    print(f"{megabytes} MB down to {SITES} sites and up again, {rounds} rounds")
    for name, values in (("in the clear", clear), ("masked", masked)):
        shown = ", ".join(f"{each:.3f}" for each in values)
        print(
            f"{name:14}{median(values):7.3f} s   {median(values) / median(clear):5.2f} times in the clear   ({shown})"
        )
    print(f"of it at a site, by itself: encoding {encoding:.3f} s, masking {masking:.3f} s")
    print("MB at most, proportional; without what is mapped of files:")
    for name in watched:
        for way, seen in (("in the clear", before), ("masked", watch)):
            print(f"{name:12}{way:14}{seen.proportional[name]:5.0f}{seen.anonymous[name]:5.0f}")


def seconds(network: Network, numbers: int, rounds: int, privacy: list[Transform] | tuple[()]) -> list[float]:
    """Of each round of a plan, but for the first two."""
    plan = begun(network, Null(numbers), WARMING + rounds, privacy)
    while not ended(network, plan, WARMING + rounds):
        pass
    took, _ = stages(network, plan, range(WARMING + 1, WARMING + rounds + 1))
    return took


def by_itself(numbers: int) -> tuple[float, float]:
    """Seconds that it takes to encode a contribution, and to mask it for so many sites."""
    scale = SECURE.scale(SITES)
    given = co.Contribution({"w": np.linspace(-1, 1, numbers, dtype=np.float32)}, 1)
    vector = Vector(given, scale, norm=None, rounding=bytes(32))
    length = 2**21  # as terms have it
    own = Masks(session=digest(b"x"), own=[("a", bytes(32), 1)], pairs=[("a", name, bytes(32), 1) for name in "bcd"])
    buffer = np.empty(min(length, vector.layout.size), masks.ring(32))
    encoding = masking = 0.0
    for index in range(-(-vector.layout.size // length)):
        begin = time.perf_counter()
        segment = vector.segment(index, length, buffer)
        middle = time.perf_counter()
        masks.apply(segment, own.of(index))
        encoding += middle - begin
        masking += time.perf_counter() - middle
    return encoding, masking


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    main(*(given + [100, 3][len(given) :]))
