"""An owner's policy: what it lets run, why not, and that a stricter one never lets more run."""

import math
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from comity.domain.policy import Asked, Budget, Policy, Rule, budget_of, decide, read_policy
from comity.values.errors import InvalidInput

ASKED = Asked(
    owner="hospital",
    organization="lab",
    dataset="0b9ec7a6-5e3b-4b8c-8d8e-0a1b2c3d4e5f",
    name="heart",
    experiment=True,
    masked=True,
    cohort=3,
    spends={"record": (2.0, 1e-5)},
    rounds=10,
    metrics=("auc",),
    shows_metrics=False,
    repeats=1,
    sandbox="bubblewrap",
    minute=12 * 60,
)

STRICT = Rule(
    id="strict",
    organizations=("lab",),
    datasets=("heart",),
    secure_sum=True,
    least=3,
    epsilon=2.0,
    delta=1e-5,
    rounds=10,
    metrics=("auc", "acc*"),
    site_metrics=False,
    repeats=2,
    sandbox="bubblewrap",
    hours="08:00-18:00",
)


def policy(*rules):
    return Policy(rule=rules)


def test_what_meets_every_demand_is_allowed_and_named_by_its_rule():
    ruling = decide(policy(STRICT), ASKED)
    assert (ruling.allowed, ruling.rule, ruling.reasons) == (True, "strict", ())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"experiment": False}, "only experiments may run"),
        ({"masked": False}, "have to be summed securely; add co.privacy.SecureSum"),
        ({"cohort": 2}, "needs 3 sites at least, and this one may be opened with 2"),
        ({"spends": {"record": (2.5, 1e-5)}}, "ε of a record may be 2 at most, and this has ε = 2.5"),
        ({"spends": {}}, "and this has no co.privacy.RecordDP, nor SiteDP under SecureSum"),
        ({"spends": {"site": (1.0, 1e-9)}}, "and this has no co.privacy.RecordDP"),
        ({"spends": {"record": (2.0, 1e-4)}}, "δ of a record may be 1e-05 at most, and this has 0.0001"),
        ({"rounds": 11}, "10 rounds are the most, and this has 11"),
        ({"metrics": ("auc", "rows")}, r"rows may not be measured; auc, acc\* may"),
        ({"shows_metrics": True}, "metrics of this site alone may not be shown"),
        ({"repeats": 2}, "was run 2 times already, and may be 2 times"),
        ({"sandbox": "plain"}, "held in by bubblewrap, and this node reaches plain"),
        ({"minute": 18 * 60}, "it is open 08:00-18:00, and now it is 18:00"),
    ],
)
def test_each_demand_refuses_by_itself_and_says_why(change, said):
    ruling = decide(policy(STRICT), replace(ASKED, **change))
    assert not ruling.allowed
    (reason,) = ruling.reasons
    assert reason.startswith("rule strict: ")
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(reason)


@pytest.mark.parametrize("change", [{"organization": "other"}, {"name": "lung"}])
def test_what_no_rule_is_about_is_refused(change):
    asked = replace(ASKED, **change)
    ruling = decide(policy(STRICT), asked)
    assert ruling.reasons == (f"no rule is about {asked.organization} and the dataset {asked.name}",)
    assert not decide(policy(), ASKED).allowed


def test_a_demand_may_be_of_the_whole_site():
    of_sites = structs.replace(STRICT, unit="site")
    ruling = decide(policy(of_sites), ASKED)
    assert ruling.reasons == (
        "rule strict: ε of a site may be 2 at most, and this has no co.privacy.SiteDP under SecureSum",
    )
    assert decide(policy(of_sites), replace(ASKED, spends={"site": (2.0, 1e-5)})).allowed


BUDGET = Budget(dataset="heart", epsilon=5.0, delta=1e-4, unit="site")


@pytest.mark.parametrize("by", ["rule", "budget"])
def test_beside_an_epsilon_of_the_site_only_metrics_that_its_owner_names_are_summed(by):
    """They have no noise, and no ε covers them."""
    limits = {"epsilon": 2.0, "delta": 1e-5, "unit": "site"} if by == "rule" else {}
    asked = replace(ASKED, spends={"site": (2.0, 1e-5)})

    def by_rule(*metrics):
        given = {"metrics": metrics} if metrics else {}
        return Policy(rule=(Rule(id="r", **limits, **given),), budget=() if by == "rule" else (BUDGET,))

    for refused in (by_rule(), by_rule("*"), by_rule("*", "acc*")):
        (reason,) = decide(refused, asked).reasons
        assert "rule r: ε of a site does not cover auc, whose sums have no noise" in reason
        assert decide(refused, replace(asked, metrics=())).allowed
    assert decide(by_rule("auc"), asked).allowed
    assert decide(by_rule("*", "au*"), asked).allowed


def test_a_rule_demands_noise_that_is_enough_when_some_tell_theirs():
    rule = structs.replace(STRICT, colluding=2)
    noised = replace(ASKED, colluding=1)
    (reason,) = decide(policy(rule), noised).reasons
    assert reason == (
        "rule strict: noise must be enough when 2 sites tell theirs, and this is for 1; say colluding=2 in "
        "co.privacy.SiteDP"
    )
    assert decide(policy(rule), replace(noised, colluding=2)).allowed
    assert decide(policy(rule), ASKED).allowed  # record by record, each site's noise is enough by itself
    assert not decide(policy(Rule(id="r", colluding=2)), noised).allowed  # its ε may be limited by a budget alone


