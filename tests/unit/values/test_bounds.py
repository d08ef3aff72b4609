"""Hyper-parameters out of range are refused where they are written."""

from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import numpy as np
import pytest

import comity as co
from comity import strategies as s
from comity.values.errors import InvalidInput

REFUSED = [
    (s.FedAvg, "server_lr", 0.0),
    (s.FedAvg, "server_momentum", 1.0),
    (s.FedAvg, "sites_per_round", -1),
    (s.FedProx, "mu", -0.1),
    (s.FedProx, "mu", float("nan")),
    (s.FedProx, "sites_per_round", 2.5),
    (s.FedAdam, "server_lr", -1.0),
    (s.FedAdam, "beta1", 1.0),
    (s.FedAdam, "beta2", 1.5),
    (s.FedYogi, "beta2", -0.1),
    (s.FedYogi, "tau", 0.0),
    (s.FedAdagrad, "tau", "1e-8"),
    (s.Scaffold, "server_lr", float("inf")),
    (s.FedNova, "local_momentum", 1.0),
    (s.FedDyn, "alpha", 0.0),
    (s.FedBN, "sites_per_round", True),
    (s.Ditto, "strength", -1.0),
    (s.TrimmedMean, "trim", -1),
    (s.Krum, "byzantine", -1),
    (s.Krum, "keep", 0),
]


@pytest.mark.parametrize(("kind", "name", "value"), REFUSED)
def test_the_message_names_the_field_and_the_value(kind, name, value):
    with pytest.raises(InvalidInput, match=f"^{name} must be .*, not {value!r}$"):
        kind(**{name: value})


NUMPY = {"int": np.int64(1), "float": np.float32(0.5)}
SETTINGS = [
    (kind, {each.name: NUMPY[each.type] for each in fields(kind) if each.type in NUMPY})
    for kind in vars(s).values()
    if isinstance(kind, type) and is_dataclass(kind) and all(each.default is not MISSING for each in fields(kind))
]
MORE: list[tuple[type, dict[str, Any]]] = [
    (co.SGD, {"lr": np.float32(0.5)}),
    (co.Adam, {"lr": np.float64(0.5)}),
    (co.Train, {"epochs": np.int64(1), "batch_size": np.int32(2), "optimizer": co.SGD(lr=0.5)}),
    (co.numpy.Linear, {"features": np.int64(3)}),
    (s.FedPer, {"personal": ("bias",), "sites_per_round": np.int64(2)}),
    (co.metrics.Auc, {"bins": np.int16(64)}),
    (co.Dropout, {"probability": np.float32(0.5)}),
    (co.EarlyStopping, {"metric": "auc", "patience": np.int64(2)}),
    (co.Experiment, {"strategy": s.PCA(np.int64(2)), "rounds": np.int64(5), "seed": np.int64(7)}),
]


@pytest.mark.parametrize(("kind", "settings"), SETTINGS + MORE)
def test_numbers_of_numpy_become_those_of_python(kind, settings):
    made = kind(**settings)
    for name, value in settings.items():
        held = getattr(made, name)
        assert held == value
        assert not isinstance(held, np.generic)


def test_an_experiment_of_numpys_numbers_has_the_digest_of_the_same():
    def made(whole, fraction):
        return co.Experiment(
            model=co.numpy.Linear(features=whole(13), loss="logistic"),
            train=co.Train(optimizer=co.SGD(lr=fraction(0.5)), epochs=whole(1)),
            strategy=co.FedAvg(sites_per_round=whole(2)),
            rounds=whole(5),
        )

    assert made(np.int64, np.float32).to_json() == made(int, float).to_json()
