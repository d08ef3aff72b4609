"""The strategies of the playground, each with the line of code that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from comity.faces.playground.data_sets import DataSet
from comity.strategies import FedAdam, FedAvg, FedProx, Median, Scaffold
from comity.values.strategy import SeesEach, Strategy


@final
@dataclass(frozen=True, slots=True)
class Offered:
    """One of them, for a data set."""

    strategy: Strategy | SeesEach
    code: str
    about: str

    @property
    def sees_each(self) -> bool:
        """Whether whoever combines must see every hospital's update by itself."""
        return isinstance(self.strategy, SeesEach)


def offered(data: DataSet) -> Mapping[str, Offered]:
    """Those that there are, by name; the first is taken unless another is asked for."""
    lr = data.server_lr
    return {
        "FedAvg": Offered(FedAvg(), "co.FedAvg()", "the mean of the hospitals' updates, weighted by their rows"),
        "FedProx": Offered(FedProx(mu=0.1), "co.FedProx(mu=0.1)", "the same, each held near to the shared model"),
        "Scaffold": Offered(Scaffold(), "co.Scaffold()", "corrects each hospital's steps for how it differs from all"),
        "FedAdam": Offered(FedAdam(server_lr=lr), f"co.FedAdam(server_lr={lr})", "Adam along the mean of the updates"),
        "Median": Offered(
            Median(), "co.strategies.Median()", "the middle of the updates, number by number, against a wrong one"
        ),
    }
