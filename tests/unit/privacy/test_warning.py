"""An experiment says, once and in one sentence, what its settings leave open."""

import warnings
from dataclasses import replace

import pytest

import comity as co

RECORD, SECURE = co.privacy.RecordDP(epsilon=1.0, delta=1e-3), co.privacy.SecureSum()


def experiment(*privacy):
    return co.Experiment(
        model=co.numpy.Linear(3, loss="logistic"),
        train=co.Train(optimizer=co.SGD(lr=0.1), steps=1),
        strategy=co.FedAvg(),
        privacy=privacy,
    )


@pytest.mark.parametrize(
    ("privacy", "match"),
    [
        ([SECURE], "SecureSum hides whose a number is and not what .* add co.privacy.RecordDP"),
        (
            [RECORD],
            "RecordDP limits what is told of a record and .* who adds them up sees each; add co.privacy.SecureS",
        ),
    ],
)
def test_one_without_the_other_is_warned_of(privacy, match):
    with pytest.warns(co.privacy.PrivacyWarning, match=match) as seen:
        made = experiment(*privacy)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    with pytest.warns(co.privacy.PrivacyWarning, match=match):
        replace(made, rounds=2)


@pytest.mark.parametrize("privacy", [[], [SECURE, RECORD], [RECORD, SECURE]], ids=["neither", "both", "both, turned"])
def test_both_or_neither_is_not(privacy):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        experiment(*privacy)
