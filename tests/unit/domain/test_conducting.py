"""What the conductor of an experiment says, and when: how rounds close, and how the experiment ends."""

import pytest

from comity.domain.conducting import Decision, awaited, decide
from comity.domain.events import (
    DatasetWithdrawn,
    FunctionBuilding,
    FunctionCancelled,
    FunctionReady,
    FunctionRefused,
    OrganizationRemoved,
    PlanCancelled,
    RoundClosed,
    Stop,
    TaskAdded,
)
from comity.domain.records import Plan, Task
from comity.domain.rounds import round_tasks

DEADLINE = 60_000
PARENTS, EXECUTOR = "STATUS_WAITING_FOR_PARENT_TASKS", "STATUS_WAITING_FOR_EXECUTOR_SLOT"


def kinds(events):
    return [type(each).__name__ for each in events]


def closing(events):
    """The decision that closes a round, of those that were said."""
    (event,) = [each for each in events if isinstance(each, RoundClosed)]
    return event


def late(made, after=0):
    """Who is awaited in vain."""
    return [part.worker for part in awaited(made.log.records, made.plan, made.log.now + after)]


def names(made, number, stage="sum"):
    return "".join(site for site, _ in made.included(number, stage))


# How it begins.


def test_the_first_state_and_the_first_round_are_added_together(unbegun):
    made = unbegun(metrics=("auc",))
    made.begin()
    tasks = {(each.stage, each.round, each.worker): each for each in made.log.records.find(Task, "plan", made.plan.key)}
    assert set(tasks) == {("init", 0, "a"), *(("local", 1, site) for site in "abc"), ("sum", 1, "a"), ("step", 1, "a")}
    assert {each.stage for each in tasks.values() if each.required} == {"init", "sum", "step"}
    assert {each.stage for each in tasks.values() if each.gathers} == {"sum"}
    assert (made.plan.rounds_added, made.plan.rounds_closed) == (1, 0)


def test_while_sites_work_nothing_is_said_and_it_looks_again_at_the_deadline(grown):
    made = grown()
    ready = made.task("init", 0).ended_at
    assert made.decide() == Decision(look=ready + DEADLINE)
    made.locals(1, "a", "b")
    assert made.decide().events == ()


def test_nothing_is_said_of_a_round_whose_state_is_not_there(unbegun):
    made = unbegun()
    made.registered()
    made.conduct()
    made.log.now += 10 * DEADLINE
    assert made.decide() == Decision()


# How a round closes.


def test_a_round_closes_when_all_have_done_their_part(grown):
    made = grown()
    made.locals(1, "a", "c", "b")
    event = closing(made.decide().events)
    assert (event.task, event.cause) == (made.key("sum", 1), "all")
    assert event.included == tuple(made.key("local", 1, site) for site in "abc"), "in the order of their names"
    made.conduct()
    assert (made.plan.rounds_added, made.plan.rounds_closed, made.plan.absent) == (2, 1, ())
    assert made.task("sum", 1).status == EXECUTOR
    assert {made.task("local", 2, site).status for site in "abc"} == {PARENTS}


def test_at_the_deadline_a_round_goes_on_with_whoever_is_there(grown):
    made = grown(quorum="2.0")
    made.locals(1, "a", "c")
    look = made.decide().look
    made.log.now = look - 1
    assert made.decide().events == ()
    made.log.now = look
    event = closing(made.decide().events)
    assert (event.included, event.cause) == ((made.key("local", 1, "a"), made.key("local", 1, "c")), "deadline")
    made.conduct()
    assert made.plan.absent == ("b",)
    assert made.task("local", 1, "b").status == "STATUS_CANCELED", "it had not begun"


def test_who_works_past_the_deadline_is_let_finish_and_not_used(grown):
    made = grown(quorum="2.0")
    made.start("local", 1, "b")
    made.locals(1, "a", "c")
    made.log.now += DEADLINE
    made.conduct()
    assert made.task("local", 1, "b").status == "STATUS_EXECUTING"
    made.done("local", 1, "b")
    made.gather(1)
    made.conduct()
    assert (made.task("local", 1, "b").status, names(made, 1)) == ("STATUS_DONE", "ac")
    assert made.plan.memories == {site: made.key("local", 1, site) for site in "ac"}


