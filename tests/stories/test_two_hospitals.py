"""Two hospitals with unlike patients, ultrasound images: the federation ranks better than either alone."""

import pytest

from comity.faces.demos import two_hospitals


@pytest.fixture(scope="module")
def methods():
    return {method.name: method for method in two_hospitals.demo(iter).methods}


def test_federated_beats_both_hospitals(methods):
    federated = methods["Federated"]
    for alone in (methods["A alone"], methods["B alone"]):
        assert federated.pooled_test > alone.pooled_test
        assert federated.more["balanced accuracy"] > alone.more["balanced accuracy"]


def test_federated_is_near_pooled(methods):
    assert methods["Federated"].pooled_test > methods["pooled"].pooled_test - 0.02


def test_chosen_server_momentum_does_not_harm(methods):
    assert methods["Federated"].pooled_test >= methods["Federated, plain"].pooled_test
