"""Two hospitals with unlike patients, ultrasound images: the federation ranks better than either alone.

`make long` measures the demo as it is, over five seeds; `make test` one seed of half its length.
"""

from dataclasses import replace

import pytest

from comity.faces.demos import two_hospitals


@pytest.fixture(scope="module", params=["half", pytest.param("whole", marks=pytest.mark.long)])
def methods(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "half":
            shorter = replace(two_hospitals.EXPERIMENT, rounds=15, evaluate_every=15)
            train = replace(two_hospitals.EPOCH, epochs=15)
            none, _, most = two_hospitals.SERVER_MOMENTUM
            patch.setattr(two_hospitals, "SEEDS", range(1))
            patch.setattr(two_hospitals, "SERVER_MOMENTUM", [none, most])
            patch.setattr(two_hospitals, "EXPERIMENT", shorter)
            patch.setattr(two_hospitals, "ALONE", replace(two_hospitals.ALONE, train=train))
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
