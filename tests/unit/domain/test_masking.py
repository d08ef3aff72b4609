"""Masked sums in the log: by whom they may be made, when one goes on without some, and what its rounds take."""

import pytest
from msgspec import structs

from comity.domain.events import (
    Aggregate,
    FunctionBuilding,
    FunctionOutput,
    FunctionReady,
    Masking,
    OrganizationRemoved,
    PlanCancelled,
    PlanRegistered,
    RoundClosed,
    SiteNoise,
    SumClosed,
    SumOpened,
    TaskAdded,
    TaskInput,
    TaskOutput,
)
from comity.domain.masking import gives_out, goes_on
from comity.domain.records import Function, MaskedSum, Model, Organization
from comity.domain.rounds import local
from comity.domain.sums import SUM
from comity.domain.words import Permission
from comity.values.digest import digest
from comity.values.errors import Conflict, Forbidden, InvalidInput

MASKING = Masking(clip="1.0", max_weight=100, metric_limit="8.0")
DEADLINE = 60_000


@pytest.fixture
def masked(grown):
    """Four sites, and z which adds up; a's plan."""
    how = {"sites": "abcd", "aggregator": "z", "masking": MASKING}
    return lambda **given: grown("a", "b", "c", "d", "z", **{**how, **given})


def sum_of(made, number=1, stage="sum"):
    return made.log.get(MaskedSum, made.key(stage, number))


def when(made, heard, asked="abcd", number=1, stage="sum"):
    return goes_on(made.log.records, made.task(stage, number), [*heard], [*asked])


# What is opened, and for whom.


def test_a_rounds_sum_is_opened_with_its_tasks_for_all_who_take_part(masked):
    made = masked(metrics=("auc",))
    opened = sum_of(made)
    assert (opened.status, opened.aggregator, sorted(opened.roster)) == ("open", "z", [*"abcd"])
    assert opened.roster["b"] == made.log.get(Organization, "b").keys
    part = made.task("local", 1, "b").outputs["contribution"]
    assert part.aggregate == Aggregate(organizations=("z",), protocol="SA-1", least=3)
    assert part.private
    assert not part.permission.authorized
    made.locals(1, *"abcd")
    made.sum_closes(1, *"abcd")
    made.conduct()
    assert sorted(sum_of(made, 2).roster) == sorted(sum_of(made, 1, "scores").roster) == [*"abcd"]
    assert set(made.task("evaluate", 1, "b").outputs) == {"scores"}
    assert set(made.task("finish", 1).outputs) == {"auc"}


def test_who_has_left_is_not_in_the_roster(masked):
    made = masked(quorum="3")
    made.locals(1, *"abcd")
    made.sum_closes(1, *"abcd")
    made.log.write("a", OrganizationRemoved(organization="d"))
    made.conduct()
    assert sorted(sum_of(made, 2).roster) == [*"abc"]


def test_a_sum_is_opened_once_by_the_plans_owner_and_where_parts_are_masked(masked, grown):
    made = masked()
    with pytest.raises(Conflict, match="was opened before"):
        made.log.write("a", SumOpened(task=made.key("sum", 1)))
    clear = grown("a", "b", "c", "d")
    with pytest.raises(Conflict, match="none that gathers masked parts"):
        clear.log.write("a", SumOpened(task=clear.key("sum", 1)))
    with pytest.raises(Forbidden, match="may not change it"):
        clear.log.write("b", SumOpened(task=clear.key("sum", 1)))


# What comes out.


def test_a_round_is_closed_by_what_its_sum_says(masked):
    made = masked(quorum="3")
    made.locals(1, *"abcd")
    assert not made.decide().events  # all parts are done, but it is not known who is in the sum
    made.sum_closes(1, *"abd")
    made.conduct()
    assert "".join(site for site, _ in made.included(1)) == "abd"
    assert (sum_of(made).status, sum_of(made).clipped) == ("closed", 7)
    made.gather(1)
    assert made.task("step", 1).status == "STATUS_DONE"
    assert made.plan.memories.keys() == {*"abd"}


