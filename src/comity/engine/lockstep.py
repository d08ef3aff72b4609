"""Many sums within one round: every site's generator is taken one sum further, together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TypeAlias

from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.strategy import Given, Steps

Add: TypeAlias = Callable[[Iterable[Contribution]], Contribution]
"""The sum of a contribution of each site: `gather`, or one that masks them."""


def settled(sites: Iterable[Given | Steps], add: Add) -> Iterator[Given]:
    """What each site gives, in their order: at once, or when those that sum at every step have done so together.

    Raises InvalidInput when some do and some do not.
    """
    stepping: list[Steps] = []
    for position, site in enumerate(sites):
        if len(stepping) != (position if isinstance(site, Generator) else 0):
            raise InvalidInput("some sites sum at every step of this round and others do not; let all do the same")
        if isinstance(site, Generator):
            stepping.append(site)
        else:
            yield site
    if stepping:
        yield from lockstep(stepping, add)


def lockstep(sites: Sequence[Steps], add: Add) -> list[Given]:
    """What each generator returns, after `total = yield contribution` was answered by the sum of all.

    Raises InvalidInput when one site asks for more sums than another.
    """
    sums = 0
    total: Contribution | None = None
    while True:
        parts: list[Contribution] = []
        ended: list[Given] = []
        for site in sites:
            try:
                parts.append(next(site) if total is None else site.send(total))
            except StopIteration as stop:
                ended.append(stop.value)
        if len(ended) == len(sites):
            return ended
        if ended:
            raise InvalidInput(
                f"after {sums} sums some sites were done and others not; give Train(steps=...) so that all step alike"
            )
        total = add(parts)
        sums += 1
