"""Noise that sites add to their own parts of a masked sum, between nodes: enough whoever falls out, and never none."""

import asyncio
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from tests.unit.domain.conftest import Grown
from tests.unit.node.sums.conftest import Parties
from tests.unit.node.sums.test_sums import begun, given, included, run, total

from comity.domain.events import Masking, SiteNoise
from comity.domain.records import MaskedSum
from comity.node.sums import inputs, making
from comity.node.sums.terms import masked
from comity.privacy.vector import Layout
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput

COUNT = 8_000
SIGMA = 0.05
ARRAYS = Layout.of(Contribution({"total": {"w": np.zeros(COUNT)}}, 1)).arrays
NOISE = SiteNoise(multiplier="0.5", delta="0.001", clip="0.1", arrays=ARRAYS)


@pytest.fixture(autouse=True)
def nobody_is_waited_for(monkeypatch):
    monkeypatch.setattr(making, "ANSWER", 0.1)


def masking(**changes):
    return Masking(clip="8.0", max_weight=100, metric_limit="8.0", noise=SiteNoise(**{**asdict(NOISE), **changes}))


def asdict(noise):
    return {name: getattr(noise, name) for name in noise.__struct_fields__}


def part(contribution, value=0.0, **more):
    return {**contribution(value, COUNT, weight=1.0), **more}


def summed(parties, contribution, sites="abcd", **growth):
    """(who is in it, the sum) of nothing but noise, of these of four sites."""

    async def story():
        made = parties(masking=masking(), **growth)
        made.start()
        await begun(made)
        for site in sites:
            made.trains(site, part(contribution))
        made.tell()
        if len(sites) < 4:
            await given(made, sites)
        event = await made.closed()
        came = included(made, event), total(made)
        await made.close()
        return came

    return asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize(("sites", "share"), [("abcd", 4 / 3), ("abc", 1.0)], ids=["all four", "one fell out"])
def test_the_noise_on_a_sum_is_the_target_whoever_falls_out(parties, contribution, sites, share):
    """σ²/3 at each, since three of four remain for sure: 4/3 σ² of all four, and σ² when one has fallen out."""
    came, held = summed(parties, contribution, sites)
    assert came == sites
    assert held["weight"] == len(sites)
    noise = held["total"]["w"]
    assert noise.var() == pytest.approx(share * SIGMA**2, rel=5 * sqrt(2 / COUNT))
    assert abs(noise.mean()) < 5 * SIGMA * sqrt(share / COUNT)


@pytest.mark.parametrize(("sites", "shares"), [("abcd", 3), ("abcdz", 3), ("abcde", 4)])
def test_the_aggregators_own_site_counts_for_nothing(sites, shares):
    """Its organization knows the noise that it adds."""
    made = Grown(
        *dict.fromkeys("abcdez"), sites=sites, aggregator="z", quorum="1", masking=masking(colluding=0)
    ).begin()
    record = made.log.get(MaskedSum, made.key("sum", 1))
    noise = masked(made.log.records, record).scale_of(10).noise
    assert noise is not None
    assert (noise.shares, noise.deviation) == (shares, SIGMA)


def test_it_is_drawn_anew_in_every_sum_and_by_no_seed(tmp_path, contribution):
    """The same plan, the same task, the same keys: whoever knows all that is in the log does not know the noise."""
    sums = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        _, held = summed(lambda to=folder, **growth: four(to, **growth), contribution)
        sums.append(held["total"]["w"])
    assert abs(np.corrcoef(sums)[0, 1]) < 5 / sqrt(COUNT)


def four(folder, **growth):
    grown = Grown(*"abcdz", sites="abcd", aggregator="z", quorum="1", **growth)
    return Parties(grown.begin(), folder)


def test_a_node_holds_its_site_to_the_clip_whatever_its_task_has_left(parties, contribution):
    async def story():
        made = parties(masking=masking(multiplier="0.0001"))
        made.start()
        await begun(made)
        for site in "abcd":
            made.trains(site, part(contribution, 100.0))
        made.tell()
        await made.closed()
        norm = np.linalg.norm(total(made)["total"]["w"])
        assert norm == pytest.approx(4 * 0.1, rel=1e-2)
        await made.close()

    run(story())


ODD = {
    "whole numbers": {"w": np.zeros(COUNT, np.float32), "n": np.arange(3)},
    "a name": {"w": np.zeros(COUNT, np.float32), "patient-4711 HIV+": np.zeros(0)},
    "another name": {"v": np.zeros(COUNT, np.float32)},
    "a shape": {"w": np.zeros((COUNT, 1), np.float32)},
    "a size": {"w": np.zeros(COUNT - 1, np.float32)},
    "nothing": {},
}


@pytest.fixture(scope="module")
def noised():
    made = Grown(*"abcdz", sites="abcd", aggregator="z", quorum="1", masking=masking()).begin()
    return masked(made.log.records, made.log.get(MaskedSum, made.key("sum", 1)))


@pytest.mark.parametrize("odd", ODD)
def test_arrays_that_would_tell_more_are_refused(noised, contribution, odd):
    held = part(contribution)
    assert inputs.given(noised, held).weight == 1
    with pytest.raises(InvalidInput, match="has the arrays that its plan fixes, not these"):
        inputs.given(noised, {**held, "total": ODD[odd]})


def test_whole_numbers_are_refused_even_where_a_plan_says_so(noised, contribution):
    """Whoever uploads the plan fixes its arrays, and nothing noises these."""
    arrays = Layout.of(Contribution({"total": ODD["whole numbers"]}, 1)).arrays
    with pytest.raises(InvalidInput, match="'total/n' holds whole numbers"):
        inputs.given(replace(noised, arrays=arrays), part(contribution, total=ODD["whole numbers"]))


def test_a_part_that_would_tell_more_is_not_given(parties, contribution):
    async def story():
        made = parties(masking=masking())
        made.start()
        await begun(made)
        for site in "abcd":
            made.trains(site, part(contribution, **({"total": ODD["a name"]} if site == "d" else {})))
        made.tell()
        await given(made, "abc")
        assert included(made, await made.closed()) == "abc"
        assert not any(b"patient" in each for each in everything(made, "z"))
        await made.close()

    run(story())


def test_a_weight_and_names_of_columns_go_nowhere(parties, contribution):
    """The aggregator reads every form, and the sum of weights has no noise: what the task's code writes there is left
    aside."""

    async def story():
        made = parties(masking=masking())
        made.start()
        await begun(made)
        for site in "abcd":
            told = {"columns": {"9 patient-4711 HIV+": np.zeros(0)}, "weight": np.asarray(0.0)}
            made.trains(site, part(contribution, **(told if site == "d" else {})))
        made.tell()
        assert included(made, await made.closed()) == "abcd"
        held = total(made)
        assert (held["weight"], set(held), set(held["total"])) == (4, {"total", "weight"}, {"w"})
        assert not any(b"patient" in each for each in everything(made, "z"))
        await made.close()

    run(story())


def everything(parties, name):
    """All blobs that a party holds."""
    blobs = parties.exchange[name].blobs
    return [b"".join(blobs.open(each)) for each in blobs.digests()]
