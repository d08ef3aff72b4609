"""What a demo comes out with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, final

from comity.engine.run import Run
from comity.values.table import Cell, Table


@final
@dataclass(frozen=True, kw_only=True)
class Method:
    """One row of a demo's table: a way to train, and how well its model does."""

    name: str
    mean_over_sites: float | None = None
    pooled_test: float | None = None
    published: float | None = None
    """The figure in the literature for `published_column`."""
    more: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """Further columns."""


@final
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A demo's table, what to know when reading it, and a run to look at."""

    demo: str
    title: str
    metric: str
    methods: Sequence[Method]
    notes: Sequence[str]
    run: Run
    """The federated run that the picture and the report are of."""
    tables: Sequence[Table] = ()
    """Further tables to print below."""

    def table(self) -> Table:
        """The one table."""
        more = list(dict.fromkeys(name for method in self.methods for name in method.more))
        published = any(method.published is not None for method in self.methods)
        sites = any(method.mean_over_sites is not None for method in self.methods)
        columns = ["method", *(["mean of sites"] if sites else []), "all test rows", *more]
        rows: list[list[Cell]] = []
        for method in self.methods:
            cells: list[Cell] = [method.name, *([method.mean_over_sites] if sites else []), method.pooled_test]
            rows.append([*cells, *(method.more.get(name) for name in more), *([method.published] if published else [])])
        return Table(f"{self.title}: {self.metric}", [*columns, *(["published"] if published else [])], rows)

    def document(self, seconds: float) -> dict[str, Any]:
        """As the one JSON object that `--json` prints."""
        methods = {
            m.name: {
                "mean_over_sites": m.mean_over_sites,
                "pooled_test": m.pooled_test,
                "published": m.published,
                **m.more,
            }
            for m in self.methods
        }
        return {"demo": self.demo, "methods": methods, "seconds": round(seconds, 2)}


def mean_scores(runs: Sequence[Run], metric: str) -> tuple[float | None, float | None]:
    """(mean over sites, over all test rows), each the mean over runs that differ in their seed."""
    scores = [run.scores(metric) for run in runs]
    sites = [mean for mean, _ in scores if mean is not None]
    pooled = [value for _, value in scores if value is not None]
    return (fmean(sites) if sites else None, fmean(pooled) if pooled else None)
