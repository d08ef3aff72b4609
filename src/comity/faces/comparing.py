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
    """Every setting of a document by its path.

    >>> dict(flattened({"train": {"lr": 0.1}, "metrics": ["auc"]}))
    {'train.lr': '0.1', 'metrics.0': 'auc'}
    """
    if isinstance(value, dict | list) and value:
        inner: Any = value.items() if isinstance(value, dict) else enumerate(value)  # pyright: ignore
        for name, each in inner:
            yield from flattened(each, f"{at}.{name}" if at else str(name))
    else:
        yield at, str(value)


def _last(shown: Mapping[str, Any]) -> dict[str, float | None]:
    """What was measured of the latest state that was."""
    return next((dict(each["pooled"]) for each in reversed(shown["rounds"]) if each["pooled"] is not None), {})