def test_no_round_takes_masked_parts_but_those_in_the_sum(masked):
    made = masked(quorum="3")
    made.locals(1, *"abcd")
    parts = tuple(made.key("local", 1, site) for site in "abcd")
    taking = RoundClosed(task=made.key("sum", 1), included=parts)
    with pytest.raises(Conflict, match="the parts that are in its masked sum, once that has come out"):
        made.log.write("a", taking)
    made.sum_closes(1, *"abc")
    with pytest.raises(Conflict, match="the parts that are in its masked sum"):
        made.log.write("a", taking)


def test_only_its_aggregator_says_what_came_out_and_once(masked):
    made = masked()
    made.locals(1, *"abcd")
    with pytest.raises(Forbidden, match="is made by z, not by a"):
        made.sum_closes(1, *"abcd", by="a")
    made.sum_closes(1, *"abcd")
    with pytest.raises(Conflict, match="is closed"):
        made.sum_closes(1, *"abcd")


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        ("abz", "there is no task"),
        ("abb", "one part of each site"),
        ("ab", "too few of its roster"),
        ("abd", "is no part of round 1 that is done"),
    ],
)
def test_a_sum_is_of_enough_parts_of_its_roster_that_are_done(masked, sites, said):
    made = masked()
    made.locals(1, *"abc")
    with pytest.raises(Exception, match=said):
        made.sum_closes(1, *sites)


def test_a_sum_that_came_out_has_a_root_and_no_other(masked):
    made = masked()
    made.locals(1, *"abcd")
    keys = tuple(made.key("local", 1, site) for site in "abcd")
    with pytest.raises(InvalidInput, match="has a root and parts, not no root and 4"):
        made.log.write("z", SumClosed(task=made.key("sum", 1), included=keys))


def test_a_sum_that_does_not_come_out_ends_the_round_and_with_it_the_plan(masked):
    made = masked()
    made.locals(1, *"abcd")
    made.sum_closes(1)
    made.conduct()
    assert made.status == "PLAN_STATUS_FAILED"
    assert made.task("sum", 1).status == "STATUS_FAILED"


def test_the_aggregators_own_site_counts_for_nothing(masked):
    made = masked(aggregator="a", sites="abcd")
    made.locals(1, *"abcd")
    with pytest.raises(InvalidInput, match="too few"):
        made.sum_closes(1, *"abc")  # of b, c and d all must stay
    made.sum_closes(1, *"bcd")


def test_a_sum_whose_task_has_ended_is_open_no_more(masked):
    made = masked()
    made.log.write("a", PlanCancelled(key=made.plan.key))
    assert sum_of(made).status == "closed"


# When it goes on without some.


def test_it_waits_for_all_until_the_deadline_when_enough_are_there(masked):
    made = masked(quorum="3")
    begins = made.task("init", 0).ended_at
    assert when(made, "abcd") == 0
    assert when(made, "abc") == begins + DEADLINE
    assert when(made, "ab") is None  # too few for a sum
    assert when(masked(quorum="4"), "abc") is None  # too few for a round
    assert when(made, "abd", asked="abd") == 0


def test_it_does_not_wait_for_who_has_failed_for_good(masked):
    made = masked(quorum="3", retries=1)
    made.fail("local", 1, "d")
    assert when(made, "abc") > 0  # d may try again
    made.conduct()
    made.fail("local", 1, "d", attempt=2)
    assert when(made, "abc") == 0


def test_nor_for_who_was_missing_before(masked):
    made = masked(quorum="3", rounds=3)
    made.locals(1, *"abc")
    made.sum_closes(1, *"abc")
    made.conduct()
    made.gather(1)
    assert made.plan.absent == ("d",)
    assert when(made, "abc", number=2) == 0
    made.start("local", 2, "d")  # it is back
    assert when(made, "abc", number=2) > 0