@pytest.mark.parametrize(
    ("quorum", "there", "closes"), [("0.5", "ab", True), ("0.5", "a", False), ("3.0", "ab", False)]
)
def test_a_quorum_is_a_number_of_sites_or_a_share_of_them(grown, quorum, there, closes):
    made = grown(quorum=quorum)
    made.locals(1, *there)
    made.log.now += 2 * DEADLINE
    assert bool(made.decide().events) == closes


def test_without_a_quorum_it_waits_and_says_for_whom(grown):
    made = grown(quorum="3.0")
    made.locals(1, "b")
    assert late(made) == []
    made.log.now += 2 * DEADLINE
    assert made.decide() == Decision(), "there is nothing to say, and nothing to look at by itself"
    assert late(made) == ["a", "c"]
    made.locals(1, "a", "c")
    made.conduct()
    assert names(made, 1) == "abc"
    assert late(made) == []


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_part_that_fails_is_tried_again_as_often_as_was_said(grown, retries):
    made = grown(retries=retries)
    made.locals(1, "a", "b")
    for attempt in range(1, retries + 2):
        made.fail("local", 1, "c", attempt)
        made.conduct()
        assert made.plan.rounds_closed == (attempt == retries + 1)
    assert closing_cause(made, 1) == "failed"
    assert made.included(1) == [("a", 1), ("b", 1)]
    assert made.plan.absent == (), "it was there"


def closing_cause(made, number):
    """Why a round was closed, as the log says it."""
    return next(
        each.cause for each in made.said if isinstance(each, RoundClosed) and each.task == made.key("sum", number)
    )


def test_a_later_attempt_is_taken_and_its_memory_goes_on(grown):
    made = grown(retries=2)
    made.locals(1, "a", "b")
    made.fail("local", 1, "c")
    made.conduct()
    made.fail("local", 1, "c", 2)
    made.conduct()
    made.done("local", 1, "c", 3)
    made.conduct()
    assert made.included(1) == [("a", 1), ("b", 1), ("c", 3)]
    (memory,) = [each for each in made.task("local", 2, "c").inputs if each.identifier == "memory"]
    assert (memory.parent, memory.output) == (made.key("local", 1, "c", 3), "memory")


def test_a_memory_is_that_of_the_last_round_a_site_was_included_in(grown):
    made = grown(rounds=4, quorum="2.0")
    made.round(1, "a", "b", "c")
    made.locals(2, "a", "b")
    made.log.now += DEADLINE
    made.conduct()
    made.gather(2)
    made.conduct()
    parents = {site: memory(made.task("local", 3, site)) for site in "abc"}
    assert parents == {"a": made.key("local", 2, "a"), "b": made.key("local", 2, "b"), "c": made.key("local", 1, "c")}
    kept = {site: made.log.get(Task, parents[site]).outputs["memory"].transient for site in "abc"}
    assert kept == dict.fromkeys("abc", False)
    assert made.task("local", 1, "a").outputs["memory"].transient, "nobody takes it up again"


def memory(task):
    return next((each.parent for each in task.inputs if each.identifier == "memory"), None)


def test_too_many_failures_end_the_experiment(grown):
    made = grown(quorum="3.0")
    made.locals(1, "a", "b")
    made.fail("local", 1, "c")
    event = closing(made.decide().events)
    assert (event.included, event.cause) == ((), "failed")
    made.conduct()
    assert (made.status, made.plan.failed_task) == ("PLAN_STATUS_FAILED", made.key("sum", 1))
    assert made.log.get(Task, made.key("sum", 1)).error == "EXECUTION_ERROR"
    assert made.plan.grows_at == ""
    assert made.decide().events == ()


def test_a_failure_without_a_quorum_waits_for_the_others_before_it_gives_up(grown):
    made = grown(quorum="2.0")
    made.fail("local", 1, "a")
    made.done("local", 1, "b")
    assert made.decide().events == ()
    made.fail("local", 1, "c")
    made.conduct()
    assert made.status == "PLAN_STATUS_FAILED"


