"""Experiments on a network side by side: the settings that differ, and what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from comity.values.table import Cell, Table

ABSENT = ""


def compared(shown: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each experiment, as REST shows its rounds; settings that are the same in all are left out."""
    settings = [dict(flattened(json.loads(each["experiment"]))) for each in shown]
    names = sorted({name for each in settings for name in each})
    differ = [name for name in names if len({each.get(name, ABSENT) for each in settings}) > 1]
    measured = [_last(each) for each in shown]
    metrics = sorted({name for each in measured for name in each})
    rows: list[Sequence[Cell]] = [
        [
            each["name"],
            each["key"],
            each["status"].removeprefix("PLAN_STATUS_").lower(),
            sum(done["state"] is not None or done["end_date"] is not None for done in each["rounds"]),
            ", ".join(each["organizations"]),
            *(setting.get(name, ABSENT) for name in differ),
            *(values.get(name) for name in metrics),
        ]
        for each, setting, values in zip(shown, settings, measured, strict=True)
    ]
    columns = (
        "experiment",
        "key",
        "status",
        "rounds done",
        "sites",
        *differ,
        *(f"{name}, all test rows" for name in metrics),
    )
    return Table(f"{len(shown)} experiments", columns, rows)


def flattened(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every setting of a document by its path; what has a type is called by that.

    >>> dict(flattened({"train": {"type": "Train", "lr": 0.1}, "sizes": [13, 2]}))
    {'train': 'Train', 'train.lr': '0.1', 'sizes.0': '13', 'sizes.1': '2'}
    >>> dict(flattened({"metrics": [{"type": "metrics.auc"}, {"type": "metrics.f1", "threshold": 0.3}]}))
    {'metrics': 'auc, f1', 'metrics.f1.threshold': '0.3'}
    """
    if isinstance(value, list) and value:
        yield from _listed(value, at)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, dict) and value:
        if at and (kind := _type(value)):
            yield at, kind
        yield from _fields(value, at)  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield at, str(value)


def _fields(value: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    for name, each in value.items():
        if name != "type":
            yield from flattened(each, f"{at}.{name}" if at else str(name))


def _listed(value: Sequence[Any], at: str) -> Iterator[tuple[str, str]]:
    kinds = [_type(each) for each in value]
    if all(kinds):
        yield at, ", ".join(kinds)
    for number, (kind, each) in enumerate(zip(kinds, value, strict=True)):
        if not all(kinds):
            yield from flattened(each, f"{at}.{number}")
        else:
            yield from _fields(each, f"{at}.{kind if kinds.count(kind) == 1 else number}")


def _type(value: Any) -> str:
    """The type's name without its module; empty where it has none."""
    return str(value.get("type", "")).rpartition(".")[2] if isinstance(value, dict) else ""  # pyright: ignore


def _last(shown: Mapping[str, Any]) -> dict[str, float | None]:
    """What was measured of the latest state that was."""
    return next((dict(each["pooled"]) for each in reversed(shown["rounds"]) if each["pooled"] is not None), {})
