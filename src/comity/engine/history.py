"""What happened, round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, final

from comity.values.errors import unknown
from comity.values.table import Cell, Table

Scores = Mapping[str, float]
"""Metric name to value."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: who took part, who did not, and how the model then did."""

    number: int
    included: Sequence[str]
    missing: Sequence[str] = ()
    """Selected, but not included."""
    attempts: int = 1
    """How often the round was begun until enough sites were there."""
    pooled: Scores | None = None
    """Metrics over all sites' test rows; None when this round was not evaluated."""
    sites: Mapping[str, Scores] | None = None
    """Metrics by site; none of them under a secure sum."""
    seconds: float = 0.0
    """Wall time of training and evaluation."""
    error: float | None = None
    """What each float of the contributions' sum is off by, at most, as a secure sum rounds; None for a clear one."""
    clipped: int = 0
    """Floats that sites clipped for it, all together."""

    numbers: int | None = None
    """Of a contribution to a secure sum."""
    clip: float | None = None
    """The largest norm of a contribution under SiteDP; None without it."""
    sent: int | None = None
    """Bytes of the contributions' arrays as they travelled, all together; None where they were not compressed."""
    uncompressed: int | None = None
    """Bytes that they would have taken as they were."""

    def mean(self, metric: str) -> float | None:
        """The mean over the sites where the metric is defined; None when not evaluated or nowhere defined."""
        values = [s[metric] for s in (self.sites or {}).values() if s[metric] == s[metric]]
        return sum(values) / len(values) if values else None

    def document(self) -> dict[str, Any]:
        """As JSON; what is not finite is written as null."""
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "pooled": None if self.pooled is None else _nulls(self.pooled),
            "sites": None if self.sites is None else {name: _nulls(scores) for name, scores in self.sites.items()},
        }


def round_from(document: Mapping[str, Any]) -> Round:
    """The round that `document` was made of."""
    made = dict(document)
    for name in ("included", "missing"):
        made[name] = tuple(made[name])
    if made["pooled"] is not None:
        made["pooled"] = _nans(made["pooled"])
    if made["sites"] is not None:
        made["sites"] = {name: _nans(scores) for name, scores in made["sites"].items()}
    return Round(**made)


def series(history: Sequence[Round], metric: str, site: str | None = None) -> tuple[list[int], list[float]]:
    """Evaluated round numbers, and the metric there: over all sites, or at one."""
    evaluated = [each for each in history if each.pooled is not None and each.sites is not None]
    numbers = [each.number for each in evaluated]
    if evaluated and metric not in (evaluated[0].pooled or {}):
        raise unknown("metric", metric, evaluated[0].pooled or {})
    if site is None:
        return numbers, [(each.pooled or {})[metric] for each in evaluated]
    if evaluated and site not in (evaluated[0].sites or {}):
        raise unknown("site", site, evaluated[0].sites or {})
    return numbers, [(each.sites or {})[site][metric] for each in evaluated]


def saved(history: Sequence[Round]) -> str:
    """What compression has saved, for a reader; empty where there was none."""
    sent = sum(each.sent or 0 for each in history)
    uncompressed = sum(each.uncompressed or 0 for each in history)
    if not uncompressed:
        return ""
    return f"contributions took {byte_text(sent)} instead of {byte_text(uncompressed)} ({sent / uncompressed:.0%})"


def byte_text(count: int) -> str:
    """So many bytes, for a reader.

    >>> byte_text(999), byte_text(12_345), byte_text(2_345_678_901)
    ('999 B', '12.3 kB', '2.35 GB')
    """
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if count >= 10**power:
            return f"{count / 10**power:.3g} {unit}"
    return f"{count} B"


def rounds_table(history: Sequence[Round]) -> Table:
    """A row for each round: participants and metrics over all sites."""
    metrics = next((list(each.pooled) for each in history if each.pooled is not None), [])
    sizes = ["bytes sent", "uncompressed"] if any(each.sent is not None for each in history) else []
    rows: list[list[Cell]] = []
    for each in history:
        scores: list[Cell] = [None if each.pooled is None else each.pooled[m] for m in metrics]
        took: list[Cell] = [each.sent, each.uncompressed] if sizes else []
        rows.append([each.number, len(each.included), ", ".join(each.missing) or None, each.seconds, *took, *scores])
    return Table("rounds", ["round", "sites", "missing", "seconds", *sizes, *metrics], rows)


def _nulls(scores: Scores) -> dict[str, float | None]:
    return {name: value if isfinite(value) else None for name, value in scores.items()}


def _nans(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if value is None else value for name, value in scores.items()}
