"""Experiments whose contributions are compressed: what is kept back, what is reported, and what privacy keeps."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comity as co
from comity.engine.compressing import RESIDUAL, own, sent
from comity.privacy.site_dp import WITHIN
from comity.values.errors import InvalidInput, NotSupported

FEATURES = 80
EIGHT, SIXTEEN = co.compression.QSGD(), co.compression.BFloat16()
BOTH = pytest.mark.parametrize("compression", [EIGHT, SIXTEEN], ids=["8 bits", "16 bits"])


def site(name, seed, rows=40):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, FEATURES))
    y = (x[:, 0] + 0.5 * generator.normal(size=rows) > 0).astype(float)
    return co.Site(name, train=(x[10:], y[10:]), test=(x[:10], y[:10]))


@pytest.fixture
def four():
    return [site(name, seed, rows=30 + 10 * seed) for seed, name in enumerate("BADC")]


EXPERIMENT = co.Experiment(
    model=co.numpy.Linear(FEATURES, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=8, steps=5),
    strategy=co.FedAvg(),
    metrics=[co.metrics.log_loss],
    rounds=4,
    seed=3,
    compression=EIGHT,
)


def off(run, exact):
    return co.tree.norm(co.tree.sub(run.model, exact.model)) / co.tree.norm(exact.model)


@BOTH
def test_a_run_repeats_itself_near_the_uncompressed_one(four, compression):
    made = replace(EXPERIMENT, compression=compression)
    run, exact = co.simulate(made, four), co.simulate(replace(made, compression=None), four)
    assert run.digest == co.simulate(made, four).digest != exact.digest
    assert off(run, exact) < 0.01
    assert run.scores("log_loss")[1] == pytest.approx(exact.scores("log_loss")[1], abs=1e-3)


def test_what_was_lost_comes_in_later_rounds():
    """What was read in all rounds and what is kept back is what was given in all rounds: nothing is lost for ever."""
    generator, memory, given_, read = np.random.default_rng(0), {"own": np.ones(1)}, 0.0, 0.0
    for number in range(1, 21):
        update = generator.normal(size=300)
        one = co.Contribution({"w": update, "b": update[:3]}, 5)
        made = sent(EXPERIMENT, (one, own(memory)), memory, clip=None, place=(number, "A"))
        memory, given_, read = made.memory, given_ + update, read + made.contribution.total["w"]
        assert made.contribution.weight == 5
        assert made.contribution.total["b"].tolist() == update[:3].tolist()
        assert list(memory[RESIDUAL]) == ["w"]
        assert list(own(memory)) == ["own"]
    np.testing.assert_allclose(read + memory[RESIDUAL]["w"], given_, atol=1e-12)
    assert np.abs(given_ - read).max() < 5 / 127 * 1.02  # one round's, of twenty


def test_with_feedback_less_is_lost(four):
    many = replace(EXPERIMENT, rounds=30, metrics=())
    exact = co.simulate(replace(many, compression=None), four)
    fed = off(co.simulate(many, four), exact)
    assert fed < 0.7 * off(
        co.simulate(replace(many, compression=co.compression.QSGD(error_feedback=False)), four), exact
    )


def test_what_is_kept_back_is_no_strategys_memory(four):
    run = co.simulate(EXPERIMENT, four)
    assert run.memory("A") == {}
    assert run.memories.get("A", run.round)[RESIDUAL]["weight"].shape == (FEATURES,)
    ditto = co.simulate(replace(EXPERIMENT, strategy=co.strategies.Ditto()), four)
    assert RESIDUAL not in ditto.memory("A")
    assert ditto.memory("A")
    assert co.tree.flatten(ditto.model_at("A")).keys() == co.tree.flatten(ditto.model).keys()


@BOTH
def test_a_killed_run_is_taken_up(four, tmp_path, compression):
    made = replace(EXPERIMENT, compression=compression)
    co.simulate(replace(made, rounds=2), four, checkpoint=tmp_path)
    resumed = co.simulate(made, four, checkpoint=tmp_path, resume=True)
    whole = co.simulate(made, four)
    assert resumed.digest == whole.digest
    assert [(each.sent, each.uncompressed) for each in resumed.history] == (
        [(each.sent, each.uncompressed) for each in whole.history]
    )


def test_sites_that_were_away_keep_what_they_had(four):
    made = replace(EXPERIMENT, quorum=3)
    run = co.simulate(made, four, dropout=co.Dropout(schedule={2: ["A"]}))
    assert run.history[1].missing == ("A",)
    assert run.history[1].sent == 3 * (FEATURES + 4 + 8)


def test_what_was_saved_is_reported(four, tmp_path):
    run = co.simulate(EXPERIMENT, four)
    each = FEATURES + 4 + 8, 8 * FEATURES + 8  # levels, one scale, the bias
    assert [(done.sent, done.uncompressed) for done in run.history] == [(4 * each[0], 4 * each[1])] * 4
    assert "contributions took 1.47 kB instead of 10.4 kB (14%)" in run.table().title
    assert run.rounds().column("bytes sent") == [4 * each[0]] * 4
    assert "By QSGD(error_feedback=True), contributions took" in (run.save(tmp_path) / "summary.md").read_text()
    plain = co.simulate(replace(EXPERIMENT, compression=None), four, baselines=["local"])
    assert "took" not in plain.table().title
    assert "bytes sent" not in plain.rounds().columns


def test_baselines_send_nothing(four):
    run = co.simulate(EXPERIMENT, four, baselines=["local", "pooled"])
    plain = co.simulate(replace(EXPERIMENT, compression=None), four, baselines=["local", "pooled"])
    assert {name: each.digest for name, each in run.baselines.items()} == (
        {name: each.digest for name, each in plain.baselines.items()}
    )


DP = co.privacy.SiteDP(noise_multiplier=0.5, delta=1e-3, clip=0.1)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([co.compression.QSGD(error_feedback=False), SIXTEEN]),
    st.integers(0, 2**32),
    st.integers(64, 600),
    st.booleans(),
)
def test_no_compressed_contribution_is_longer_than_the_clip(compression, seed, size, adaptive):
    dp = replace(DP, quantile=0.5 if adaptive else None)
    made = replace(EXPERIMENT, compression=compression, privacy=[dp])
    generator = np.random.default_rng(seed)
    floats = generator.normal(size=size) * np.exp(generator.normal(size=size))
    bounded = dp.bounded(co.Contribution({"w": floats.astype(np.float32)}, 9), 0.3 if adaptive else 0.1)
    given_ = sent(made, (bounded, {}), {}, clip=0.3, place=(1, "A"))
    read = dict(given_.contribution.total)
    if adaptive:
        assert read.pop(WITHIN) == bounded.total[WITHIN]
    assert 0.95 * dp.limit(0.3) < co.tree.norm(read) <= dp.limit(0.3)
    assert given_.contribution.weight == 1
    assert given_.memory == {}


def test_noise_comes_after_compression_of_sites_and_before_it_of_records(four):
    of_sites = replace(EXPERIMENT, compression=SIXTEEN, privacy=[DP])
    assert co.simulate(of_sites, four).statements["A"].unit == "site"
    records = replace(EXPERIMENT, privacy=[co.privacy.RecordDP(epsilon=3.0, delta=1e-3)])
    run = co.simulate(records, four)
    assert run.statements["A"].epsilon == pytest.approx(3.0, rel=1e-2)
    assert run.history[0].sent


def test_feedback_is_refused_under_site_dp():
    with pytest.raises(NotSupported, match=r"kept back from earlier rounds would come on top .* error_feedback=False"):
        replace(EXPERIMENT, privacy=[DP])


def test_a_contribution_that_changes_its_shape_is_named():
    memory = {RESIDUAL: {"w": np.ones(100)}}
    one = co.Contribution({"w": np.ones(99)}, 1)
    with pytest.raises(InvalidInput, match=r"no 'w' of shape \(100,\), of which something was kept back"):
        sent(EXPERIMENT, (one, {}), memory, clip=None, place=(2, "A"))
