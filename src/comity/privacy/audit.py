"""The sum done again by anybody who is given what the aggregator was told: the log's root must come out.

Everything that sites said may be shown afterwards: seeds of survivors and masking keys of the others are open
then, and each input still wears the masks of its pairs.
"""

from __future__ import annotations

from collections.abc import Iterable

from comity.privacy import aggregator, messages
from comity.privacy.aggregator import PHASES, Aggregation
from comity.privacy.messages import FromSite
from comity.privacy.opening import Fetch, root_of_sum, totals, verified
from comity.privacy.terms import Terms
from comity.values.digest import Digest, digest
from comity.values.errors import DecodeError


def said(state: Aggregation) -> tuple[FromSite, ...]:
    """What the aggregator was told, in the order of phases and names."""
    return tuple(
        each[name]
        for each in (state.advertised, state.shared, state.inputs, state.agreed, state.openings)
        for name in sorted(each)
    )


def again(terms: Terms, told: Iterable[FromSite]) -> Aggregation:
    """The aggregator's state, from what it was told; raises when any of it was not said, or does not fit."""
    state, waiting = aggregator.begin(terms), list(told)
    for kind in filter(None, PHASES.values()):
        for message in waiting:
            if type(message) is kind:
                state = aggregator.receive(state, message)
        state, _ = aggregator.close(state)
    return state


def root(state: Aggregation, fetch: Fetch) -> Digest:
    """The root of the sum that these messages and masked segments make."""
    secrets = aggregator.unmasking(state)
    segments = [
        digest(total.data) for total in totals(state.terms, state.inputs, secrets, verified(state.inputs, fetch))
    ]
    return root_of_sum(state.terms, messages.digest_of(*state.commitments), segments)


def audit(terms: Terms, told: Iterable[FromSite], fetch: Fetch, *, logged: str) -> None:
    """Raises DecodeError unless the sum of these messages and masked segments is the one that was logged."""
    made = root(again(terms, told), fetch)
    if made != logged:
        raise DecodeError(f"the sum that was logged is {logged}, but what the sites gave makes {made}")
