"""What a site gives is shaped as was foreseen, in every round and whatever its rows are."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import pytest

import comity as co
from comity.engine import foreseen, stages
from comity.engine.compressing import own
from comity.privacy.vector import Layout
from comity.values.contribution import Contribution
from comity.values.errors import NotSupported
from comity.values.seed import derive
from comity.values.site import Work

DP = co.privacy.SiteDP(epsilon=8.0, delta=1e-5, clip=0.5)
BASE = co.Experiment(
    model=co.numpy.Linear(features=3, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=2, steps=2),
    strategy=co.FedAvg(),
    privacy=[DP],
)
STRATEGIES = [
    co.FedAvg(),
    co.FedProx(mu=0.1),
    co.FedAdam(server_lr=0.01),
    co.Scaffold(),
    co.strategies.FedNova(),
    co.strategies.FedDyn(),
    co.strategies.Cyclic(),
    co.strategies.Ditto(),
    co.strategies.FedPer(personal=("bias",)),
]


def arrays(contribution):
    return Layout.of(Contribution({"total": contribution.total}, 1)).arrays


@pytest.mark.parametrize("quantile", [None, 0.5])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: type(each).__name__)
def test_a_site_gives_arrays_as_foreseen(strategy, quantile):
    made = replace(BASE, strategy=strategy, privacy=[replace(DP, quantile=quantile)])
    generator = np.random.default_rng(0)
    site = co.Site("A", train=(generator.normal(size=(7, 3)), np.arange(7) % 2.0))
    state, memory, wanted = stages.first(made, 4), {}, arrays(foreseen.contribution(made, 4))
    for number in (1, 2):
        work = Work(made.model, made.train, derive(1, "round", number), made.model.fit)
        gave = stages.local(made, state, memory, site=site, work=work)
        contribution, memory = stages.given(made, gave, clip=0.5)
        assert arrays(contribution) == wanted
        total, _ = made.site_dp.adapted(contribution, 0.5)
        state, memory = stages.following(made, state, total), own(memory)


def test_names_kinds_and_shapes_tell_layouts_apart_and_numbers_do_not():
    def of(**total):
        return Layout.of(Contribution(total, 1)).arrays

    first = of(w=np.zeros(3))
    assert of(w=np.ones(3, np.float32)) == first
    others = [of(v=np.zeros(3)), of(w=np.zeros((3, 1))), of(w=np.zeros(3, int)), of(w=np.zeros(3), v=np.zeros(0))]
    assert len({first, *others}) == 5


@final
@dataclass(frozen=True)
class Shaped(co.Strategy):
    """Gives an array for each row."""

    needs = co.FedAvg.needs

    def init(self, params, network):
        return co.FedAvg().init(params, network)

    def local(self, state, memory, site):
        return co.Contribution({"w": np.zeros(len(site.data))}, 1), memory

    def step(self, state, total):
        return state


def test_what_reads_rows_itself_is_refused():
    with pytest.raises(NotSupported, match="names and shapes of what it gives may tell of them"):
        foreseen.contribution(replace(BASE, strategy=Shaped()), 4)
