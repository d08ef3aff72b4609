"""The picture of a run."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from comity.strategies.kaplan_meier import KaplanMeier
from comity.values.errors import InvalidInput
from comity.values.table import Table

if TYPE_CHECKING:
    from comity.engine.run import Run

FEDERATED, SITE, POOLED, INK, GRID = "#0072b2", "#8c96a3", "#d55e00", "#1f2933", "#e4e7eb"
"""Colours that stay apart in print and for the colour-blind (Okabe and Ito 2008)."""

GROUPS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

DRAWN = 200
"""Up to this many sites are drawn, spread over all of them; more take longer to draw than to train."""

NAMED = 6
"""Up to this many sites have their names beside their lines."""


class Line(NamedTuple):
    """One method or site by round."""

    label: str
    rounds: Sequence[int]
    values: Sequence[float]
    color: str
    width: float
    dashes: str = "-"


def figure(run: Run) -> Figure:
    """One panel for each metric, values by round; of Kaplan-Meier one with its curves.

    Raises InvalidInput when there is nothing to draw.
    """
    metrics, survival = run.experiment.measures, isinstance(run.experiment.strategy, KaplanMeier)
    if not drawn(run):
        raise InvalidInput("there is nothing to draw: the experiment has no metrics; give it some, or see run.table()")
    panels = 1 if survival else len(metrics)
    made = Figure(figsize=(5.8 * panels, 3.8), layout="constrained")
    if survival:
        _survival(made.add_subplot(), run.table())
        return made
    for position, metric in enumerate(metrics, start=1):
        axes = made.add_subplot(1, panels, position)
        curves(axes, run, metric.name)
        if not metric.pools:
            axes.set_title(f"{metric.name}, mean of sites", loc="left", fontsize=11, color=INK, parse_math=False)
    return made


def drawn(run: Run) -> bool:
    """Whether there is anything to draw."""
    return bool(run.experiment.measures) or isinstance(run.experiment.strategy, KaplanMeier)


def _survival(axes: Axes, table: Table) -> None:
    """Survival of each group in steps, with its 95 % interval."""
    for position, group in enumerate(dict.fromkeys(table.column("group"))):
        rows = [row for row in table.records() if row["group"] == group]
        starts = (("time", 0), ("survival", 1), ("95% low", 1), ("95% high", 1))
        times, survival, low, high = (np.array([start, *(row[name] for row in rows)], float) for name, start in starts)
        color = GROUPS[position % len(GROUPS)]
        axes.step(times, survival, where="post", color=color, linewidth=2, label=str(group))
        axes.fill_between(times, low, high, step="post", color=color, alpha=0.15, linewidth=0)
    axes.set_title(table.title, loc="left", fontsize=9, color=INK, parse_math=False, wrap=True)
    axes.set_xlabel("time")
    axes.set_ylabel("survival")
    axes.set_ylim(0, 1.02)
    plain(axes)
    axes.legend(frameon=False, fontsize=8.5)


def curves(axes: Axes, run: Run, metric: str) -> None:
    """A metric by round: each site in grey, pooled rows dashed, the run itself in bold.

    A grey line is the model of that site alone over all test rows, where the run has these baselines;
    else it is the run's own model at that site.
    """
    lines = [line for line in _lines(run, metric) if any(map(isfinite, line.values))]
    for line in lines:
        marker = "o" if len(line.rounds) == 1 else None
        axes.plot(
            line.rounds, line.values, line.dashes, color=line.color, linewidth=line.width, marker=marker, markersize=5
        )
    axes.set_title(metric, loc="left", fontsize=11, color=INK, parse_math=False)
    axes.set_xlabel("round")
    axes.margins(x=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    plain(axes)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    _name(axes, lines, len(_sites(run)[1]))


def plain(axes: Axes) -> None:
    """Leave away what says nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SITE)
    axes.tick_params(colors=INK, labelsize=9)
    axes.set_axisbelow(True)


def _lines(run: Run, metric: str) -> list[Line]:
    alone, sites = _sites(run)
    every = -(-len(sites) // DRAWN) or 1
    return [
        *(
            Line(f"{site} alone", *run.baselines[site].series(metric), SITE, 1.2)
            if alone
            else Line(f"at {site}", *run.series(metric, site=site), SITE, 1.2)
            for site in sites[::every]
        ),
        *(
            Line(label, *baseline.series(metric), POOLED, 1.8, "--")
            for label, baseline in run.baselines.items()
            if label not in run.sites
        ),
        Line(f"{type(run.experiment.strategy).__name__}, all sites", *run.series(metric), FEDERATED, 2.6),
    ]


def _sites(run: Run) -> tuple[bool, list[str]]:
    """(whether each site was also run alone, those whose lines are grey)."""
    alone = [site for site in run.sites if site in run.baselines]
    return bool(alone), alone or list(next((each.sites for each in reversed(run.history) if each.sites), {}))


def _name(axes: Axes, lines: Sequence[Line], sites: int) -> None:
    """Names beside the ends of the lines, moved apart where they would overlap."""
    thin = [line for line in lines if line.color == SITE]
    named = [line for line in lines if line.color != SITE or len(thin) <= NAMED]
    ends = [(next(v for v in reversed(line.values) if isfinite(v)), line) for line in named]
    ends.sort(key=lambda end: end[0])
    low, high = axes.get_ylim()
    for at, (_, line) in zip(apart([value for value, _ in ends], (high - low) / 17), ends, strict=True):
        axes.annotate(
            line.label,
            (1, at),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            color=INK if line.color == SITE else line.color,
            fontsize=8.5,
            fontweight="bold" if line.color == FEDERATED else "normal",
            verticalalignment="center",
            parse_math=False,
        )
    if len(thin) > NAMED:
        grey = f"grey: {len(thin)}{f' of {sites}' if sites > DRAWN else ''} sites"
        axes.text(0.99, 0.02, grey, transform=axes.transAxes, ha="right", fontsize=8.5, color=INK)


def apart(values: Sequence[float], gap: float) -> list[float]:
    """The places nearest to rising values that are at least a gap apart, in least squares.

    Pooling of adjacent violators (Barlow et al. 1972) on the values less their gaps.

    >>> apart([0.0, 5.0, 5.0], gap=1.0)
    [0.0, 4.5, 5.5]
    """
    pools: list[tuple[float, int]] = []
    for position, value in enumerate(values):
        mean, size = value - position * gap, 1
        while pools and pools[-1][0] > mean:
            below, count = pools.pop()
            mean, size = (mean * size + below * count) / (size + count), size + count
        pools.append((mean, size))
    level = [mean for mean, size in pools for _ in range(size)]
    return [each + position * gap for position, each in enumerate(level)]