# Sites that are away.


def test_who_was_absent_and_is_not_heard_of_is_not_waited_for_again(grown):
    made = grown(rounds=3, quorum="2.0")
    made.locals(1, "a", "b")
    made.log.now += DEADLINE
    made.conduct()
    made.gather(1)
    made.locals(2, "a")
    assert made.decide().events == (), "the quorum is waited for"
    made.done("local", 2, "b")
    event = closing(made.decide().events)
    assert (event.cause, len(event.included)) == ("deadline", 2)
    made.conduct()
    assert (made.plan.rounds_closed, made.plan.absent) == (2, ("c",))


def test_who_was_absent_is_waited_for_as_soon_as_it_begins(grown):
    made = grown(rounds=3, quorum="2.0")
    made.locals(1, "a", "b")
    made.log.now += DEADLINE
    made.conduct()
    made.gather(1)
    made.start("local", 2, "c")
    made.locals(2, "a", "b")
    assert made.decide().events == ()
    made.done("local", 2, "c")
    made.conduct()
    assert (names(made, 2), made.plan.absent) == ("abc", ())


def test_who_fell_silent_after_a_failure_is_absent_too(grown):
    made = grown(rounds=3, quorum="2.0", retries=1)
    made.fail("local", 1, "c")
    made.conduct()
    made.locals(1, "a", "b")
    made.log.now += DEADLINE
    made.conduct()
    assert made.plan.absent == ("c",)
    made.gather(1)
    made.locals(2, "a", "b")
    made.conduct()
    assert made.plan.rounds_closed == 2


def test_the_deadline_begins_with_the_last_attempt(grown):
    made = grown(retries=1, quorum="2.0")
    made.log.now += DEADLINE - 5000
    made.fail("local", 1, "c")
    again = made.conduct().look
    assert again == made.task("local", 1, "c", 2).created_at + DEADLINE


# Approval and builds.


def test_while_a_steward_has_not_spoken_no_deadline_runs(unbegun):
    made = unbegun(quorum="2.0", built=False)
    for function in made.functions.values():
        build(made, function)
    made.approve("b")
    made.begin()
    made.locals(1, "a", "b")
    made.log.now += 10 * DEADLINE
    assert made.decide() == Decision()
    assert late(made) == []
    made.approve("c")
    assert made.decide().look == made.log.now + DEADLINE
    made.done("local", 1, "c")
    made.conduct()
    assert names(made, 1) == "abc"


def build(made, function):
    made.log.write("a", FunctionBuilding(key=function), FunctionReady(key=function))


def test_a_steward_who_refuses_is_a_site_that_fails(unbegun):
    made = unbegun(quorum="2.0", built=False)
    for function in made.functions.values():
        build(made, function)
    made.approve("b")
    made.begin()
    made.log.write("c", FunctionRefused(archive=made.log.BLOB, by="u"))
    made.locals(1, "a", "b")
    made.conduct()
    assert names(made, 1) == "ab"
    made.gather(1)
    made.locals(2, "a", "b")
    made.conduct()
    made.gather(2)
    assert made.status == "PLAN_STATUS_DONE"


def test_the_deadline_begins_when_the_function_is_built(unbegun):
    made = unbegun(quorum="2.0", built=False)
    made.approve("b", "c")
    for stage in ("init", "sum", "step"):
        if stage in made.functions:
            build(made, made.functions[stage])
    made.begin()
    made.log.now += 10 * DEADLINE
    build(made, made.functions["local"])
    assert made.conduct().look == made.log.now + DEADLINE


# Sites that go, data that are withdrawn.


@pytest.mark.parametrize("retries", [0, 2])
def test_a_site_that_leaves_the_channel_is_one_that_fails(grown, retries):
    made = grown(rounds=3, quorum="2.0", retries=retries)
    made.round(1, "a", "b", "c")
    made.log.write("a", OrganizationRemoved(organization="c"))
    made.round(2, "a", "b")
    made.round(3, "a", "b")
    assert (made.status, names(made, 3)) == ("PLAN_STATUS_DONE", "ab")


