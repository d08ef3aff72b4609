"""The exported script comes to the same numbers as the playground, to the last bit."""

from __future__ import annotations

import pytest

from comity.faces.playground.experiment import methods
from comity.faces.playground.query import settings_from
from comity.faces.playground.script import script_of
from comity.faces.playground.work import Asked, Done, Point, Said, perform
from comity.values.errors import InvalidInput

QUERIES = [
    "rounds=1&a.rows=20&b.rows=20&a.noise=0.5&b.shift=1",
    "data=heart&strategy=Scaffold&rounds=2&hospitals=3&c.positive=0.5&secure_sum=off&seed=7",
    "data=heart&hospitals=3&secure_sum=on&rounds=2",
    "data=breast_cancer&hospitals=4&d.shift=1.2&strategy=Median&rounds=3",
    "data=breast_cancer&strategy=FedAdam&rounds=2&a.noise=2",
]


@pytest.mark.parametrize("query", QUERIES)
def test_the_script_and_the_playground_are_one_experiment(query: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_from(query)
    script = script_of(settings)
    found = {"__name__": "playground"}
    exec(compile(script, "playground.py", "exec"), found)
    assert capsys.readouterr().out.count("Hospital A alone") == 3
    for seed in settings.seeds:
        run = found["runs"][seed]
        for method in methods(settings):
            said: list[Said] = []
            perform(Asked(query, method, seed, 60), said.append)
            theirs = run if method == "federated" else run.baselines[method]
            *points, done = said
            assert done == Done(theirs.digest)
            assert points == [Point(each.number, dict(each.pooled)) for each in theirs.history]


def test_the_script_names_data_terms_and_where_it_came_from() -> None:
    script = script_of(settings_from("data=heart&rounds=5"))
    assert "UCI Heart Disease, split of FLamby (CC BY 4.0)" in script
    assert "?data=heart&rounds=5" in script
    assert "torch" not in script


@pytest.mark.parametrize(("method", "seed"), [("Hospital C", 0), ("federated", 3), ("all", 1)])
def test_only_what_belongs_to_the_settings_is_run(method: str, seed: int) -> None:
    with pytest.raises(InvalidInput, match=f"there is no {method} with the seed {seed} among these settings"):
        perform(Asked("", method, seed, 60), lambda _: None)
