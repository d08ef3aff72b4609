"""An experiment as a plan that grows: what its functions take and leave, and what no network can run."""

from dataclasses import dataclass
from typing import final

import pytest

import comity as co
from comity.domain.events import Masking, SiteData, SiteNoise, Stop
from comity.sdk.continuing import continued
from comity.sdk.growth import Before, growth, selected, signatures
from comity.values.digest import digest
from comity.values.errors import InvalidInput, NotSupported

TRAINING = {
    "model": co.numpy.Linear(features=2, loss="logistic"),
    "train": co.Train(optimizer=co.SGD(lr=0.1), batch_size=2, steps=2),
}


def experiment(strategy=None, **given):
    return co.Experiment(strategy=strategy or co.FedAvg(), **{**TRAINING, **given})


def grown(made, names="abc", **given):
    held = {name: SiteData(dataset=f"d{name}", samples=("s",)) for name in names}
    how = {"aggregator": "a", "deadline": 1.5, "retries": 2, "before": Before(), **given}
    return growth(made, held, {"init": "f"}, **how)


@final
@dataclass(frozen=True)
class Named(co.Metric):
    """Called as it is told."""

    called: str

    @property
    def name(self):
        return self.called

    def local(self, predictions, rows):
        raise NotImplementedError

    finish = local


def kinds(signature):
    taken, left = signature
    return {
        **{name: (each.kind, each.multiple, each.optional) for name, each in taken.items()},
        **{f"> {name}": (each.kind, each.form) for name, each in left.items()},
    }


MODEL, MEMORY, PARTS = (("ASSET_MODEL", *more) for more in ((False, False), (False, True), (True, True)))
DATA = {"opener": ("ASSET_DATA_MANAGER", False, False), "datasamples": ("ASSET_DATA_SAMPLE", True, False)}
TREE, NUMBER = ("ASSET_MODEL", "tree"), ("ASSET_PERFORMANCE", "opaque")
SITE = {**DATA, "state": MODEL, "memory": MEMORY}
PLAIN = {
    "init": {"start": MEMORY, "> state": TREE},
    "local": {**SITE, "> contribution": TREE, "> memory": TREE},
    "step": {"state": MODEL, "total": MODEL, "> state": TREE},
}
MEASURED = {
    "evaluate": {**SITE, "> scores": TREE, "> accuracy": NUMBER},
    "finish": {"total": MODEL, "> accuracy": NUMBER},
}


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (experiment(), PLAIN),
        (experiment(metrics=[co.metrics.accuracy]), {**PLAIN, **MEASURED}),
        (
            experiment(co.strategies.Median()),
            {**PLAIN, "step": {"state": MODEL, "parts": PARTS, "> state": TREE}},
        ),
        (
            co.Experiment(strategy=co.strategies.CoxRegression()),
            {**PLAIN, "step": {**PLAIN["step"], "> finished": NUMBER}},
        ),
    ],
    ids=["plain", "measured", "sees each", "finishes"],
)
def test_each_stage_has_a_function(made, wanted):
    assert {stage: kinds(each) for stage, each in signatures(made).items()} == wanted


@pytest.mark.parametrize("name", ["scores", "total", "a b", "ä", "x" * 101, "|"])
def test_a_metric_is_called_as_an_output_can_be(name):
    with pytest.raises(InvalidInput, match="call it by letters, digits and _ for a network"):
        signatures(experiment(metrics=[Named(name)]))


def test_what_has_no_name_is_said_to_be_moved():
    with pytest.raises(NotSupported, match="write it as a top-level def in a module of its own"):
        signatures(experiment(metrics=[lambda y, predictions: 0.0]))


def test_nobody_shows_what_a_single_site_measured_where_sums_are_masked():
    made = signatures(experiment(metrics=[co.metrics.accuracy], privacy=[co.privacy.SecureSum()]))
    assert kinds(made["evaluate"]) == {**SITE, "> scores": TREE}
    assert "> accuracy" in kinds(made["finish"])


def test_a_masked_growth_says_how_its_sums_are_masked():
    secure = co.privacy.SecureSum(clip=0.5, norm=2.0, bits=32, max_weight=100, least=4, metric_limit=8.0)
    made = grown(experiment(privacy=[secure]), "abcde")
    assert made.masking == Masking(
        bits=32, clip="0.5", norm="2.0", max_weight=100, least=4, metric_limit="8.0", exact=False
    )
    assert grown(experiment()).masking is None
    assert grown(
        co.Experiment(strategy=co.strategies.Statistics(), privacy=[co.privacy.SecureSum()]), "abcd"
    ).masking.exact


ARRAYS = digest(b'[["total/bias",true,[]],["total/weight",true,[2]]]')


def test_a_noised_growth_says_what_sites_add():
    dp = co.privacy.SiteDP(epsilon=8.0, delta=1e-5, clip=0.5, colluding=1)
    made = grown(experiment(privacy=[dp, co.privacy.SecureSum()]), "abcde").masking
    assert made.noise == SiteNoise(epsilon="8.0", delta="1e-05", clip="0.5", arrays=ARRAYS, colluding=1)
    other = co.privacy.SiteDP(noise_multiplier=2.0, delta=1e-5, clip=0.5)
    made = grown(experiment(privacy=[other, co.privacy.SecureSum()]), "abcde").masking
    assert made.noise == SiteNoise(multiplier="2.0", delta="1e-05", clip="0.5", arrays=ARRAYS)
    assert grown(experiment(privacy=[other])).masking is None


