"""Curves of measured numbers: where every line, point and tick lies, for a template to write as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, isfinite, log10
from typing import Literal, TypeAlias, final

from comity.faces.web.words import figure

Scale: TypeAlias = Literal["linear", "log"]

WIDTH, HEIGHT = 560, 260
"""Of a chart, in units of its view box."""

LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 34
"""What is left free around the plot."""

COLOURS = 8
"""How many a theme has; further lines begin again."""


@final
@dataclass(frozen=True, kw_only=True)
class Series:
    """One line: what was measured, in the order of where it stands."""

    name: str
    points: Sequence[tuple[int, float, str]]
    """(x, y, what the point leads to)"""
    look: str
    """The class that colours it: s0 to s7, or pooled."""
    group: str = ""
    """What several lines have in common, which then stand under one name in the legend."""


@final
@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A line as it is drawn."""

    name: str
    look: str
    path: str
    """Of an SVG path; empty for a single point."""
    dots: Sequence[tuple[float, float, str, str]]
    """(x, y, what the point leads to, what it says)"""


@final
@dataclass(frozen=True, kw_only=True)
class Named:
    """One name of the legend, and the numbers of the lines that it stands for."""

    name: str
    look: str
    lines: Sequence[int]


@final
@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart of one metric."""

    title: str
    axis: str
    width: int
    height: int
    lines: Sequence[Drawn]
    across: Sequence[tuple[float, str]]
    """(x, label) of the ticks below."""
    up: Sequence[tuple[float, str]]
    """(y, label) of the ticks at the left."""
    legend: Sequence[Named]
    data: object
    """What a script needs to show figures where the pointer is."""

    @property
    def left(self) -> int:
        """Where the plot begins."""
        return LEFT

    @property
    def right(self) -> int:
        """Where it ends."""
        return self.width - RIGHT

    @property
    def bottom(self) -> int:
        """Its lower edge."""
        return self.height - BOTTOM

    @property
    def top(self) -> int:
        """Its upper edge."""
        return TOP


def chart(title: str, series: Sequence[Series], *, axis: str, scale: Scale = "linear") -> Chart:
    """The chart of some lines. On a log scale points that are not above 0 have no place and are left out."""
    shown = [_kept(each, scale) for each in series]
    xs = [x for each in shown for x, _, _ in each.points] or [0]
    ys = [_on(scale, y) for each in shown for _, y, _ in each.points] or [0.0]
    first, last = min(xs), max(xs)
    up = decades(min(ys), max(ys)) if scale == "log" else ticks(min(ys), max(ys), 5)
    low, high = min(up[0], *ys), max(up[-1], *ys)

    def across(x: float) -> float:
        return round(LEFT + (x - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT), 1)

    def above(y: float) -> float:
        return round(HEIGHT - BOTTOM - (y - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM), 1)

    lines = [_drawn(each, axis, [(across(x), above(_on(scale, y))) for x, y, _ in each.points]) for each in shown]
    legend = _legend(shown)
    whole = sorted({round(x) for x in ticks(first, last, 8) if first <= round(x) <= last})
    return Chart(
        title=title,
        axis=axis,
        width=WIDTH,
        height=HEIGHT,
        lines=lines,
        across=[(across(x), str(x)) for x in whole],
        up=[(above(y), f"{10**y:.3g}" if scale == "log" else f"{y:.4g}") for y in up],
        legend=legend,
        data={
            "axis": axis,
            "legend": [{"name": each.name, "lines": each.lines} for each in legend],
            "series": [
                {
                    "name": each.name,
                    "look": each.look,
                    "points": [
                        [x, figure(y), dot[0], dot[1]] for (x, y, _), dot in zip(each.points, line.dots, strict=True)
                    ],
                }
                for each, line in zip(shown, lines, strict=True)
            ],
        },
    )


def _legend(series: Sequence[Series]) -> list[Named]:
    """By their groups where they have some, in the order of the first of each."""
    members: dict[str, list[int]] = {}
    for number, each in enumerate(series):
        members.setdefault(each.group or each.name, []).append(number)
    return [Named(name=name, look=series[lines[0]].look, lines=lines) for name, lines in members.items()]


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers that hold the range between the first and the last of them.

    >>> ticks(0.52, 0.91, 5)
    [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    >>> ticks(3, 3, 5)
    [2.0, 3.0, 4.0]
    """
    if high <= low:
        gap = abs(low) or 1.0
        low, high = (low - gap / 3, high + gap / 3)
        about = 2
    rough = (high - low) / about
    power = 10.0 ** floor(log10(rough))
    step = next(each for each in (power, 2 * power, 2.5 * power, 5 * power, 10 * power) if each >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """Whole powers of ten around a range of logarithms.

    >>> decades(-1.3, 0.2)
    [-2.0, -1.0, 0.0, 1.0]
    """
    first, last = floor(low), max(ceil(high), floor(low) + 1)
    step = ceil((last - first) / 6)
    return [float(each) for each in range(first, last + step, step)]


def _on(scale: Scale, value: float) -> float:
    return log10(value) if scale == "log" else value


def _kept(series: Series, scale: Scale) -> Series:
    points = [each for each in series.points if isfinite(each[1]) and (scale == "linear" or each[1] > 0)]
    return replace(series, points=sorted(points, key=lambda each: each[0]))


def _drawn(series: Series, axis: str, at: Sequence[tuple[float, float]]) -> Drawn:
    dots = [
        (x, y, target, f"{series.name}, {axis} {number}: {figure(value)}")
        for (x, y), (number, value, target) in zip(at, series.points, strict=True)
    ]
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y in at) if len(at) > 1 else ""
    return Drawn(name=series.name, look=series.look, path=path, dots=dots)
