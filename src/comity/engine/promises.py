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
from comity.values.errors import NotSupported


def statements(experiment: Experiment, sites: Sites, history: Sequence[Round]) -> dict[str, Statement]:
    """Of a simulation, whose sites' rows are known."""
    dp, train = experiment.record_dp, experiment.train
    if (of_sites := experiment.site_dp) is not None:
        numbers = next((each.numbers for each in history), None)
        return dict.fromkeys(sites.given_order, _of_sites(experiment, of_sites, len(sites), numbers))
    if dp is None or train is None:
        return {}
    found: dict[str, Statement] = {}
    for name in sites.given_order:
        if rows := len(sites.load(name).train):
            found[name] = dp.statement(dp.mechanism(rows, train, experiment.trainings))
    return found


def promised(experiment: Experiment, names: Sequence[str]) -> dict[str, Statement]:
    """Of a run on a network, whose sites' rows are known to them alone."""
    if (of_sites := experiment.site_dp) is not None:
        return dict.fromkeys(names, of_sites.statement(experiment.rounds))
    dp = experiment.record_dp
    promise = None if dp is None else dp.promised()
    return {} if promise is None else dict.fromkeys(names, promise)


def for_network(experiment: Experiment) -> None:
    """Raises NotSupported for what only simulations protect so far."""
    if experiment.secure_sum is not None and experiment.site_dp is not None:
        raise NotSupported("networks do not add SiteDP's noise under SecureSum yet; use co.simulate, or one of them")


def _of_sites(experiment: Experiment, dp: SiteDP, sites: int, numbers: int | None) -> Statement:
    if (secure := experiment.secure_sum) is None or numbers is None:
        return dp.statement(experiment.rounds)
    drawn: int = getattr(experiment.strategy, "sites_per_round", 0)
    noise = dp.noise(survivors=secure.needed(drawn or sites), coordinates=numbers, rounds=experiment.rounds)
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
    return lines
