"""The table, the picture and the fingerprint of a partition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.container import BarContainer

from comity.data import partition
from comity.values.rows import Rows
from comity.values.site import Site


def site(name: str, y: object, test: int = 0) -> Site:
    labels = np.asarray(y)
    rows = Rows(np.arange(float(len(labels)))[:, None], labels)
    return Site(name, rows, rows.take(np.arange(test)) if test else None)


def test_the_share_of_each_class_by_hand() -> None:
    table = partition.summary([site("A", [0, 0, 0, 2], test=1), site("B", [2, 2])])
    assert table.columns == ("site", "rows", "test", "class 0", "class 2")
    assert table.rows == (("A", 4, 1, 0.75, 0.25), ("B", 2, 0, 0.0, 1.0))


def test_other_targets_give_events_means_or_nothing() -> None:
    survival = partition.summary([site("A", [[5.0, 1], [3.5, 0]])])
    assert (survival.columns[3:], survival.rows[0][3:]) == (("censored", "event"), (0.5, 0.5))
    tasks = partition.summary([site("A", [[1, np.nan, 0], [1, np.nan, np.nan]]), site("B", [[np.nan] * 3])])
    assert tasks.column("mean target") == [pytest.approx(2 / 3), None]
    assert partition.summary([Site("A", Rows(np.zeros((2, 1))))]).columns == ("site", "rows", "test")
    assert partition.summary([site("A", [f"name {i}" for i in range(30)])]).columns == ("site", "rows", "test")
    assert partition.summary([site("A", range(30))]).column("mean target") == [14.5]


def test_the_title_holds_the_fingerprint() -> None:
    sites = [site("A", [0, 1])]
    assert partition.summary(sites).title == f"partition {partition.fingerprint(sites)[:19]}"


def test_the_fingerprint_changes_with_anything_in_it() -> None:
    first = Site("A", Rows(np.zeros((2, 1)), np.zeros(2), columns=("age",), ids=np.array(["a", "b"])))
    others = [
        Site("B", first.train),
        Site("A", first.train, first.train),
        *(
            Site("A", replace(first.train, **change))
            for change in (
                {"x": np.ones((2, 1))},
                {"x": np.zeros((2, 1), np.float32)},
                {"y": np.ones(2)},
                {"y": None},
                {"columns": ("sex",)},
                {"ids": np.array(["a", "c"])},
                {"ids": None},
            )
        ),
    ]
    assert len({partition.fingerprint([each]) for each in (first, *others)}) == 1 + len(others)
    as_objects = replace(first.train, ids=np.array(["a", "b"], dtype=object))
    assert partition.fingerprint([Site("A", as_objects)]) == partition.fingerprint([first])


@pytest.mark.parametrize(
    ("sites", "bars"),
    [
        ([site("A", [0, 0, 1]), site("B", [1])], {"0": [2, 0], "1": [1, 1]}),
        ([site("A", [[5.0, 1], [3.5, 0]])], {"censored": [1], "event": [1]}),
        ([site("A", [0.5, 1.5]), site("B", [2.5])], {"rows": [2, 1]}),
        ([Site("A", Rows(np.zeros((3, 1))))], {"rows": [3]}),
        ([site("A", list(range(15)))], {str(label): [1] for label in range(15)}),
    ],
)
def test_the_bars_are_as_long_as_the_counts(sites: list[Site], bars: dict[str, list[int]]) -> None:
    (axes,) = partition.plot(sites).axes
    drawn = {
        str(each.get_label()): [bar.get_width() for bar in each]
        for each in axes.containers
        if isinstance(each, BarContainer)
    }
    assert drawn == bars


def test_many_sites_still_make_a_picture() -> None:
    rows = Rows(np.zeros((500, 1)), np.arange(500) % 3)
    figure = partition.plot(partition.iid(rows, sites=250, test_fraction=0))
    assert len(figure.axes[0].get_yticks()) <= 40
    assert figure.get_size_inches()[1] < 12