def test_a_round_is_given_up_when_too_few_can_be_in_its_sum(masked):
    made = masked(quorum="1")
    for site in "cd":
        made.fail("local", 1, site)
    made.locals(1, *"ab")
    made.conduct()
    assert made.status == "PLAN_STATUS_FAILED"
    assert sum_of(made).status == "closed"


# What is refused at once.


def noised(exact=False, **changes):
    noise = SiteNoise(**{"delta": "1e-05", "clip": "1.0", "arrays": digest(b""), **changes})
    return Masking(clip="1.0", max_weight=9, metric_limit="8.0", exact=exact, noise=noise)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sites": "ab"}, "needs at least 3 sites besides the aggregator's own, not 2"),
        ({"aggregator": "a", "sites": "abc"}, "needs at least 3 sites besides the aggregator's own, not 2"),
        (
            {"masking": Masking(clip="1.0", max_weight=9, metric_limit="8.0", least=5)},
            "of 5 sites at least, but a round",
        ),
        ({"masking": Masking(clip="-1.0", max_weight=9, metric_limit="8.0")}, "are above 0, not -1.0"),
        ({"masking": Masking(clip="1.0", max_weight=9, metric_limit="nan")}, "are above 0, not nan"),
        ({"sees_each": True}, "sees no masked ones"),
        ({"masking": noised(epsilon="1.0", multiplier="1.0")}, "from epsilon or from a multiplier, not from 1.0 and"),
        ({"masking": noised()}, "from epsilon or from a multiplier, not from inf and 0.0"),
        ({"masking": noised(epsilon="nan")}, "from epsilon or from a multiplier, not from nan"),
        ({"masking": noised(epsilon="1.0", delta="1.0")}, "a δ between 0 and 1"),
        ({"masking": noised(epsilon="1.0", clip="inf")}, "a clip above 0, not 1e-05, inf"),
        ({"masking": noised(epsilon="1.0", exact=True)}, "themselves the result are not noised"),
    ],
)
def test_what_cannot_be_masked_is_refused_at_once(masked, given, said):
    with pytest.raises(InvalidInput, match=said):
        masked(**given)


# What no other task may take.


def with_(event, **fields):
    return type(event)(**{**{name: getattr(event, name) for name in event.__struct_fields__}, **fields})


def test_masked_parts_are_added_by_their_sum_and_taken_by_nothing_else(masked):
    made = masked()
    made.locals(1, *"abcd")
    part = TaskInput("total", parent=made.key("local", 1, "d"), output="contribution")
    state = TaskInput("state", parent=made.key("init", 0), output="state")
    shown = {"state": TaskOutput(permission=Permission(authorized=("a",)))}
    stolen = TaskAdded(
        key=made.log.key("stolen"),
        plan=made.plan.key,
        function=made.functions["step"],
        worker="d",
        inputs=(state, part),
        outputs=shown,
        stage="step",
        round=1,
    )
    with pytest.raises(Forbidden, match="goes into a masked sum, and nowhere else"):
        made.log.write("a", stolen)
    clear = made.log.task("clear", worker="z", function=SUM, outputs={"total": TaskOutput()})
    with pytest.raises(Forbidden, match="goes into a masked sum, and nowhere else"):
        made.log.write("a", with_(clear, inputs=(made.task("sum", 1).inputs[0],)))
    model = made.log.records.find(Model, "task", made.key("local", 1, "d"))
    (given,) = (each for each in model if each.output == "contribution")
    made.log.plan("other")
    taken = with_(
        stolen, plan=made.log.key("other"), stage="", round=0, inputs=(state, TaskInput("total", asset=given.key))
    )
    with pytest.raises(Forbidden, match="goes into a masked sum, and nowhere else"):
        made.log.write("a", taken)