def test_an_organizations_own_tasks_need_no_rule():
    assert decide(policy(), replace(ASKED, organization="hospital", masked=False)).rule == "own"


def test_the_first_rule_that_allows_does_and_else_every_reason_is_given():
    loose = Rule(id="loose", organizations=("*",), digits=3, smallest_count=10)
    asked = replace(ASKED, masked=False)
    ruling = decide(policy(STRICT, loose), asked)
    assert (ruling.rule, ruling.digits, ruling.smallest_count) == ("loose", 3, 10)
    assert decide(policy(STRICT, structs.replace(loose, rounds=1)), asked).reasons == (
        "rule strict: contributions have to be summed securely; add co.privacy.SecureSum() to privacy",
        "rule loose: 1 rounds are the most, and this has 10",
    )


def test_a_dataset_is_meant_by_its_name_its_key_or_a_pattern():
    for datasets in (("heart",), ("he*",), (ASKED.dataset,), ("*",)):
        assert decide(policy(Rule(id="r", datasets=datasets)), ASKED).allowed
    redacted = replace(ASKED, name="")
    assert not decide(policy(Rule(id="r", datasets=("heart", "he*"))), redacted).allowed
    assert decide(policy(Rule(id="r", datasets=(ASKED.dataset,))), redacted).allowed


@pytest.mark.parametrize(
    ("hours", "minute", "open_"),
    [
        ("20:00-06:00", 20 * 60, True),
        ("20:00-06:00", 5 * 60 + 59, True),
        ("20:00-06:00", 6 * 60, False),
        ("20:00-06:00", 12 * 60, False),
        ("", 60, True),
    ],
)
def test_hours_may_pass_midnight(hours, minute, open_):
    assert decide(policy(Rule(id="r", hours=hours)), replace(ASKED, minute=minute)).allowed is open_


DEMANDS = {
    "tasks": st.sampled_from(["experiments", "any"]),
    "secure_sum": st.booleans(),
    "least": st.integers(1, 5),
    "epsilon": st.sampled_from([0.5, 2.0, math.inf]),
    "colluding": st.integers(0, 2),
    "rounds": st.sampled_from([None, 1, 10, 20]),
    "metrics": st.sampled_from([("*",), ("auc",), ()]),
    "site_metrics": st.booleans(),
    "repeats": st.sampled_from([None, 1, 2]),
    "sandbox": st.sampled_from(["plain", "bubblewrap"]),
}

ASKS = st.builds(
    replace,
    st.just(ASKED),
    experiment=st.booleans(),
    masked=st.booleans(),
    cohort=st.integers(1, 5),
    spends=st.sampled_from([{}, *({"record": (epsilon, 1e-5)} for epsilon in (0.1, 1.0, 3.0))]),
    colluding=st.sampled_from([None, 0, 1, 2]),
    rounds=st.integers(1, 30),
    shows_metrics=st.booleans(),
    repeats=st.integers(0, 3),
    sandbox=st.sampled_from(["plain", "bubblewrap"]),
)


def rule(demands):
    given = {"tasks": "any", **demands}
    return Rule(id="r", **given, delta=1e-5 if math.isfinite(given.get("epsilon", math.inf)) else None)


@given(
    demands=st.fixed_dictionaries({}, optional=DEMANDS), more=st.fixed_dictionaries({}, optional=DEMANDS), asked=ASKS
)
def test_who_meets_all_demands_of_two_rules_meets_those_of_each(demands, more, asked):
    """A rule with further demands allows nothing that it would not allow without them."""
    strict = {"tasks": "any", **demands}
    both = {**more, **demands}
    if not more.keys() & demands.keys() and decide(policy(rule(both)), asked).allowed:
        assert decide(policy(rule(strict)), asked).allowed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]]\nid = 'r'\nsecure = true", "secure"),
        ("[[rule]]\nid = 'r'\nleast = 0", "least"),
        ("[[rule]]\nid = 'r'\nhours = '8-18'", "hours"),
        ("[[rule]]\norganizations = ['a']", "id"),
        ("[[rule]]\nid = 'r'\n[[rule]]\nid = 'r'", "two rules are called 'r'"),
        ("[[rule]]\nid = 'own'", "a name that comity uses itself"),
        ("[[rule]]\nid = 'permissions'", "a name that comity uses itself"),
        ("[[rule]]\nid = 'r'\nepsilon = 1.0", "must give epsilon and delta, or neither"),
        ("[[rule]]\nid = 'r'\ndelta = 1e-5", "must give epsilon and delta, or neither"),
        ("[[rule]]\nid = 'r'\nhours = '08:00-08:00'", "is never open"),
        ("[[budget]]\ndataset = 'heart'\nepsilon = 0\ndelta = 1e-5", "epsilon"),
        ("[[budget]]\ndataset = 'heart'\nepsilon = 1.0", "delta"),
        ("rule = 3", "rule"),
        ("[[rules]]\nid = 'r'", "rules"),
    ],
)
def test_what_is_no_policy_says_what_is_wrong(text, said):
    with pytest.raises(InvalidInput, match=said):
        read_policy(tomllib.loads(text))


def test_a_budget_is_found_by_a_datasets_name_or_key():
    read = read_policy(tomllib.loads("[[budget]]\ndataset = 'heart'\nepsilon = 3.0\ndelta = 1e-5"))
    assert budget_of(read, dataset="k", name="heart") == Budget(dataset="heart", epsilon=3.0, delta=1e-5)
    assert budget_of(read, dataset="heart", name="") is not None
    assert budget_of(read, dataset="k", name="lung") is None
