"""Stock SubstraFL on nodes comes to what it comes to in its own local mode, bit for bit."""

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 12), reason="SubstraFL 1.0 needs distutils")

EXPERIMENTS = {
    "analytics": 1,
    "fedavg_torch": 2,
    "scaffold_torch": 2,
    "newton_raphson_torch": 2,
    "pca_torch": 4,
    "single_organization_torch": 2,
}
"""By name, with the rounds to play."""


@pytest.mark.parametrize("rounds", [1, pytest.param(2, marks=[pytest.mark.substra, pytest.mark.timeout(900)])])
def test_rounds_with_scikit_learn(nodes, play, record_property, rounds):
    compare("fedavg_sklearn", rounds, nodes, play, record_property)


@pytest.mark.substra
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment(name, nodes, play, record_property):
    compare(name, EXPERIMENTS[name], nodes, play, record_property)


def compare(name, rounds, nodes, play, record_property):
    local, across = play(name, rounds), play(name, rounds, nodes)
    same = [path for path in local.arrays if path in across.arrays and alike(local.arrays[path], across.arrays[path])]
    record_property(
        "substrafl",
        [name, local.tasks, f"{local.seconds:.1f}", f"{across.seconds:.1f}", f"{len(same)} of {len(local.arrays)}"],
    )
    assert len(local.arrays) > 2
    assert list(across.arrays) == list(local.arrays)
    assert same == list(local.arrays)
    assert across.performances == local.performances
    assert across.tasks == local.tasks


def alike(first, second):
    return (first.dtype, first.shape, first.tobytes()) == (second.dtype, second.shape, second.tobytes())
