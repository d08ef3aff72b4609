"""The picture of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from comity.engine.run import Run

SHARED, SITE, BASELINE = "#1d4ed8", "#94a3b8", "#c2410c"
"""Colours that stay apart in print and for the colour-blind: the federated run, sites, pooled."""


def figure(run: Run) -> Figure:
    """One panel for each metric, values by round."""
    names = [metric.name for metric in run.experiment.measures]
    made = Figure(figsize=(5.2 * max(1, len(names)), 3.6), layout="constrained")
    for position, name in enumerate(names, start=1):
        axes = made.add_subplot(1, len(names), position)
        for site in run.history[-1].sites or {} if run.history else {}:
            axes.plot(*run.series(name, site=site), color=SITE, linewidth=1, label=f"at {site}")
        for label, baseline in run.baselines.items():
            if label not in run.sites:
                axes.plot(*baseline.series(name), color=BASELINE, linewidth=1.5, linestyle="--", label=label)
        strategy = type(run.experiment.strategy).__name__
        axes.plot(*run.series(name), color=SHARED, linewidth=2.5, label=f"{strategy}, all sites")
        axes.set_xlabel("round")
        axes.set_title(name, loc="left", fontsize=11)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e2e8f0", linewidth=0.8)
        axes.set_axisbelow(True)
        if position == len(names):
            axes.legend(fontsize=8, frameon=False)
    return made
