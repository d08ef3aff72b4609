"""What a run gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike

from comity.engine.compressing import own
from comity.engine.evaluation import evaluate
from comity.engine.experiment import Experiment
from comity.engine.history import Round, Scores, rounds_table, saved, series
from comity.engine.sites import Sites, SitesGiven
from comity.ports.memories import Memories
from comity.privacy.statement import Statement
from comity.values import codec, tree
from comity.values.digest import Digest
from comity.values.errors import unknown
from comity.values.rows import Rows, same_columns
from comity.values.strategy import Memory
from comity.values.table import Cell, Table
from comity.values.tree import Array, Tree

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One experiment, run: the model, its history, and the baselines beside it."""

    experiment: Experiment
    sites: Sequence[str]
    """Names of the sites that trained, as the user gave them."""
    history: Sequence[Round]
    state: Any
    """The strategy's state after the round that the model is of."""
    round: int
    """The round that the model is of: the best by `experiment.best`, else the last."""
    memories: Memories = field(repr=False)
    columns: Sequence[str]
    """Names of x's columns at the sites; empty when they have none."""
    engine: Mapping[str, Any]
    """Engine, threads and versions the run was made with."""
    statements: Mapping[str, Statement] = field(default_factory=dict[str, Statement])
    """What differential privacy promises at each site, of all rounds; empty without it."""
    baselines: Mapping[str, Run] = field(default_factory=dict[str, "Run"], repr=False)
    """Runs of the same experiment: "pooled", and each site's name for that site alone."""

    @property
    def model(self) -> Tree:
        """The model's parameters, without any site's private part; read-only."""
        return tree.read_only(self.experiment.strategy.model(self.state, {}))

    @property
    def digest(self) -> Digest:
        """The digest of the model's parameters."""
        return codec.digest(self.model)

    @property
    def planned(self) -> int:
        """How many rounds there may be: the experiment's, or those done already when it was taken up for fewer."""
        return max(self.experiment.rounds, len(self.history))

    @property
    def chosen(self) -> str:
        """What the test rows decided, for a reader of figures measured on them; empty when nothing."""
        best, stop = self.experiment.best, self.experiment.stop
        if best is None and (stop is None or len(self.history) >= self.experiment.rounds):
            return ""
        what = f"round chosen by {best}" if best is not None else f"stopped by {stop.metric}" if stop else ""
        return f"{what} on these test rows"

    def memory(self, site: str) -> Memory:
        """What a site remembered when the model was made."""
        if site not in self.sites:
            raise unknown("site", site, self.sites)
        return own(self.memories.get(site, self.round))

    def model_at(self, site: str) -> Tree:
        """The model's parameters at a site, its private part included; read-only."""
        return tree.read_only(self.experiment.strategy.model(self.state, self.memory(site)))

    def predict(self, x: ArrayLike, *, site: str | None = None) -> Array:
        """Predictions for x (n, ...), an array or a data frame, with the shared model, or with that of a site.

        Raises InvalidInput for a data frame whose columns are others than the sites', or in another order.
        """
        rows = Rows(np.asarray(x) if isinstance(x, tuple) else x)  # pyright: ignore
        same_columns(("these rows", rows.columns), ("the rows the model was trained on", tuple(self.columns)))
        return self.experiment.predict(self.model if site is None else self.model_at(site), rows.x)

    def series(self, metric: str, *, site: str | None = None) -> tuple[list[int], list[float]]:
        """Round numbers and a metric's values: over all sites, or at one."""
        self.experiment.metric(metric)
        return series(self.history, metric, site)

    def scores(self, metric: str) -> tuple[float | None, float | None]:
        """(mean over the sites, over all test rows together) of the model; None where there is none.

        A plain function has no figure over all rows together.
        """
        pools = self.experiment.metric(metric).pools
        made = next((each for each in self.history if each.number == self.round), None)
        if made is None or made.pooled is None:
            return None, None
        value = made.pooled[metric]
        if not pools and not made.sites:  # under a secure sum, whose sum over sites is that of their figures
            return (value if value == value else None), None
        return made.mean(metric), value if pools and value == value else None

    def evaluate(self, sites: SitesGiven) -> tuple[Scores, dict[str, Scores]]:
        """(metrics over all test rows of these sites, metrics by site), e.g. for external validation.

        A site that took part is measured with its own private part, any other with the shared model.
        """
        own, measured = set(self.sites), Sites(sites)
        measured.expect("the rows the model was trained on", tuple(self.columns))
        return evaluate(
            self.experiment,
            self.experiment.model,
            self.state,
            sites=measured,
            memory_of=lambda name: self.memory(name) if name in own else {},
        )

    def table(self) -> Table:
        """What was found, for analytics; else the comparison, or the rounds where there are no metrics."""
        return self.found or (self.comparison() if self.experiment.measures else self.rounds())

    @property
    def found(self) -> Table | None:
        """What a strategy that is a result in itself found, e.g. coefficients; None for one that trains a model."""
        return self.experiment.strategy.table(self.state)

    def comparison(self) -> Table:
        """A row for the run and for each baseline: every metric, mean of the sites and over all test rows."""
        kinds = [
            (metric.name, at, kind)
            for metric in self.experiment.measures
            for at, kind in enumerate(["mean of sites", "all test rows"])
            if metric.pools or kind == "mean of sites"
        ]
        columns = ["method", *(f"{name}, {kind}" for name, _, kind in kinds)]
        methods = {
            **{f"{name} alone": self.baselines[name] for name in self.sites if name in self.baselines},
            **{name: run for name, run in self.baselines.items() if name not in self.sites},
            type(self.experiment.strategy).__name__: self,
        }
        rows: list[list[Cell]] = [
            [method, *(run.scores(name)[at] for name, at, _ in kinds)] for method, run in methods.items()
        ]
        took_part = len({name for each in self.history for name in each.included})
        sites = (
            f"{len(self.sites)} sites" if took_part == len(self.sites) else f"{took_part} of {len(self.sites)} sites"
        )
        title = f"round {self.round} of {self.planned}, {sites}"
        if kinds and all(each.pooled is None for each in self.history):
            title += "; nothing was measured, for no site has test rows"
        if took := saved(self.history):
            title += f"; {took}"
        return Table(f"{title}; {self.chosen}" if self.chosen else title, columns, rows)

    def rounds(self) -> Table:
        """A row for each round: participants and metrics."""
        return rounds_table(self.history)

    def plot(self) -> Figure:
        """Every metric by round: over all sites in bold, each site, and the baselines; or curves of survival.

        Raises InvalidInput when there is neither.
        """
        from comity.engine.figure import figure

        return figure(self)

    def save(self, directory: str | Path) -> Path:
        """Write the report folder: model, metrics, figure, experiment, a readable summary."""
        from comity.engine.report import save

        return save(self, directory)

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()  # pyright: ignore[reportPrivateUsage]