def test_a_site_that_leaves_and_is_needed_ends_the_experiment(grown):
    made = grown(rounds=3, quorum="3.0")
    made.round(1, "a", "b", "c")
    made.log.write("a", OrganizationRemoved(organization="c"))
    made.locals(2, "a", "b")
    made.conduct()
    assert made.status == "PLAN_STATUS_FAILED"


def test_data_that_are_withdrawn_are_used_no_more_and_the_others_go_on(grown):
    made = grown(rounds=3, quorum="2.0", metrics=("auc",), retries=1)
    made.round(1, "a", "b", "c")
    made.log.write("c", DatasetWithdrawn(key=made.log.key(("data", "c"))))
    made.round(2, "a", "b", "c")
    made.round(3, "a", "b")
    assert names(made, 3) == "ab"
    assert made.task("local", 3, "c").status == "STATUS_FAILED"


def test_a_function_that_is_cancelled_ends_the_experiment(unbegun):
    made = unbegun(built=False)
    made.approve("b", "c")
    for stage in ("init", "step"):
        build(made, made.functions[stage])
    made.begin()
    made.log.write("a", FunctionCancelled(key=made.functions["local"]))
    made.conduct()
    assert made.status == "PLAN_STATUS_FAILED"


# Strategies of other kinds.


def test_a_strategy_that_sees_each_has_no_sums(grown):
    made = grown(sees_each=True)
    made.locals(1, "a", "b", "c")
    event = closing(made.decide().events)
    assert event.task == made.key("step", 1)
    made.conduct()
    step = made.task("step", 1)
    assert [each.identifier for each in step.inputs] == ["state", "parts", "parts", "parts"]
    assert step.status == EXECUTOR
    made.done("step", 1)
    made.locals(2, "a", "b", "c")
    made.conduct()
    made.done("step", 2)
    assert made.status == "PLAN_STATUS_DONE"


def test_a_round_of_one_site_is_one(grown):
    made = grown(rounds=3, selected=(("b",), ("a",), ("b",)))
    for number, site in enumerate("bab", 1):
        assert made.log.records.get(Task, made.key("local", number, "c")) is None
        made.round(number, site)
        assert names(made, number) == site
    assert memory(made.task("local", 3, "b")) == made.key("local", 1, "b")
    assert made.status == "PLAN_STATUS_DONE"


# Measurements.


@pytest.mark.parametrize(("every", "rounds", "measured"), [(1, 3, [1, 2, 3]), (2, 5, [2, 4, 5]), (9, 2, [2])])
def test_states_are_measured_every_so_often_and_at_the_end(grown, every, rounds, measured):
    made = grown(rounds=rounds, evaluate_every=every, metrics=("auc",))
    for number in range(1, rounds + 1):
        made.round(number, "a", "b", "c")
    have = [n for n in range(1, rounds + 1) if made.log.records.get(Task, made.key("finish", n)) is not None]
    assert have == measured
    assert made.status == "PLAN_STATUS_DOING"
    for number in measured:
        measure(made, number, "abc")
    assert made.status == "PLAN_STATUS_DONE"
    assert made.plan.measuring == ()


def measure(made, number, sites, value="0.5"):
    for site in sites:
        made.done("evaluate", number, site)
    made.conduct()
    made.done("scores", number)
    made.done("finish", number, value=value)
    made.conduct()


def test_a_measurement_takes_the_memories_of_its_state(grown):
    made = grown(metrics=("auc",), quorum="2.0")
    made.locals(1, "a", "b")
    made.log.now += DEADLINE
    made.conduct()
    assert [memory(made.task("evaluate", 1, site)) for site in "abc"] == [
        made.key("local", 1, "a"),
        made.key("local", 1, "b"),
        None,
    ]


def test_rounds_go_on_while_a_state_is_measured(grown):
    made = grown(rounds=3, metrics=("auc",))
    for number in (1, 2, 3):
        made.round(number, "a", "b", "c")
    assert (made.plan.rounds_closed, made.plan.measuring) == (3, (1, 2, 3))


