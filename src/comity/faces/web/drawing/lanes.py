"""The graph of a plan with a lane for each organization: where its tasks and what joins them lie.

Columns are ranks, so that whatever goes into a task lies to its left. A plan of very many tasks is drawn by its rounds:
the tasks of a round that do the same at one organization are one box, which leads to that round alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from comity.faces.web.words import kind, word

LABELLED, SMALL = 200, 600
"""Up to how many boxes have labels, and from how many tasks on rounds are collapsed, where a plan has them."""

LANE_GAP, EDGE = 18, 24


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """A task of the graph, or several that are one box."""

    key: str
    lane: str
    column: int
    label: str
    statuses: Mapping[str, int]
    target: str
    """Where it leads to."""


@final
@dataclass(frozen=True, kw_only=True)
class Box:
    """A step where it lies."""

    x: float
    y: float
    key: str
    label: str
    said: str
    kind: str
    target: str


@final
@dataclass(frozen=True, kw_only=True)
class Lane:
    """The part of one organization."""

    name: str
    y: float
    height: float


@final
@dataclass(frozen=True, kw_only=True)
class Graph:
    """Everything where it lies, in pixels of a picture that is not zoomed."""

    width: float
    height: float
    box_width: float
    box_height: float
    lanes: Sequence[Lane]
    boxes: Sequence[Box]
    edges: str
    """The curves between boxes, as one SVG path."""
    labelled: bool


def graph(steps: Sequence[Step], edges: Iterable[tuple[str, str]]) -> Graph:
    """Lay out steps and the edges between their keys; an edge to a step that is not there is left out."""
    labelled = len(steps) <= LABELLED
    width, height, gap, room = (132.0, 30.0, 8.0, 44.0) if labelled else (12.0, 12.0, 3.0, 14.0)
    columns = {rank: at for at, rank in enumerate(sorted({each.column for each in steps}))}
    stacked: Counter[tuple[str, int]] = Counter((each.lane, each.column) for each in steps)
    lanes, y = list[Lane](), 0.0
    for name in sorted({each.lane for each in steps}):
        most = max(count for (lane, _), count in stacked.items() if lane == name)
        lanes.append(Lane(name=name, y=y, height=most * (height + gap) - gap + 2 * LANE_GAP))
        y += lanes[-1].height
    top = {lane.name: lane.y + LANE_GAP for lane in lanes}
    used: Counter[tuple[str, int]] = Counter()
    at: dict[str, tuple[float, float]] = {}
    boxes = list[Box]()
    for each in steps:
        place = (each.lane, each.column)
        x = EDGE + columns[each.column] * (width + room)
        at[each.key] = (x, top[each.lane] + used[place] * (height + gap))
        used[place] += 1
        boxes.append(_box(each, *at[each.key]))
    curves = (_curve(at[a], at[b], width, height) for a, b in dict.fromkeys(edges) if a in at and b in at)
    return Graph(
        width=2 * EDGE + len(columns) * (width + room) - room if columns else 2 * EDGE,
        height=y,
        box_width=width,
        box_height=height,
        lanes=lanes,
        boxes=boxes,
        edges="".join(curves),
        labelled=labelled,
    )


def together(statuses: Mapping[str, int]) -> str:
    """The kind of several statuses: what is worst of what has ended, once nothing goes on any more.

    >>> together({"STATUS_DONE": 3, "STATUS_EXECUTING": 1}), together({"STATUS_DONE": 3, "STATUS_FAILED": 1})
    ('doing', 'failed')
    """
    kinds = {kind(status) for status in statuses}
    for each in ("doing", "failed", "waiting", "canceled"):
        if each in kinds:
            return "doing" if each == "waiting" and "done" in kinds else each
    return "done"


def _box(each: Step, x: float, y: float) -> Box:
    said = ", ".join(
        f"{count} {word(name).lower()}" if count > 1 else word(name) for name, count in each.statuses.items()
    )
    return Box(
        x=x,
        y=y,
        key=each.key,
        label=each.label,
        said=f"{each.label}, {each.lane}: {said}",
        kind=together(each.statuses),
        target=each.target,
    )


def _curve(start: tuple[float, float], end: tuple[float, float], width: float, height: float) -> str:
    (x1, y1), (x2, y2) = (start[0] + width, start[1] + height / 2), (end[0], end[1] + height / 2)
    bend = max(10.0, (x2 - x1) / 2)
    return f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
