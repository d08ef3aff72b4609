"""A round is a value with a JSON form; series and tables are read off it."""

import json
import math

import pytest

from comity.engine.history import Round, round_from, rounds_table, series
from comity.values.errors import InvalidInput

FIRST = Round(number=1, included=("A", "B"))
SECOND = Round(
    number=2,
    included=("A",),
    missing=("B",),
    attempts=2,
    pooled={"auc": 0.75, "r2": math.nan},
    sites={"A": {"auc": 0.5, "r2": math.nan}, "B": {"auc": 1.0, "r2": 0.25}},
    seconds=1.5,
)


@pytest.mark.parametrize("each", [FIRST, SECOND])
def test_a_round_comes_back_from_strict_json(each):
    text = json.dumps(each.document(), allow_nan=False)
    back = round_from(json.loads(text))
    assert json.dumps(back.document()) == text
    assert back.included == each.included


def test_nan_comes_back_as_nan():
    back = round_from(json.loads(json.dumps(SECOND.document())))
    assert back.pooled is not None
    assert math.isnan(back.pooled["r2"])


def test_the_mean_over_sites_leaves_out_where_the_metric_is_not_defined():
    assert SECOND.mean("auc") == 0.75
    assert SECOND.mean("r2") == 0.25
    assert FIRST.mean("auc") is None


def test_series_has_the_evaluated_rounds_only():
    assert series([FIRST, SECOND], "auc") == ([2], [0.75])
    assert series([FIRST, SECOND], "auc", "B") == ([2], [1.0])
    assert series([FIRST], "auc") == ([], [])


def test_misspelt_names_suggest_the_nearest():
    with pytest.raises(InvalidInput, match="did you mean 'auc'"):
        series([SECOND], "auk")
    with pytest.raises(InvalidInput, match="there is no site 'C'"):
        series([SECOND], "auc", "C")


def test_the_table_says_who_was_missing():
    table = rounds_table([FIRST, SECOND])
    assert table.columns == ("round", "sites", "missing", "seconds", "auc", "r2")
    assert table.rows[0] == (1, 2, None, 0.0, None, None)
    assert table.rows[1][:5] == (2, 1, "B", 1.5, 0.75)
