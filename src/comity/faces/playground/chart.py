"""Curves by round as SVG: a band over the seeds and its mean for each method, named where it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import ceil, floor
from typing import TypeAlias

from comity.faces.playground.experiment import methods
from comity.faces.playground.results import METRIC_NAMES, Band, Results, title_of

Place: TypeAlias = Callable[[float], float]

WIDTH, HEIGHT = 440, 260
LEFT, RIGHT, TOP, BOTTOM = 34, 112, 12, 30
"""Around the curves: numbers on the left and below, names on the right."""

APART = 13.0
"""Between two names, at least."""

SHORT = {"federated": "Together", "pooled": "One place"}


def mark(method: str) -> str:
    """The class of everything that is drawn of a method.

    >>> mark("Hospital B"), mark("pooled")
    ('m-b', 'm-pooled')
    """
    return f"m-{method.removeprefix('Hospital ').lower()}"


def chart(results: Results, metric: str) -> str:
    """The curves of a metric, as far as they are known; an SVG that needs the page's styles for its colours."""
    curves = {name: results.curve(name, metric) for name in methods(results.settings)}
    low, high = _range([band for curve in curves.values() for band in curve])
    rounds = results.settings.rounds

    def x(round_: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (round_ - 1) / max(rounds - 1, 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))

    # Together is drawn last, above the others.
    order = sorted(curves, key=lambda name: (name == "federated", name != "pooled"))
    parts = [_axes(x, y, low=low, high=high, rounds=rounds)]
    parts += [_band(curves[name], mark(name), x, y) for name in order]
    parts += [_line(curves[name], mark(name), x, y) for name in order]
    parts += _names({name: y(curves[name][-1].mean) for name in order if curves[name]}, x(rounds) + 8)
    said = "; ".join(f"{title_of(n)} {c[-1].mean:.2f}" for n, c in curves.items() if c) or "nothing yet"
    name = METRIC_NAMES[metric]
    return (
        f'<svg class="curves" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)} by round: {said}">'
        f"{''.join(parts)}</svg>"
    )


def strip(band: Band, method: str, low: float, high: float) -> str:
    """A band as a bar with a dot at its mean, for a row of a table; all rows have the same scale."""
    width, pad = 120, 6

    def x(value: float) -> float:
        return pad + (width - 2 * pad) * (value - low) / (high - low)

    return (
        f'<svg class="strip {mark(method)}" viewBox="0 0 {width} 16" aria-hidden="true">'
        f'<line class="scale" x1="{pad}" y1="8" x2="{width - pad}" y2="8"/>'
        f'<line class="span" x1="{x(band.least):.1f}" y1="8" x2="{x(band.most):.1f}" y2="8"/>'
        f'<circle cx="{x(band.mean):.1f}" cy="8" r="4"/></svg>'
    )


def _range(bands: Sequence[Band]) -> tuple[float, float]:
    """From one tenth to another (or twentieths where all is close), with all bands between."""
    if not bands:
        return 0.5, 1.0
    low, high = min(band.least for band in bands), max(band.most for band in bands)
    step = 0.1 if high - low > 0.12 else 0.05 if high - low > 0.06 else 0.02
    low, high = floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step
    return round(low, 4), round(max(high, low + step), 4)


def _axes(x: Place, y: Place, *, low: float, high: float, rounds: int) -> str:
    step = next(each for each in (0.02, 0.05, 0.1, 0.2) if (high - low) / each <= 6.01)
    ticks = [round(low + step * at, 4) for at in range(int((high - low) / step + 1.001))]
    made = [
        f'<line class="grid" x1="{LEFT}" y1="{y(each):.1f}" x2="{WIDTH - RIGHT}" y2="{y(each):.1f}"/>'
        f'<text class="number" x="{LEFT - 6}" y="{y(each) + 3.5:.1f}" text-anchor="end">{each:g}</text>'
        for each in ticks
    ]
    gap = max(1, ceil(rounds / 5 / 5) * 5 if rounds > 8 else 1)
    marks = [1, *(each for each in range(gap, rounds + 1, gap) if each > 1)]
    made += [
        f'<text class="number" x="{x(each):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{each}</text>' for each in marks
    ]
    made.append(f'<text class="number" x="{WIDTH - RIGHT + 16}" y="{HEIGHT - 12}">rounds</text>')
    return "".join(made)


def _band(curve: Sequence[Band], kind: str, x: Place, y: Place) -> str:
    if len(curve) < 2:
        return ""
    above = [f"{x(at):.1f},{y(each.most):.1f}" for at, each in enumerate(curve, 1)]
    below = [f"{x(at):.1f},{y(each.least):.1f}" for at, each in enumerate(curve, 1)]
    return f'<polygon class="band {kind}" points="{" ".join([*above, *reversed(below)])}"/>'


def _line(curve: Sequence[Band], kind: str, x: Place, y: Place) -> str:
    if not curve:
        return ""
    points = [(x(at), y(each.mean)) for at, each in enumerate(curve, 1)]
    if len(points) == 1:
        return f'<circle class="{kind}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="2.5"/>'
    return f'<polyline class="mean {kind}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>'


def _names(heights: dict[str, float], x: float) -> list[str]:
    """Each at the height where its curve ends, moved apart where they would lie over each other."""
    order = sorted(heights, key=heights.__getitem__)
    placed: list[float] = []
    for name in order:
        placed.append(max(heights[name], placed[-1] + APART if placed else TOP))
    over = placed[-1] - (HEIGHT - BOTTOM) if placed else 0.0
    for at in range(len(placed) - 1, -1, -1):
        most = HEIGHT - BOTTOM if at == len(placed) - 1 else placed[at + 1] - APART
        placed[at] = min(placed[at], most) if over > 0 else placed[at]
    return [
        f'<text class="name {mark(name)}" x="{x:.1f}" y="{at + 4:.1f}">{SHORT.get(name, f"{name[-1]} alone")}</text>'
        for name, at in zip(order, placed, strict=True)
    ]