def test_a_measurement_goes_on_without_who_is_late_but_not_without_anybody(grown):
    made = grown(rounds=1, metrics=("auc",), quorum="3.0")
    made.round(1, "a", "b", "c")
    made.log.now += 2 * DEADLINE
    assert made.decide().events == ()
    assert late(made) == ["a", "b", "c"]
    made.done("evaluate", 1, "b")
    made.conduct()
    assert names(made, 1, "scores") == "b"
    made.done("scores", 1)
    made.done("finish", 1)
    assert made.status == "PLAN_STATUS_DONE"
    assert {made.task("evaluate", 1, site).status for site in "ac"} == {"STATUS_CANCELED"}


def test_a_measurement_that_fails_everywhere_ends_the_experiment(grown):
    made = grown(metrics=("auc",))
    made.round(1, "a", "b", "c")
    for site in "abc":
        made.fail("evaluate", 1, site)
    made.conduct()
    assert (made.status, made.plan.failed_task) == ("PLAN_STATUS_FAILED", made.key("scores", 1))


# How it ends.


def test_it_ends_after_the_last_round(grown):
    made = grown(rounds=2)
    made.round(1, "a", "b", "c")
    made.locals(2, "a", "b", "c")
    assert kinds(made.decide().events) == ["RoundClosed", "PlanCompleted"]
    made.conduct()
    assert (made.plan.complete, made.status) == (True, "PLAN_STATUS_DOING")
    made.gather(2)
    assert (made.status, made.plan.grows_at) == ("PLAN_STATUS_DONE", "")
    assert made.decide() == Decision()


def test_what_is_open_at_the_end_and_was_optional_is_cancelled(grown):
    made = grown(rounds=1, quorum="2.0")
    made.start("local", 1, "c")
    made.locals(1, "a", "b")
    made.log.now += DEADLINE
    made.conduct()
    assert made.task("local", 1, "c").status == "STATUS_EXECUTING"
    made.gather(1)
    assert (made.status, made.task("local", 1, "c").status) == ("PLAN_STATUS_DONE", "STATUS_CANCELED")


@pytest.mark.parametrize("number", [1, 2])
def test_it_ends_when_the_strategy_has_finished(grown, number):
    made = grown(rounds=9, finishes=True)
    for each in range(1, number + 1):
        made.locals(each, "a", "b", "c")
        made.conduct()
        assert made.plan.rounds_added == each, "the next round hangs on the step"
        made.done("sum", each)
        made.done("step", each, value="1.0" if each == number else "0.0")
        made.conduct()
    assert (made.status, made.plan.rounds_added) == ("PLAN_STATUS_DONE", number)


def test_a_strategy_that_finishes_is_measured_at_its_end(grown):
    made = grown(rounds=9, finishes=True, metrics=("auc",), evaluate_every=4)
    made.locals(1, "a", "b", "c")
    made.conduct()
    made.done("sum", 1)
    made.done("step", 1, value="1.0")
    made.conduct()
    assert (made.status, made.plan.complete, made.plan.measuring) == ("PLAN_STATUS_DOING", True, (1,))
    measure(made, 1, "abc")
    assert made.status == "PLAN_STATUS_DONE"


STOPS = [
    # goal, patience, min_delta, what is measured round by round, rounds that were run
    ("max", 1, "0.0", ["0.5", "0.6", "0.6"], 3),
    ("max", 2, "0.0", ["0.5", "0.4", "0.6", "0.5", "0.5"], 5),
    ("max", 1, "0.1", ["0.5", "0.55"], 2),
    ("min", 1, "0.0", ["0.5", "0.4", "0.5"], 3),
    ("max", 1, "0.0", ["0.5", "nan"], 2),
    ("max", 2, "0.0", ["nan", "nan"], 2),
    ("max", 9, "0.0", ["0.5", "0.4", "0.3", "0.2", "0.1"], 5),
]


