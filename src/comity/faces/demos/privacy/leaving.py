"""What leaves the sites of an experiment, as the node that adds it up sees it: all that the attacks are given.

The stages of a round are the engine's own, which simulations and networks run; so are the sessions of a secure sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from comity.engine import stages
from comity.engine.experiment import Experiment
from comity.engine.masked import masked_sums
from comity.engine.repeatable import repeatable
from comity.values.contribution import Contribution, gather
from comity.values.site import Site
from comity.values.tree import Tree


@final
@dataclass(frozen=True, kw_only=True)
class Seen:
    """One round."""

    before: Tree
    """The parameters that all members were sent."""
    parts: Mapping[str, Contribution]
    """What each site sent, in the order of their names; under a secure sum with its masks on."""
    total: Contribution
    after: Tree
    """The parameters that all members are sent next."""


def seen(experiment: Experiment, sites: Sequence[Site]) -> Iterator[Seen]:
    """Every round of an experiment without memories, such as federated averaging."""
    strategy = experiment.strategy
    state = stages.first(experiment, len(sites))
    for number in range(1, experiment.rounds + 1):
        given = {site.name: _part(experiment, state, site, number) for site in sorted(sites, key=lambda s: s.name)}
        masked = masked_sums(experiment, f"round {number}", list(given))
        if masked is None:
            parts, total = given, gather(given.values())
        else:
            session = masked.session(given.values())
            total = session.sum().total
            parts = {name: session.as_shown(name) for name in given}
        before, state = state, stages.following(experiment, state, total)
        yield Seen(before=strategy.model(before, {}), parts=parts, total=total, after=strategy.model(state, {}))


def _part(experiment: Experiment, state: Any, site: Site, number: int) -> Contribution:
    model = experiment.model
    assert model is not None
    random = repeatable(experiment.seed, "privacy", number, site.name)
    work = stages.work(experiment, model, site.name, round=number, run=model.fit, random=random)
    contribution, _ = stages.given(experiment, stages.local(experiment, state, {}, site=site, work=work), clip=None)
    return contribution
