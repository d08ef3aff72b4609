"""FLamby's Fed-Heart-Disease benchmark comes out as published.

Expected: means over seeds 42 to 46 and the four centres of owkin/FLamby @ edacf54,
flamby/results/results_benchmark_fed_heart_disease (Ogier du Terrail et al., NeurIPS 2022).
"""

import pytest

from comity.engine.tuning import cross_validate
from comity.faces.demos import heart
from comity.faces.demos.picture import picture

PUBLISHED = {
    "Cleveland alone": 0.7221,
    "Hungary alone": 0.6287,
    "Switzerland alone": 0.5670,
    "VA alone": 0.6366,
    "pooled": 0.735,
    "FedAvg": 0.685,
    "FedProx": 0.685,
    "SCAFFOLD": 0.684,
    "FedAdam": 0.7255,
    "FedYogi": 0.731,
    "FedAdagrad": 0.731,
}
POOLED_TEST = {
    "pooled": 0.7953,
    "FedAvg": 0.7480,
    "FedProx": 0.7480,
    "SCAFFOLD": 0.7480,
    "FedAdam": 0.7787,
    "FedYogi": 0.7787,
    "FedAdagrad": 0.7787,
}


@pytest.fixture(scope="module", params=["once", pytest.param("thrice", marks=pytest.mark.long)])
def outcome(request):
    """The demo, which deals rows thrice to choose a rate; once comes to the same here, in half the time."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "once":
            patch.setattr(heart, "cross_validate", lambda *given, repeats, **more: cross_validate(*given, **more))
        return heart.demo(iter)


@pytest.fixture(scope="module")
def methods(outcome):
    return {method.name: method for method in outcome.methods}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_mean_of_four_hospitals_is_as_published(methods, name):
    assert methods[name].mean_over_sites == pytest.approx(PUBLISHED[name], abs=0.02)
    assert methods[name].published == pytest.approx(PUBLISHED[name], abs=0.0005)


@pytest.mark.parametrize("name", POOLED_TEST)
def test_all_test_rows_are_as_published(methods, name):
    assert methods[name].pooled_test == pytest.approx(POOLED_TEST[name], abs=0.02)


def test_a_rate_from_cross_validation_brings_fedavg_to_pooled(outcome, methods):
    tuned = methods[outcome.shown]
    assert tuned.mean_over_sites >= methods["pooled"].mean_over_sites - 0.01
    assert tuned.mean_over_sites > methods["FedAvg"].mean_over_sites + 0.03
    assert tuned.published is None


def test_the_grid_is_shown_and_its_best_is_what_ran(outcome):
    (grid,) = outcome.tables
    assert grid.column("setting") == heart.GRID
    losses = grid.column("log_loss")
    chosen = losses.index(min(losses))
    assert [cell == "chosen" for cell in grid.column("")] == [place == chosen for place in range(len(losses))]
    assert 0 < chosen < len(losses) - 1, "the best rate lies within the grid, not at its edge"
    assert f"train.optimizer.lr={outcome.run.experiment.train.optimizer.lr}" == grid.column("setting")[chosen]


def test_every_hospital_gains_by_the_federation(methods):
    alone = [methods[name].mean_over_sites for name in heart.ALONE]
    assert methods[heart.TUNED].mean_over_sites > max(alone)


def test_the_picture_says_in_what_its_curves_differ_from_the_table(outcome):
    assert (
        picture(outcome).axes[1].get_title(loc="left").endswith("\nseed 42, all test rows, each hospital's own scale")
    )