@pytest.mark.parametrize(
    ("changes", "secure", "said"),
    [
        ({"colluding": 3}, {}, "colluding=3, but only 3 sites may be in a sum"),
        ({"epsilon": 1e-9}, {}, "no noise keeps ε = 1e-09"),
        ({"epsilon": None, "noise_multiplier": 1e-5}, {"bits": 32}, "so little noise do not fit 32 bits"),
    ],
)
def test_noise_that_cannot_be_is_refused_before_anything_runs(changes, secure, said):
    dp = co.privacy.SiteDP(**{"epsilon": 8.0, "delta": 1e-5, "clip": 0.5, **changes})
    with pytest.raises(InvalidInput, match=said):
        grown(experiment(privacy=[dp, co.privacy.SecureSum(**secure)]), "abcde")


def test_the_aggregators_own_site_hides_nothing_from_it():
    with pytest.raises(NotSupported, match="at least 3 sites besides the aggregator's own, not 2"):
        grown(experiment(privacy=[co.privacy.SecureSum()]), "abc")
    assert grown(experiment(privacy=[co.privacy.SecureSum()]), "abc", aggregator="z").masking.least == 3
    with pytest.raises(InvalidInput, match="asks for at least 4 sites, but a round has 3"):
        grown(experiment(privacy=[co.privacy.SecureSum(least=4)]), "abcd")


def test_on_a_network_private_training_says_its_epsilon():
    unknown = co.privacy.RecordDP(noise_multiplier=1.0, delta=1e-3)
    with pytest.raises(NotSupported, match=r"nobody knows a site's rows but itself, so say RecordDP\(epsilon=...\)"):
        signatures(experiment(privacy=[unknown]))
    signatures(experiment(privacy=[co.privacy.RecordDP(epsilon=1.0, delta=1e-3)]))


def test_a_promise_of_all_rounds_is_not_broken_by_more_of_them():
    private = experiment(privacy=[co.privacy.RecordDP(epsilon=1.0, delta=1e-3)])
    with pytest.raises(NotSupported, match="RecordDP has promised an ε of all rounds together, which more of them"):
        continued(None, private, {"status": "PLAN_STATUS_DONE", "key": "k"}, 5)


def test_a_growth_says_all_that_its_conductor_needs():
    made = grown(
        experiment(
            metrics=[co.metrics.accuracy, co.metrics.log_loss],
            rounds=3,
            quorum=0.5,
            evaluate_every=2,
            best="accuracy",
            stop=co.EarlyStopping("log_loss", patience=3, min_delta=0.25),
        )
    )
    assert (made.rounds, made.quorum, made.sees_each, made.finishes, made.keep) == (3, "0.5", False, False, True)
    assert (made.metrics, made.evaluate_every) == (("accuracy", "log_loss"), 2)
    assert made.stop == Stop(metric="log_loss", goal="min", patience=3, min_delta="0.25")
    assert (made.deadline, made.retries, made.selected) == (1500, 2, ())
    assert co.read_experiment(made.experiment).rounds == 3
    assert not grown(experiment()).keep


@pytest.mark.parametrize(
    ("strategy", "names", "wanted"),
    [
        (co.FedAvg(), "cab", ()),
        (co.strategies.Cyclic(), "cab", (("a",), ("b",), ("c",), ("a",))),
        (co.FedAvg(sites_per_round=3), "cab", ()),
    ],
)
def test_who_takes_part_is_known_beforehand(strategy, names, wanted):
    assert grown(experiment(strategy, rounds=4), names).selected == wanted


def test_whom_a_network_draws_a_simulation_draws_too():
    made = experiment(co.FedAvg(sites_per_round=2), rounds=5, seed=3)
    drawn = grown(made, "abcd").selected
    assert len({len(each) for each in drawn}) == 1
    assert drawn == tuple(tuple(made.strategy.select(None, n, list("abcd"), 3)) for n in range(1, 6))
    assert len(set(drawn)) > 1


@final
@dataclass(frozen=True)
class Odd(co.Strategy):
    """Selects as it is told."""

    who: str = ""

    needs = co.FedAvg.needs

    def init(self, params, network):
        raise NotImplementedError

    local = step = init

    def select(self, state, round, sites, seed):
        return list(state.params) if self.who == "state" else list(self.who)


@pytest.mark.parametrize(
    ("made", "kind", "said"),
    [
        (experiment(Odd("state")), NotSupported, "select may look at round, sites and seed, but not at the state"),
        (experiment(Odd("")), InvalidInput, r"Odd\.select gives \[\] of \['a', 'b', 'c'\]"),
        (experiment(Odd("az")), InvalidInput, r"Odd\.select gives \['a', 'z'\]"),
        (experiment(Odd("aab"), quorum=3), InvalidInput, "the quorum is 3 but round 1 selects 2 sites"),
        (experiment(quorum=4), InvalidInput, "the quorum is 4 but a round has at most 3 sites"),
        (experiment(co.FedAvg(sites_per_round=4)), InvalidInput, "sites_per_round is 4 but there are 3 sites"),
        (experiment(co.strategies.Cyclic(), quorum=2), InvalidInput, "the quorum is 2 but round 1 selects 1 sites"),
    ],
)
def test_sites_that_cannot_be_selected_are_said(made, kind, said):
    with pytest.raises(kind, match=said):
        selected(made, list("abc"))


def test_a_double_name_is_one_site():
    assert selected(experiment(Odd("aba")), list("abc")) == (("a", "b"),)
