"""Hyper-parameters out of range are refused where they are written."""

import pytest

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
