"""What pages say of owners' policies, and of budgets that were spent."""

from __future__ import annotations

import pytest
from tests.unit.node.rest.test_rounds import Experiment, ground

from comity.domain.events import PolicyChanged
from comity.domain.policy import Budget, Policy, Rule
from comity.domain.words import SALT, written
from comity.faces.web.policy import demands, rules_about
from comity.node.accounts.roles import Role
from comity.node.policy import ledger
from comity.node.policy.policies import content
from comity.privacy.budget import FIRST, Line
from comity.values.digest import digest

OTHER = {
    "tasks": "any",
    "secure_sum": True,
    "least": 3,
    "colluding": 1,
    "epsilon": 2.0,
    "rounds": 50,
    "metrics": ("auc",),
    "site_metrics": False,
    "digits": 3,
    "smallest_count": 5,
    "repeats": 2,
    "sandbox": "bubblewrap",
    "hours": "20:00-06:00",
}
"""Of everything that a rule may ask for, another value than the default."""


def test_everything_that_a_rule_asks_for_is_said():
    assert OTHER.keys() == {*Rule.__struct_fields__} - {"id", "organizations", "datasets", "delta", "unit"}


@pytest.mark.parametrize("name", OTHER)
def test_a_rule_that_asks_for_something_else_says_so(name):
    delta = {"delta": 1e-5} if name == "epsilon" else {}
    assert demands(Rule(id="r", **{name: OTHER[name]}, **delta)) != demands(Rule(id="r"))


def test_rules_about_other_datasets_are_left_out():
    rules = (Rule(id="lungs", datasets=("lung*",)), Rule(id="hearts", datasets=("heart",)), Rule(id="all"))
    assert [each.id for each in rules_about(Policy(rule=rules), dataset="k", name="heart")] == ["hearts", "all"]
    assert rules_about(Policy(), dataset="k", name="heart") == []


def test_a_dataset_shows_what_its_owner_asks_for(pages):
    network = pages.network
    dataset = network.dataset("b")["key"]
    browser = pages.browser("a", Role.AUDITOR)
    assert "b has said of no policy" in browser.words(f"/datasets/{dataset}")
    policy = Policy(rule=(Rule(id="partners", organizations=("a", "c"), secure_sum=True, rounds=9),))
    text, texts = written(content(policy), bytes(SALT))
    said = PolicyChanged(digest=digest(content(policy).encode()), content=text)
    network.loop.run_until_complete(network.places["b"].part().following.write([said], texts))
    words = browser.words(f"/datasets/{dataset}")
    assert "partners a, c only experiments; sums masked; 9 rounds at most" in words


def test_a_plan_shows_what_it_spent_of_this_organizations_budgets_alone(pages):
    network = pages.network
    functions, sites = ground(network)
    dp = '{"privacy":[{"delta":0.001,"epsilon":2.0,"type":"privacy.RecordDP"}]}'
    experiment = Experiment(network, functions, sites, experiment=dp)
    at = f"/compute_plans/{experiment.plan}/privacy"
    assert "ε = 2.0, δ = 0.001" in pages.browser().words(at)
    assert "none of a's datasets has one that this plan spends of" in pages.browser().words(at)
    place, dataset = network.places["a"], sites["a"]["dataset"]
    of = {"dataset": dataset, "run": experiment.plan, "organization": "a", "epsilon": 2.0, "delta": 0.001}
    line = Line(does="reserve", at=1, before=FIRST, **of)
    budget = Budget(dataset=dataset, epsilon=3.0, delta=0.01)
    place.node.database.write(lambda connection: ledger.add(connection, place.numbers["main"], line, budget))
    assert "Budget of heart ε = 2, δ = 0.001 of each record, reserved by this plan" in pages.browser().words(at)
    assert "Budget of heart" not in pages.browser("b").words(at)