@pytest.mark.parametrize(("goal", "patience", "delta", "measured", "rounds"), STOPS)
def test_it_stops_early_when_a_metric_does_not_improve(grown, goal, patience, delta, measured, rounds):
    stop = Stop(metric="auc", goal=goal, patience=patience, min_delta=delta)
    made = grown(rounds=5, metrics=("auc",), stop=stop)
    for number, value in enumerate(measured, 1):
        made.round(number, "a", "b", "c")
        assert made.plan.rounds_added == number, "the next round hangs on the measurement"
        measure(made, number, "abc", value)
    assert (made.status, made.plan.rounds_closed) == ("PLAN_STATUS_DONE", rounds)


def test_early_stopping_counts_what_was_measured(grown):
    stop = Stop(metric="auc", goal="max", patience=1)
    made = grown(rounds=9, metrics=("auc",), stop=stop, evaluate_every=2)
    made.round(1, "a", "b", "c")
    assert made.plan.rounds_added == 2
    for number in (2, 4):
        made.round(number, "a", "b", "c")
        measure(made, number, "abc")
        if number == 2:
            made.round(3, "a", "b", "c")
    assert (made.status, made.plan.rounds_closed) == ("PLAN_STATUS_DONE", 4)


@pytest.mark.parametrize("stage", ["sum", "step"])
def test_a_required_task_that_fails_ends_the_experiment(grown, stage):
    made = grown()
    made.locals(1, "a", "b", "c")
    made.conduct()
    if stage == "step":
        made.done("sum", 1)
    made.fail(stage, 1)
    assert (made.status, made.plan.failed_task) == ("PLAN_STATUS_FAILED", made.key(stage, 1))
    assert {made.task("local", 2, site).status for site in "abc"} == {"STATUS_CANCELED"}
    assert made.decide().events == ()


def test_it_is_cancelled_in_the_midst_of_a_round(grown):
    made = grown()
    made.start("local", 1, "b")
    made.locals(1, "a")
    made.log.write("a", PlanCancelled(key=made.plan.key))
    assert (made.status, made.plan.grows_at) == ("PLAN_STATUS_CANCELED", "")
    assert {each.status for each in made.log.records.find(Task, "plan", made.plan.key)} == {
        "STATUS_DONE",
        "STATUS_CANCELED",
    }
    assert made.decide().events == ()
    assert late(made, 2 * DEADLINE) == []


def test_a_plan_that_does_not_grow_is_not_conducted(planned):
    assert decide(planned.records, planned.get(Plan, "plan"), planned.now) == Decision()
    assert awaited(planned.records, planned.get(Plan, "plan"), planned.now) == []


# Decisions that are made again, or come in pieces.


def test_a_decision_made_twice_names_the_same_tasks(grown):
    made = grown(metrics=("auc",))
    made.locals(1, "a", "b", "c")
    first, again = made.decide(), made.decide()
    assert first == again
    made.log.write("a", *first.events)
    assert not {each.key for each in first.events if isinstance(each, TaskAdded)} - {
        each.key for each in made.log.records.find(Task, "plan", made.plan.key)
    }
    assert made.decide().events == ()


@pytest.mark.parametrize("growth", [{}, {"metrics": ("auc",)}, {"finishes": True}, {"sees_each": True}], ids=str)
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_decision_that_came_in_part_is_completed(unbegun, growth, size):
    """As when it is more than an entry holds, and its author dies in between."""
    whole, pieces = unbegun(**growth), unbegun(**growth)
    for made, most in ((whole, 1000), (pieces, size)):
        made.most = most
        made.begin()
        for number in (1, 2):
            made.round(number, "a", "b", "c")
            if growth.get("metrics"):
                measure(made, number, "abc")
    assert whole.status == pieces.status == "PLAN_STATUS_DONE"
    tasks = [
        {each.key: each.inputs for each in made.log.records.find(Task, "plan", made.plan.key)}
        for made in (whole, pieces)
    ]
    assert tasks[0] == tasks[1]


def test_what_is_there_of_a_next_round_does_not_hinder_its_decision(grown):
    """As when the first of several entries was refused, and the others were not."""
    made = grown(metrics=("auc",))
    made.locals(1, "a", "b", "c")
    made.log.write("a", *round_tasks(made.plan, 2, {}))
    made.conduct()
    assert (made.plan.rounds_closed, names(made, 1)) == (1, "abc")
