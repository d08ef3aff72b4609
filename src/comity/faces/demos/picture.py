"""The picture of a demo: every method beside its published figure, and one run by round."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comity.engine.figure import FEDERATED, GRID, INK, POOLED, SITE, curves, plain
from comity.faces.demos.outcome import Outcome

COLORS = {"alone": SITE, "pooled": POOLED, "federated": FEDERATED, "literature": INK}


def picture(outcome: Outcome) -> Figure:
    """Methods on the left, the run's curves on the right."""
    made = Figure(figsize=(13, max(4.2, 1.4 + 0.28 * len(outcome.methods))), layout="constrained")
    left, right = made.subplots(1, 2, width_ratios=(1.15, 1))
    made.suptitle(outcome.title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=INK)
    _methods(left, outcome)
    metric = outcome.run.experiment.measures[0].name
    curves(right, outcome.run, metric)
    title = f"{outcome.shown}: {metric} by round"
    if outcome.run_note:
        title += f"\n{outcome.run_note}"
    right.set_title(title, loc="left", fontsize=11, color=INK)
    return made


def _methods(axes: Axes, outcome: Outcome) -> None:
    for place, method in enumerate(outcome.methods):
        ours: float | None = getattr(method, outcome.headline)
        weight = "bold" if method.name == outcome.shown else "normal"
        if method.published is not None:
            axes.plot(method.published, place, "D", color=INK, markersize=9, markerfacecolor="none")
        if ours is not None:
            axes.plot(ours, place, "o", color=COLORS[method.kind], markersize=8 if weight == "bold" else 6.5)
        if method.kind == "pooled" and ours is not None:
            axes.axvline(ours, color=POOLED, linewidth=1, linestyle="--", zorder=0)
        _beside(axes, place, ["" if v is None else f"{v:.3f}" for v in (ours, method.published)], weight)
    published = any(method.published is not None for method in outcome.methods)
    _beside(axes, -1, ["● comity", "◇ published" if published else ""], "normal")
    axes.set_title(outcome.metric, loc="left", fontsize=11, color=INK)
    axes.set_yticks(range(len(outcome.methods)), [method.name for method in outcome.methods])
    axes.set_ylim(len(outcome.methods) - 0.4, -0.6)
    plain(axes)
    axes.grid(axis="both", color=GRID, linewidth=0.8)
    axes.tick_params(axis="y", length=0)


def _beside(axes: Axes, place: int, texts: Sequence[str], weight: str) -> None:
    """Texts in columns on the right of the panel."""
    for points, text in zip((52, 120), texts, strict=True):
        axes.annotate(
            text,
            (1, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(points, 0),
            textcoords="offset points",
            color=INK,
            fontsize=9,
            fontweight=weight,
            horizontalalignment="right",
            verticalalignment="center",
        )