def test_a_masked_plan_has_its_rounds_tasks_and_no_others(masked):
    made = masked(metrics=("auc",), retries=1)
    second = with_(made.log.task("second", worker="m"), function=SUM, stage="sum", round=1, gathers=True)
    second = with_(second, worker="b", outputs={"total": TaskOutput(private=True, transient=True)})
    for odd in (
        second,
        with_(second, round=99),
        with_(second, round=2),
        with_(second, stage="", round=0, gathers=False),
    ):
        with pytest.raises(Forbidden, match="has the tasks of its rounds, and none such as"):
            made.log.write("a", odd)
    again = local(made.plan, 1, "d", {}, attempt=2)
    open_to_a = {**again.outputs, "contribution": TaskOutput(permission=Permission(authorized=("a",)))}
    with pytest.raises(Conflict, match="tries again what d has not failed at"):
        made.log.write("a", again)
    made.fail("local", 1, "d")
    for odd in (with_(again, required=True), with_(again, outputs=open_to_a), with_(again, key=made.log.key("x"))):
        with pytest.raises(Forbidden, match="has the tasks of its rounds, and none such as"):
            made.log.write("a", odd)
    made.log.write("a", again)


def test_what_an_organization_keeps_to_itself_is_taken_by_no_other_task_of_its_own(masked):
    made = masked()
    made.locals(1, *"abcd")
    (memory,) = (
        each for each in made.log.records.find(Model, "task", made.key("local", 1, "d")) if each.output == "memory"
    )
    made.log.plan("other")
    shown = {"state": TaskOutput(permission=Permission(public=True))}
    taken = with_(
        made.log.task("published", worker="d", plan=made.log.key("other")),
        function=made.functions["init"],
        inputs=(TaskInput("start", asset=memory.key),),
        outputs=shown,
    )
    with pytest.raises(Forbidden, match="stays where it was made"):
        made.log.write("a", taken)
    grows = structs.replace(made.growth, start=memory.key, aggregator="d")
    with pytest.raises(Forbidden, match="stays where it was made"):
        made.log.write("a", PlanRegistered(key=made.log.key("third"), name=made.log.NAME, growth=grows))


def test_metrics_of_one_site_are_shown_by_no_other_function(masked):
    made = masked(metrics=("auc",))
    made.locals(1, *"abcd")
    made.sum_closes(1, *"abcd")
    made.conduct()
    made.gather(1)
    evaluate = made.log.get(Function, made.functions["evaluate"])
    number = FunctionOutput("ASSET_PERFORMANCE")
    spy = made.log.function("spy", inputs=evaluate.inputs, outputs={**evaluate.outputs, "auc": number})
    made.log.write("a", spy, FunctionBuilding(key=spy.key), FunctionReady(key=spy.key))
    part = made.task("evaluate", 1, "d")
    spied = local(made.plan, 1, "d", {})
    shown = {**part.outputs, "auc": TaskOutput(permission=Permission(public=True))}
    spied = with_(spied, key=made.log.key("s"), function=spy.key, stage="evaluate", inputs=part.inputs, outputs=shown)
    with pytest.raises(Forbidden, match="has the tasks of its rounds, and none such as"):
        made.log.write("a", spied)


def test_a_sum_that_too_few_can_give_to_is_given_up_after_the_deadline(masked):
    made = masked(quorum="1")
    made.locals(1, *"abc")
    assert gives_out(made.log.records, made.task("sum", 1)) is None  # d may still come
    made.locals(1, "d")
    until = gives_out(made.log.records, made.task("sum", 1))
    assert until == made.task("init", 0).ended_at + DEADLINE
    assert when(made, "ab") is None


def test_who_has_left_is_not_waited_for(masked):
    made = masked(quorum="1")
    made.locals(1, *"abcd")
    made.log.write("a", OrganizationRemoved(organization="d"))
    assert when(made, "abc") == 0
