"""An experiment that a network runs: followed, waited for, cancelled, and what it came to."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

import comity as co
from comity.sdk import running
from comity.sdk.running import Running
from comity.strategies import reading
from comity.values import codec
from comity.values.errors import Forbidden, NotFound, NotSupported, RoundFailed, Unavailable

PLAN = "4a1bb84a-588a-596a-8d62-8fc93a622ea8"
ROUNDS = f"/compute_plan/{PLAN}/rounds/"
HEART = co.Experiment(
    model=co.numpy.Linear(features=2, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.1), batch_size=2, steps=2),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy],
    rounds=3,
)
PARAMS = {"weight": np.array([1.0, 2.0]), "bias": np.array(0.5)}
STATE = {"state": {"params": PARAMS}, "columns": reading.columns(["age", "Größe"])}


def part(site, *, included=True, status="STATUS_DONE", attempts=1, number=1):
    return {
        "task": f"{site}{number}",
        "site": site,
        "status": status,
        "attempts": attempts,
        "included": included,
        "waiting_for": None,
    }


def round_of(number, *parts, closed=True, state=True, pooled=0.5, sites=None):
    """A round as REST shows it."""
    return {
        "number": number,
        "closed": closed,
        "parts": list(parts) or [part("a", number=number), part("b", number=number)],
        "state": f"s{number}" if state else None,
        "start_date": "2026-01-01T00:00:00.000Z",
        "end_date": "2026-01-01T00:00:01.500Z" if state else None,
        "sum": None,
        "scores": None,
        "pooled": None if pooled is ... else {"accuracy": pooled},
        "sites": {}
        if pooled is ...
        else {"a": {"accuracy": 0.25}, "b": {"accuracy": None}}
        if sites is None
        else sites,
    }


def shown(*rounds, status="DONE", **more):
    return {
        "key": PLAN,
        "name": "FedAvg",
        "status": f"PLAN_STATUS_{status}",
        "version": 7,
        "experiment": HEART.to_json(),
        "organizations": ["a", "b"],
        "aggregator": "a",
        "planned": 3,
        "datasets": {"a": "da", "b": "db"},
        "continues": None,
        "waiting_for": [],
        "failed": [],
        "rounds": list(rounds),
        **more,
    }


@pytest.fixture
def answered(canned, monkeypatch):
    """Say what the node answers to one look after the other; gives the experiment that is followed."""
    monkeypatch.setattr(running, "PAUSE", 0.0)

    def say(*answers, experiment=HEART):
        at, versions = -1, []
        for each in answers:
            canned.say(f"{ROUNDS}?after={at}&wait=20000", each)
            at = each["version"]
            versions.append(at)
        assert len(set(versions)) == len(versions), "a canned node gives one answer to one question"
        canned.say(ROUNDS, answers[-1])
        canned.say("/model/s1/file/", codec.encode(STATE))
        canned.say("/model/s2/file/", codec.encode({**STATE, "state": {"params": {**PARAMS, "bias": np.array(9.0)}}}))
        return Running(canned.client, PLAN, experiment)

    return say


def test_it_is_shown_whenever_it_has_changed(answered):
    looks = [
        shown(version=1, status="DOING"),
        shown(round_of(1), version=3, status="DOING"),
        shown(round_of(1), version=4),
    ]
    seen = []
    assert answered(*looks).ended(seen.append) == looks[-1]
    assert seen == looks


def test_what_it_waits_for_is_news_by_itself(canned, answered):
    """A deadline passes without an event: the version stays."""
    first = shown(version=1, status="DOING")
    late = {**first, "waiting_for": ["b, without which round 1 has no quorum"]}
    made = answered(first)
    canned.say(f"{ROUNDS}?after=1&wait=20000", late)
    watch = made.watch()
    assert [next(watch), next(watch)] == [first, late]
    canned.say(f"{ROUNDS}?after=1&wait=20000", {**late, "status": "PLAN_STATUS_CANCELED", "version": 2})
    assert [each["version"] for each in watch] == [2], "what is the same is not shown again"


def test_a_node_that_is_away_is_asked_again(canned, answered, monkeypatch):
    made = answered(shown(version=1))
    good = canned.node.answers[f"{ROUNDS}?after=-1&wait=20000"]
    canned.say(f"{ROUNDS}?after=-1&wait=20000", {"detail": "not now"}, 503)
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        canned.node.answers[f"{ROUNDS}?after=-1&wait=20000"] = good

    monkeypatch.setattr(running.time, "sleep", sleep)
    assert made.ended()["version"] == 1
    assert waited == [0.0]


def test_a_node_that_stays_away_is_said(canned, answered, monkeypatch):
    made = answered(shown(version=1))
    canned.say(f"{ROUNDS}?after=-1&wait=20000", {"detail": "not now"}, 503)
    monkeypatch.setattr(running, "PATIENCE", -1.0)
    with pytest.raises(Unavailable, match=f"not now; the experiment goes on: comity plan watch {PLAN}"):
        made.ended()


def test_a_run_is_what_a_simulation_gives(answered):
    rounds = (
        round_of(1, part("a"), part("b", included=False, status="STATUS_FAILED", attempts=2)),
        round_of(2, pooled=...),
    )
    run = answered(shown(*rounds)).wait()
    assert run.digest == codec.digest({**PARAMS, "bias": np.array(9.0)})
    assert (run.round, list(run.sites), list(run.columns)) == (2, ["a", "b"], ["age", "Größe"])
    first, second = run.history
    assert (first.included, first.missing, first.attempts, first.seconds) == (("a",), ("b",), 2, 1.5)
    assert first.pooled == {"accuracy": 0.5}
    assert first.sites == {"a": {"accuracy": 0.25}}, "b has nothing to test on"
    assert (second.included, second.missing, second.pooled, second.sites) == (("a", "b"), (), None, None)
    assert run.engine == {"engine": "Plain()", "threads": 1, "plan": PLAN, "aggregator": "a"}
    assert run.series("accuracy") == ([1], [0.5])


NAN = {"a": {"accuracy": None}, "b": {"accuracy": None}}


@pytest.mark.parametrize(
    ("pooled", "sites", "wanted"),
    [
        (None, NAN, (None, None)),
        (0.5, NAN, ({"accuracy": 0.5}, {"a", "b"})),
        (0.5, {}, ({"accuracy": 0.5}, set())),
        (..., {}, (None, None)),
    ],
    ids=["nothing to measure", "only defined over all", "no site shows its own", "not measured"],
)
def test_what_cannot_be_measured_is_nan_or_nothing(answered, pooled, sites, wanted):
    run = answered(shown(round_of(1, pooled=pooled, sites=sites))).wait()
    (only,) = run.history
    assert (only.pooled, only.sites if only.sites is None else set(only.sites)) == wanted


def test_the_best_round_is_the_model(answered):
    made = answered(shown(round_of(1, pooled=0.9), round_of(2, pooled=0.6)), experiment=replace(HEART, best="accuracy"))
    run = made.wait()
    assert (run.round, run.digest) == (1, codec.digest(PARAMS))


def test_a_state_that_is_not_there_is_said(answered):
    with pytest.raises(RoundFailed, match="the state after round 1 is not there"):
        answered(shown(round_of(1, state=False))).wait()
    with pytest.raises(RoundFailed, match="the state after round 0 is not there"):
        answered(shown()).wait()


def test_a_round_that_is_open_at_the_end_is_none(answered):
    run = answered(shown(round_of(1), round_of(2, part("a", included=False), closed=False, state=False))).wait()
    assert [each.number for each in run.history] == [1]


def test_an_experiment_is_read_where_it_was_not_begun(answered):
    made = answered(shown(round_of(1)), experiment=None)
    assert made.experiment() == HEART
    assert made.wait().experiment == HEART
    assert repr(made) == f"Running('{PLAN}')"


def test_what_was_cancelled_has_no_run(canned, answered):
    made = answered(shown(round_of(1), round_of(2, state=False), status="CANCELED"))
    with pytest.raises(RoundFailed, match=f"the experiment {PLAN} was cancelled after 1 rounds"):
        made.wait()
    canned.say(f"/compute_plan/{PLAN}/cancel/", {})
    made.cancel()
    assert canned.asked("POST", f"/compute_plan/{PLAN}/cancel/") == [b"{}"]


def failed(canned, key, site, number, log, status=200, stage="local"):
    task = {
        "key": key,
        "worker": site,
        "stage": stage,
        "round": number,
        "refused": None,
        "error_type": "EXECUTION_ERROR",
    }
    canned.say(f"/task/{key}/", task)
    canned.say(f"/task/{key}/logs/", log.encode() if status == 200 else {"detail": "no"}, status)


def test_what_failed_is_said_with_its_last_words(canned, answered):
    failed(canned, "t1", "b", 1, "one\n  two\nthree\nValueError: the scanner's unit\n\n")
    failed(canned, "t2", "a", 1, "", status=403)
    made = answered(shown(round_of(1), status="FAILED", failed=["t1", "t2"]))
    with pytest.raises(RoundFailed) as caught:
        made.wait()
    assert str(caught.value) == (
        f"the experiment {PLAN} failed after 1 rounds: "
        "local of round 1 at b: EXECUTION_ERROR: two | three | ValueError: the scanner's unit; "
        "local of round 1 at a: EXECUTION_ERROR; its log is to be read at a"
    )


@pytest.mark.parametrize("status", [403, 404, 501])
def test_a_log_that_may_not_be_read_hides_no_failure(canned, answered, status):
    failed(canned, "t1", "b", 1, "", status=status)
    (only,) = answered(shown(failed=["t1"])).failures()
    assert (only.site, only.log) == ("b", "")


def test_of_each_site_and_stage_the_last_failure_is_told(canned, answered):
    for key, number in (("t1", 2), ("t2", 3), ("t3", 1)):
        failed(canned, key, "b", number, key)
    failed(canned, "t4", "b", 1, "t4", stage="evaluate")
    found = answered(shown(failed=["t1", "t2", "t3", "t4"])).failures()
    assert {(each.stage, each.round, each.log) for each in found} == {("local", 3, "t2"), ("evaluate", 1, "t4")}


# Memories


def left(digest, key="m1"):
    address = None if digest is None else {"checksum": digest.removeprefix("sha256:"), "storage_address": ""}
    contribution = {"identifier": "contribution", "asset": {"key": "c", "address": None}}
    return {"results": [contribution, {"identifier": "memory", "asset": {"key": key, "address": address}}]}


def test_a_memory_is_that_of_the_last_round_a_site_was_included_in(canned, answered):
    memory = {"head": np.array([3.0])}
    run = answered(shown(round_of(1), round_of(2, part("a", number=2), part("b", number=2, included=False)))).wait()
    canned.say("/task/a2/output_assets/", left(codec.digest(memory)))
    canned.say("/task/b1/output_assets/", left(codec.digest({}), "m2"))
    canned.say("/model/m1/file/", codec.encode(memory))
    assert codec.digest(run.memory("a")) == codec.digest(memory)
    assert run.memory("b") == {}, "it keeps none, which is known by its digest"
    assert canned.asked("GET", "/model/m2/file/") == []


def test_a_memory_of_another_organization_is_refused(canned, answered):
    run = answered(shown(round_of(1))).wait()
    canned.say("/task/b1/output_assets/", left(codec.digest({"w": np.ones(1)})))
    canned.say("/model/m1/file/", {"detail": "a may not process the model"}, 403)
    with pytest.raises(Forbidden, match="a may not process"):
        run.memory("b")


def test_a_memory_that_was_released_is_said(canned, answered):
    run = answered(shown(round_of(1))).wait()
    canned.say("/task/a1/output_assets/", left(None))
    with pytest.raises(NotFound, match="what a remembered after round 1 was released"):
        run.memory("a")


def test_nobody_but_a_site_keeps_its_memory(answered):
    run = answered(shown(round_of(1))).wait()
    assert run.memories.get("nobody", 1) == {}
    assert run.memories.get("a", 0) == {}
    with pytest.raises(NotSupported, match="kept at a"):
        run.memories.put("a", 1, {}, [])
    with pytest.raises(NotSupported, match="kept at the sites"):
        run.memories.rewind(0)


def test_a_run_is_saved_without_what_stays_at_other_sites(canned, answered, tmp_path):
    personal = replace(HEART, strategy=co.strategies.FedPer(personal=("bias",)))
    own = {"bias": np.array(7.0)}
    for site in "ab":
        canned.say(f"/task/{site}1/output_assets/", left(codec.digest(own), f"m{site}"))
    run = answered(shown(round_of(1)), experiment=personal).wait()
    canned.say("/model/ma/file/", codec.encode(own))
    canned.say("/model/mb/file/", {"detail": "a may not process the model"}, 403)
    run.save(tmp_path / "report")
    assert [path.name for path in (tmp_path / "report" / "sites").iterdir()] == ["a.safetensors"]
    assert codec.decode((tmp_path / "report" / "sites" / "a.safetensors").read_bytes())["bias"] == 7.0


def test_a_run_is_saved_like_any_other(canned, answered, tmp_path):
    for site in "ab":
        canned.say(f"/task/{site}1/output_assets/", left(codec.digest({})))
    answered(shown(round_of(1))).wait().save(tmp_path / "report")
    held = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert held["rounds"][0]["sites"] == {"a": {"accuracy": 0.25}}


def test_who_follows_an_experiment_is_not_warned_of_what_its_author_was(canned):
    with pytest.warns(co.privacy.PrivacyWarning):
        secure = replace(HEART, privacy=[co.privacy.SecureSum()])
    with warnings.catch_warnings(record=True) as heard:
        assert Running(canned.client, PLAN).experiment(shown(experiment=secure.to_json())) == secure
    assert heard == []
