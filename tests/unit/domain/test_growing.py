"""The rules of growing plans: what may be registered, who may take what, and which decisions are refused."""

import pytest
from msgspec.structs import replace

from comity.domain.added import check_model
from comity.domain.events import (
    Aggregate,
    DatasetRegistered,
    DatasetWithdrawn,
    OrganizationRemoved,
    PlanCompleted,
    PlanRegistered,
    RoundClosed,
    Sample,
    SamplesRegistered,
    Stop,
    TaskAdded,
    TaskDone,
    TaskInput,
    TaskOutput,
    TaskStarted,
)
from comity.domain.records import Draft, Function, Model, Plan, Task
from comity.domain.rounds import first, local, measurement, round_tasks
from comity.domain.sums import SUM
from comity.domain.words import Permission
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound

# Registration.

REFUSED = [
    ({"functions": {}}, "no function for init, local, step"),
    ({"metrics": ("auc",), "functions": None}, "no function for evaluate, finish"),
    ({"stop": Stop(metric="auc", goal="max", patience=1)}, "stops by auc, which it does not measure"),
    ({"quorum": "nan"}, "the quorum is nan"),
    ({"quorum": "inf"}, "the quorum is inf"),
    ({"quorum": "-1.0"}, r"the quorum is -1\.0"),
    ({"quorum": "0.0"}, r"the quorum is 0\.0"),
    ({"quorum": "1.5"}, r"the quorum is 1\.5"),
    ({"quorum": "4.0"}, "the quorum is 4 but round 1 has 3 sites"),
    ({"quorum": "2.0", "selected": (("a", "b"), ("a",))}, "the quorum is 2 but round 2 has 1 sites"),
    ({"selected": (("a",),)}, "sites are selected for 1 rounds of 2"),
    ({"selected": (("a",), ())}, r"round 2 selects \[\]"),
    ({"selected": (("a",), ("d",))}, r"round 2 selects \['d'\] of \['a', 'b', 'c'\]"),
    ({"selected": (("a", "a"), ("a",))}, r"round 1 selects \['a', 'a'\]"),
    ({"aggregator": "z"}, "the worker z is not a member"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_an_experiment_that_cannot_be_conducted_is_not_registered(unbegun, change, said):
    made = unbegun()
    if change.get("functions", 0) is None:
        change = {**change, "functions": {stage: made.functions[stage] for stage in ("init", "local", "step")}}
    made.growth = replace(made.growth, **change)
    with pytest.raises(InvalidInput, match=said):
        made.registered()
    assert made.log.records.get(Plan, made.log.key("plan")) is None


def site_data(made, site, **change):
    return {**made.growth.sites, site: replace(made.growth.sites["b"], **change)}


def test_an_experiment_needs_data_that_are_there_and_may_be_used(unbegun):
    made, word = unbegun(), unbegun().log.key
    private = DatasetRegistered(
        key=word("private"), name=made.log.NAME, opener=made.log.BLOB, description=made.log.BLOB
    )
    sample = Sample(word("other"), made.log.BLOB)
    made.log.write("b", private, SamplesRegistered(samples=(sample,), datasets=(word("private"),)))
    for change, kind, said in (
        ({"dataset": word("nothing")}, NotFound, "there is no dataset"),
        ({"dataset": word(("data", "c"))}, InvalidInput, "is at c, so b cannot work"),
        ({"dataset": word("private"), "samples": (word("other"),)}, Forbidden, "a may not use the dataset"),
        ({"samples": (word("other"),)}, InvalidInput, "is not of the dataset"),
        ({"samples": (word("nothing"),)}, NotFound, "there is no datasample"),
    ):
        growth = made.growth
        made.growth = replace(growth, sites=site_data(made, "b", **change))
        with pytest.raises(kind, match=said):
            made.registered()
        made.growth = growth
    made.registered()


def test_sites_of_later_rounds_are_looked_at_too(unbegun):
    made = unbegun(selected=(("a",), ("b",)))
    made.growth = replace(made.growth, sites=site_data(made, "b", dataset=made.log.key("nothing")))
    with pytest.raises(NotFound, match="there is no dataset"):
        made.registered()


@pytest.mark.parametrize("gone", ["left", "withdrawn"])
def test_an_experiment_does_not_begin_with_who_is_gone(unbegun, gone):
    made = unbegun()
    if gone == "left":
        made.log.write("a", OrganizationRemoved(organization="c"))
    else:
        made.log.write("c", DatasetWithdrawn(key=made.log.key(("data", "c"))))
    with pytest.raises((InvalidInput, Forbidden), match=r"not a member|has withdrawn"):
        made.registered()


def test_functions_have_to_fit(unbegun):
    made = unbegun()
    made.growth = replace(made.growth, functions={**made.functions, "step": made.functions["init"]})
    with pytest.raises(InvalidInput, match="OE0101"):
        made.registered()
    made.growth = replace(made.growth, functions=made.functions, start=made.log.key("nothing"))
    with pytest.raises(NotFound, match="there is no model"):
        made.registered()


def test_a_plan_has_one_key_and_none_of_its_trial_stays(unbegun):
    made = unbegun()
    made.registered()
    assert not list(made.log.records.find(Task, "plan", made.plan.key))
    with pytest.raises(Conflict, match="there is a plan"):
        made.registered()


# Rounds.


def test_only_a_growing_plan_has_rounds(planned):
    for change in ({"stage": "local"}, {"round": 1}, {"gathers": True}):
        with pytest.raises(InvalidInput, match="has no rounds"):
            planned.add("task", **change)


def test_rounds_follow_each_other(grown):
    made = grown()
    with pytest.raises(InvalidInput, match="round 3 does not follow round 1"):
        made.log.write("a", replace(local(made.plan, 2, "b", {}), round=3, key=made.log.key("x")))


def test_only_a_task_with_parts_gathers(grown):
    made = grown()
    with pytest.raises(InvalidInput, match="none that gathers"):
        made.log.write("a", replace(local(made.plan, 2, "b", {}), gathers=True))


@pytest.fixture
def forging(grown):
    """An experiment whose first round all but c have done, beside another of a's in which all have."""
    made = grown(retries=1, metrics=("auc",), quorum="1.0")
    made.log.write("a", PlanRegistered(key=made.log.key("other"), name=made.log.NAME, growth=made.growth))
    other = made.log.get(Plan, "other")
    part, *_ = events = round_tasks(other, 1, {})
    made.log.write("a", first(other), *events)
    for stage, task in (("init", first(other)), ("local", part)):
        function = made.log.get(Function, made.functions[stage])
        made.log.write("a", TaskStarted(key=task.key, attempt=1))
        made.log.write("a", TaskDone(key=task.key, outputs=made.left(function, made.log.found(task.key), "0.5")))
    made.locals(1, "a", "b")
    return made


FORGED = [
    (
        "not done",
        lambda made: [made.key("local", 1, "a"), made.key("local", 1, "c")],
        InvalidInput,
        "no part of round 1",
    ),
    ("another plan's", lambda made: [other_part(made)], InvalidInput, "no part of round 1"),
    ("of another stage", lambda made: [made.key("init", 0)], InvalidInput, "no part of round 1"),
    ("unknown", lambda made: [made.log.key("nothing")], NotFound, "there is no task"),
    ("the same twice", lambda made: [made.key("local", 1, "a")] * 2, InvalidInput, "one part of each site"),
]


def other_part(made):
    tasks = made.log.records.find(Task, "plan", made.log.key("other"))
    return next(each.key for each in tasks if each.stage == "local" and each.worker == "a")


@pytest.mark.parametrize(("parts", "kind", "said"), [each[1:] for each in FORGED], ids=[each[0] for each in FORGED])
def test_a_round_takes_no_part_that_is_none(forging, parts, kind, said):
    with pytest.raises(kind, match=said):
        forging.log.write("a", RoundClosed(task=forging.key("sum", 1), included=tuple(parts(forging))))


def test_a_site_has_one_part_in_a_round_and_tries_again_only_what_has_failed(grown):
    made = grown(retries=2)
    for attempt in (2, 3):
        with pytest.raises(Conflict, match="tries again what a has not failed at"):
            made.log.write("a", local(made.plan, 1, "a", {}, attempt))
    made.locals(1, "b")
    made.fail("local", 1, "a")
    with pytest.raises(Conflict, match="tries again what a has not failed at"):
        made.log.write("a", local(made.plan, 1, "a", {}, 3))
    made.log.write("a", local(made.plan, 1, "a", {}, 2))
    made.done("local", 1, "a", 2)


def test_a_plan_that_grows_has_the_tasks_of_its_rounds_and_no_others(grown):
    """What its growth says is what becomes of data: an owner's policy goes by it."""
    made = grown(metrics=("auc",), rounds=2)
    made.log.write("a", made.log.function("other", inputs=made.log.get(Function, made.functions["local"]).inputs))
    good = local(made.plan, 2, "b", {})
    for change in (
        {"key": made.log.key("x")},
        {"required": True},
        {"outputs": {**good.outputs, "memory": TaskOutput(Permission(public=True))}},
        {"round": 1},
        {"stage": "evaluate"},
    ):
        with pytest.raises(Forbidden, match="has the tasks of its rounds, and none such as"):
            made.log.write("a", replace(good, **change))


def test_a_part_of_another_round_is_none(grown):
    made = grown()
    made.round(1, "a", "b", "c")
    made.locals(2, "a")
    parts = made.key("local", 1, "b"), made.key("local", 2, "a")
    with pytest.raises(InvalidInput, match="no part of round 2"):
        made.log.write("a", RoundClosed(task=made.key("sum", 2), included=parts))


def test_a_round_is_closed_once_and_by_its_owner(grown):
    made = grown()
    made.locals(1, "a", "b", "c")
    closed = RoundClosed(task=made.key("sum", 1), included=(made.key("local", 1, "a"),))
    with pytest.raises(Forbidden, match=r"OE0102: the plan .* belongs to a; b may not change it"):
        made.log.write("b", closed)
    with pytest.raises(Conflict, match="does not wait to be told"):
        made.log.write("a", replace(closed, task=made.key("step", 1)))
    made.log.write("a", closed)
    with pytest.raises(Conflict, match="does not wait to be told"):
        made.log.write("a", closed)


def test_a_plan_is_completed_once_by_its_owner_and_then_has_all_its_tasks(grown):
    made = grown(metrics=("auc",))
    with pytest.raises(Forbidden, match="belongs to a"):
        made.log.write("b", PlanCompleted(key=made.plan.key))
    with pytest.raises(Conflict, match="has a round that is open"):
        made.log.write("a", PlanCompleted(key=made.plan.key))
    made.locals(1, "a", "b", "c")
    made.log.write("a", RoundClosed(task=made.key("sum", 1), included=(made.key("local", 1, "a"),)))
    with pytest.raises(Conflict, match="does not measure what comes out of it"):
        made.log.write("a", PlanCompleted(key=made.plan.key))
    made.log.write("a", *measurement(made.plan, 1, {}), PlanCompleted(key=made.plan.key))
    with pytest.raises(Conflict, match="has all its tasks already"):
        made.log.write("a", PlanCompleted(key=made.plan.key))
    with pytest.raises(InvalidInput, match="has all its tasks"):
        made.log.write("a", local(made.plan, 1, "a", {}, 2))


def test_a_late_result_changes_nothing_that_is_under_way(grown):
    made = grown(quorum="2.0")
    made.start("local", 1, "c")
    made.locals(1, "a", "b")
    made.log.now += 60_000
    made.conduct()
    before = made.task("sum", 1)
    made.done("local", 1, "c")
    assert made.task("sum", 1) == before
    assert made.log.get(Model, (made.key("local", 1, "c"), "contribution")).owner == "c"


# Who may take what.


def takers(made, task, output, stage="step", identifier="state"):
    """Organizations at which a task of this stage, of this plan or another of its owner's, may take an output."""
    site = "b" if stage in ("local", "evaluate") else ""
    asked, found = made.task(stage, 1, site), set()
    for name in "abcd":
        function = made.log.get(Function, asked.function)
        try:
            given = TaskInput(identifier, parent=task, output=output)
            check_model(Draft(made.log.records), replace(asked, worker=name), function, given)
        except Forbidden:
            continue
        found.add(name)
    return found


@pytest.mark.parametrize(("sees_each", "contribution"), [(False, set()), (True, {"b", "d"})])
def test_outputs_are_for_those_who_need_them(grown, sees_each, contribution):
    made = grown(sees_each=sees_each, metrics=("auc",), aggregator="d")
    made.locals(1, "a", "b", "c")
    made.conduct()
    assert takers(made, made.key("local", 1, "b"), "contribution") == contribution
    assert takers(made, made.key("local", 1, "b"), "memory") == set()
    for stage in ("local", "evaluate"):
        assert takers(made, made.key("local", 1, "b"), "memory", stage, "memory") == {"b"}
    assert takers(made, made.key("evaluate", 1, "b"), "scores") == set()
    assert takers(made, made.key("init", 0), "state") == set("abcd")
    if not sees_each:
        assert takers(made, made.key("sum", 1), "total") == set()
        assert takers(made, made.key("sum", 1), "total", "step", "total") == {"d"}


@pytest.mark.parametrize("stage", ["local", "evaluate"])
def test_a_model_that_was_left_is_for_them_too(grown, stage):
    made = grown(metrics=("auc",))
    made.round(1, "a", "b", "c")
    made.done("evaluate", 1, "b")
    for model in made.log.records.find(Model, "task", made.key(stage, 1, "b")):
        assert (model.permission, model.owner) == (Permission(), "b")


def adding(made, plan, *inputs, **change):
    """A sum as anybody may write it."""
    event = TaskAdded(
        key=made.log.key("theft"),
        plan=plan,
        function=SUM,
        worker="a",
        inputs=inputs,
        outputs={"total": TaskOutput(Permission(public=True))},
    )
    return replace(event, **change)


@pytest.mark.parametrize("sees_each", [False, True])
@pytest.mark.parametrize("by", ["output", "key"])
def test_nobody_has_another_plans_parts_added_for_himself(grown, sees_each, by):
    """Sums need no approval: one over a single part would give it away."""
    made = grown(sees_each=sees_each)
    made.locals(1, "b")
    made.log.plan("thiefs", "d")
    part = made.key("local", 1, "b")
    given = (
        {"parent": part, "output": "contribution"}
        if by == "output"
        else {"asset": made.log.key((part, "contribution"))}
    )
    with pytest.raises(Forbidden, match="OE0102: d may not process the model"):
        made.log.write("d", adding(made, made.log.key("thiefs"), TaskInput("parts", **given)))


def test_what_a_plans_owner_may_have_can_be_added(planned):
    for word in ("one", "two"):
        planned.add(word, outputs={"model": TaskOutput(Permission(authorized=("a",)))})
    planned.run("one", "two")
    planned.plan("second")
    given = [TaskInput("parts", asset=planned.key(("model", word))) for word in ("one", "two")]
    event = TaskAdded(
        key=planned.key("sum"),
        plan=planned.key("second"),
        function=SUM,
        worker="a",
        inputs=tuple(given),
        outputs={"total": TaskOutput()},
    )
    planned.write("a", event)
    assert planned.status("sum") == "STATUS_WAITING_FOR_EXECUTOR_SLOT"


@pytest.mark.parametrize("parts", [("one", "two"), ("one", "one", "one")])
def test_a_part_is_added_to_as_many_others_as_it_asks_for(planned, parts):
    left = TaskOutput(private=True, aggregate=Aggregate(organizations=("a",), least=3))
    for word, worker in (("one", "a"), ("two", "b"), ("three", "c")):
        planned.add(word, worker=worker, outputs={"model": left})
    planned.run("one", "two", "three")

    def adds(*words):
        given = tuple(TaskInput("parts", parent=planned.key(each), output="model") for each in words)
        planned.add(f"sum of {words}", function=SUM, worker="a", inputs=given, outputs={"total": TaskOutput()})

    with pytest.raises(InvalidInput, match="lets its part be added to those of 2 others at least, not of"):
        adds(*parts)
    adds("one", "two", "three")


def test_scores_are_closed_like_rounds(grown):
    made = grown(metrics=("auc",))
    made.round(1, "a", "b", "c")
    made.done("evaluate", 1, "a")
    local_part = made.key("local", 1, "a")
    with pytest.raises(InvalidInput, match="no part of round 1"):
        made.log.write("a", RoundClosed(task=made.key("scores", 1), included=(local_part,)))
    made.log.write("a", RoundClosed(task=made.key("scores", 1), included=(made.key("evaluate", 1, "a"),)))
    assert made.plan.measuring == ()
    assert {each.key for each in measurement(made.plan, 1, {})} <= {
        each.key for each in made.log.records.find(Task, "plan", made.plan.key)
    }
