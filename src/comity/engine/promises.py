"""What differential privacy promises of a run, site by site, and what to tell a reader of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from comity.engine.experiment import Experiment
from comity.engine.history import Round
from comity.engine.sites import Sites
from comity.privacy.site_dp import SiteDP
from comity.privacy.statement import Statement


def statements(experiment: Experiment, sites: Sites, history: Sequence[Round]) -> dict[str, Statement]:
    """Of a simulation, whose sites' rows are known: of the sites whose part went into a round."""
    dp, train = experiment.record_dp, experiment.train
    took_part = {name for each in history for name in each.included}
    names = [name for name in sites.given_order if name in took_part]
    if (of_sites := experiment.site_dp) is not None:
        numbers = next((each.numbers for each in history), None)
        promise = _of_sites(experiment, of_sites, len(sites), numbers)
        return {} if promise is None else dict.fromkeys(names, promise)
    if dp is None or train is None:
        return {}
    found: dict[str, Statement] = {}
    for name in names:
        if rows := len(sites.load(name).train):
            found[name] = dp.statement(dp.mechanism(rows, train, experiment.trainings))
    return found


def promised(
    experiment: Experiment, names: Sequence[str], *, survivors: int = 0, numbers: int = 0
) -> dict[str, Statement]:
    """Of a run on a network, whose sites' rows are known to them alone.

    survivors: of a secure sum, the fewest whose noise was in one for sure. numbers: of a contribution to it. Where
    sites noise such sums and either is not known, nothing is promised: their noise is not what is added to sums.
    """
    if (of_sites := experiment.site_dp) is not None:
        if experiment.secure_sum is not None:
            if not (survivors and numbers):
                return {}
            return dict.fromkeys(names, _noised_by_sites(experiment, of_sites, survivors, numbers))
        return dict.fromkeys(names, of_sites.statement(experiment.rounds))
    dp = experiment.record_dp
    promise = None if dp is None else dp.promised()
    return {} if promise is None else dict.fromkeys(names, promise)


def _of_sites(experiment: Experiment, dp: SiteDP, sites: int, numbers: int | None) -> Statement | None:
    if (secure := experiment.secure_sum) is None:
        return dp.statement(experiment.rounds)
    if not numbers:
        return None
    drawn: int = getattr(experiment.strategy, "sites_per_round", 0)
    return _noised_by_sites(experiment, dp, secure.needed(drawn or sites), numbers)


def _noised_by_sites(experiment: Experiment, dp: SiteDP, survivors: int, numbers: int) -> Statement:
    noise = dp.noise(survivors=survivors, coordinates=numbers, rounds=experiment.rounds)
    return dp.statement_of(noise, coordinates=numbers, rounds=experiment.rounds)


def document(statement: Statement) -> dict[str, Any]:
    """As JSON; an ε that is infinite is written as null."""
    return {**asdict(statement), "epsilon": statement.epsilon if isfinite(statement.epsilon) else None}


def told(found: Mapping[str, Statement]) -> list[str]:
    """Lines of Markdown, one for each promise and the sites that it is of."""
    sites: dict[Statement, list[str]] = {}
    for name, each in found.items():
        sites.setdefault(each, []).append(name)
    lines = [f"- {', '.join(names)}: {each}." for each, names in sites.items()]
    records = [each.epsilon for each in found.values() if each.unit == "record"]
    if len(records) > 1:
        lines.append(
            f"- Of somebody whose record is at one site, ε is {max(records):.4g} at most; of somebody with one record "
            f"at each of them, {sum(records):.4g}. Test rows are not protected."
        )
    if len(records) < len(found):
        lines.append("- Metrics have no noise: what they tell of a site is beside its ε.")
    return lines
