"""How far a secure sum is from its masks: the CPU of a site and of the aggregator, for a million parameters.

Usage: python -m bench.secure_sum [PARAMETERS]: 1,000,000 unless given, float32. Ours is what the callers of the state
machines do: a contribution is looked at, encoded and masked; masked segments are added and unmasked. The floor of the
same run is one pass over memory and n fused AES-CTR masks (n - 1 pairs and its own), and at the aggregator the
additions and the masks that are left. Median of nine interleaved pairs of CPU-seconds, with quartiles. Beside it,
without a floor: the digests of what is sent, which a transfer needs anyway, and all that a site says in a session but
for its numbers, which does not grow with them.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from time import process_time
from typing import cast

import numpy as np
from bench.floors import masking
from bench.ratio import line

from comity.privacy import SecureSum, aggregator, masks, site
from comity.privacy.opening import totals
from comity.privacy.site import SiteState
from comity.privacy.terms import Bits, Terms
from comity.privacy.vector import EXTRA, Vector
from comity.values.contribution import Contribution
from comity.values.digest import digest
from comity.values.keys import Identity

PAIRS = 9
GOAL = 2.0
WEIGHT = 500


class Parties:
    """n sites that are about to mask, and their aggregator."""

    def __init__(self, sites: int, bits: int) -> None:
        self.identities = {f"site{number:02}": Identity.generate() for number in range(sites)}
        roster = {name: each.public for name, each in self.identities.items()}
        self.terms = Terms(plan="bench", sum="1", roster=roster, bits=cast(Bits, bits))
        self.states: dict[str, SiteState] = {}
        self.sent: dict[tuple[str, int], bytes] = {}
        self.aggregation = aggregator.begin(self.terms)
        self.seconds = 0.0
        for name, identity in self.identities.items():
            self.say(site.begin(self.terms, name, identity=identity, random=os.urandom, begun=()))
        self.tell(lambda state, told, who: site.share(state, told, identity=who, random=os.urandom))
        self.aggregation, self.told = aggregator.close(self.aggregation)

    def say(self, made: tuple[SiteState, object]) -> None:
        self.states[made[0].name] = made[0]
        self.aggregation = aggregator.receive(self.aggregation, made[1])

    def tell(self, hear: Callable[..., tuple[SiteState, object]], gone: int = 0) -> None:
        """The end of a phase, and what all sites but the last few say to it."""
        self.aggregation, told = aggregator.close(self.aggregation)
        for name in list(told)[: len(told) - gone]:
            began = process_time()
            made = hear(self.states[name], told[name], self.identities[name])
            self.seconds += process_time() - began
            self.say(made)

    def prepared(self, name: str, size: int) -> SiteState:
        """The state in which a site masks."""
        return site.mask(self.states[name], self.told[name], form=digest(b"bench"), size=size)


def masked(state: SiteState, contribution: Contribution, how: SecureSum, buffer: np.ndarray) -> Iterator[np.ndarray]:
    """The segments of a contribution, encoded and masked by a site in this state, one after the other in a buffer."""
    length = state.terms.segment
    vector = Vector(contribution, how.scale(len(state.terms.names)), norm=None, rounding=bytes(32))
    own = site.masks_of(state)
    for index in range(-(-vector.layout.size // length)):
        segment = vector.segment(index, length, buffer)
        masks.apply(segment, own.of(index))
        yield segment


def opened(parties: Parties, segments: list[np.ndarray], dropped: int) -> Callable[[], object]:
    """The aggregator's work; every site gives the same segments, whose sum is of no interest here."""
    size, data = sum(map(len, segments)), [each.view(np.uint8).data for each in segments]
    digests = [digest(each) for each in data]
    names = list(parties.told)
    for name in names[: len(names) - dropped]:
        parties.say(site.commit(parties.prepared(name, size), digests, identity=parties.identities[name]))
    parties.tell(lambda state, told, who: site.agree(state, told, identity=who))
    parties.tell(lambda state, told, who: site.answer(state, told, identity=who))
    state, _ = aggregator.close(parties.aggregation)
    secrets = aggregator.unmasking(state)
    return lambda: [None for _ in totals(parties.terms, state.inputs, secrets, lambda name, index: data[index])]


def seconds(run: Callable[[], object]) -> float:
    began = process_time()
    run()
    return process_time() - began


def compare(
    name: str, ours: Callable[[], object], floor: Callable[[], object], *, scale: float, goal: float | None
) -> bool:
    pairs = [(seconds(ours), seconds(floor)) for _ in range(PAIRS)]
    mine, base = [each[0] for each in pairs], [each[1] for each in pairs]
    print(f"  {name + ', floor':24}{median(base) * scale:9.4f} ms")
    return line(name, mine, base, scale, "ms", goal)


def main(parameters: int) -> None:
    """Print the figures."""
    floats = np.random.default_rng(0).normal(size=parameters).astype(np.float32)
    contribution = Contribution({"w": floats}, WEIGHT)
    scale, missed = 1e3 * 1e6 / parameters, False
    print(f"CPU for a million of {parameters} parameters; ours / floor, median of {PAIRS} pairs [quartiles]")
    for bits in (16, 32, 64):
        how, ring = SecureSum(bits=bits, clip=1.0 if bits == 16 else 8.0, max_weight=WEIGHT), masks.ring(bits)
        goal = None if bits == 16 else GOAL  # half the masks, and as much to encode: of another floor
        for sites in (4, 10, 40):
            print(f"{sites} sites, {bits} bits")
            parties = Parties(sites, bits)
            state, out = parties.prepared("site00", parameters + EXTRA), np.empty(parameters, ring)
            buffer = np.empty(parties.terms.segment, ring)
            missed |= compare(
                "site",
                lambda s=state, h=how, b=buffer: deque(masked(s, contribution, h, b), 0),
                partial(masking.site, floats, out, sites),
                scale=scale,
                goal=goal,
            )
            segments = [each.copy() for each in masked(state, contribution, how, buffer)]
            for dropped in (0, max(1, sites // 10)):
                parties = Parties(sites, bits)
                missed |= compare(
                    f"aggregator, {dropped} fell out",
                    opened(parties, segments, dropped),
                    partial(masking.aggregate, [out] * (sites - dropped), np.empty_like(out), dropped),
                    scale=scale,
                    goal=goal,
                )
            hashed = median(seconds(lambda s=segments: [digest(e.data) for e in s]) for _ in range(PAIRS))
            print(f"  {'digests':24}{hashed * scale:9.4f} ms")
            print(f"  {'what a site says':24}{parties.seconds / sites * 1e3:9.4f} ms in all")
    sys.exit(missed)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
