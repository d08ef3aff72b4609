"""What the reading says follows from the bands, whoever is better; and what it says of chance is right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.faces.playground.experiment import methods
from comity.faces.playground.query import settings_from
from comity.faces.playground.reading import reading, standard_error
from comity.faces.playground.results import Band, Results
from comity.faces.playground.work import Point

TWO, THREE = "data=heart&rounds=1", "data=heart&rounds=1&hospitals=3&secure_sum=on"


def results(query: str, auc: Sequence[Sequence[float]], balanced: Sequence[Sequence[float]] | None = None) -> Results:
    """Of one round: for each method (together, the hospitals, all rows in one place) the figures of three seeds."""
    settings = settings_from(query)
    made = Results(settings=settings)
    for method, ours, theirs in zip(methods(settings), auc, balanced or auc, strict=True):
        for seed, one, other in zip(settings.seeds, ours, theirs, strict=True):
            made = made.following(method, seed, Point(1, {"auc": one, "balanced_accuracy": other}))
    assert made.complete
    return made


GOOD, FAIR, POOR = (0.90, 0.91, 0.92), (0.85, 0.86, 0.91), (0.70, 0.71, 0.72)


def test_it_says_that_training_together_wins_only_where_no_run_alone_comes_near() -> None:
    first, *_ = reading(results(TWO, [GOOD, POOR, POOR, GOOD]))
    assert first.startswith("By AUC, training together reaches 0.91 (0.90 to 0.92). That is better than every hospital")
    first, *_ = reading(results(TWO, [GOOD, FAIR, POOR, GOOD]))
    assert "It is better than Hospital B alone" in first
    assert "cannot tell it from Hospital A alone: the bands overlap" in first


def test_it_says_so_when_nobody_wins() -> None:
    first, *_ = reading(results(TWO, [FAIR, FAIR, FAIR, FAIR]))
    assert "cannot tell it from any hospital alone" in first
    assert first.endswith("So there is no winner here.")
    assert "better" not in first


def test_it_says_so_when_a_hospital_alone_is_better() -> None:
    first, *_ = reading(results(TWO, [POOR, GOOD, POOR, GOOD]))
    assert "Hospital A alone is better than that, in every run." in first
    assert first.endswith("Here training together did not pay for all.")
    first, *_ = reading(results(TWO, [POOR, GOOD, GOOD, GOOD]))
    assert "Hospital A and Hospital B alone are better than that" in first


def test_what_pooled_rows_would_bring_is_said_either_way() -> None:
    assert "better than together, in every run" in reading(results(TWO, [POOR, POOR, POOR, GOOD]))[1]
    assert "less than together, in every run" in reading(results(TWO, [GOOD, POOR, POOR, POOR]))[1]
    assert "cannot tell that from training together" in reading(results(TWO, [FAIR, POOR, POOR, FAIR]))[1]


def test_the_other_metric_is_told_when_it_says_something_else() -> None:
    said = reading(results(TWO, [FAIR, FAIR, FAIR, FAIR], [FAIR, POOR, POOR, FAIR]))
    assert any(each.startswith("By balanced accuracy") and "better than every hospital alone" in each for each in said)
    assert any("Hospital A and Hospital B see a one-sided mix of patients" in each for each in said)


def test_a_secure_sum_is_not_said_to_protect_a_record() -> None:
    said = " ".join(reading(results(THREE, [GOOD, POOR, POOR, POOR, GOOD])))
    assert "does not hide what a model tells of a patient" in said
    assert "securely" not in " ".join(reading(results(TWO, [GOOD, POOR, POOR, GOOD])))


@given(st.lists(st.lists(st.floats(0.4, 0.99), min_size=3, max_size=3), min_size=4, max_size=4))
def test_no_claim_without_bands_that_are_apart(auc: list[list[float]]) -> None:
    first, pooled, *rest = reading(results(TWO, auc))
    together, *alone, everything = (Band(tuple(each)) for each in auc)
    assert ("better than every hospital" in first) == all(together.above(each) for each in alone)
    assert ("did not pay" in first) == any(each.above(together) for each in alone)
    assert ("no winner" in first) == (not any(together.above(each) or each.above(together) for each in alone))
    assert ("cannot tell" in pooled) == (not together.above(everything) and not everything.above(together))
    assert "standard error" in rest[-1]


def test_chance_parts_bands_in_one_of_ten() -> None:
    """Of six runs that are alike, any three may be the first method's: by counting them all."""
    ways = [(Band(three), Band(tuple(set(range(6)) - set(three)))) for three in combinations(range(6), 3)]
    apart = [one for one, other in ways if one.above(other) or other.above(one)]
    assert (len(apart), len(ways)) == (2, 20)
    assert "in one of ten comparisons" in " ".join(reading(results(TWO, [GOOD, POOR, POOR, GOOD])))


@pytest.mark.parametrize(("negatives", "positives"), [(5, 5), (20, 7), (114, 42)])
def test_the_standard_error_at_chance_is_that_of_mann_and_whitney(negatives: int, positives: int) -> None:
    """There the variance of U / mn is (m + n + 1) / 12mn, whatever the scores' distribution."""
    exact = ((negatives + positives + 1) / (12 * negatives * positives)) ** 0.5
    assert standard_error(0.5, negatives, positives) == pytest.approx(exact)
