"""Datasets, samples and functions: who may register, link, rename, withdraw, build and approve them."""

import pytest

from comity.domain.events import (
    DatasetRegistered,
    DatasetWithdrawn,
    FunctionApproved,
    FunctionBuilding,
    FunctionCancelled,
    FunctionFailed,
    FunctionInput,
    FunctionOutput,
    FunctionReady,
    FunctionRefused,
    Renamed,
    Sample,
    SamplesLinked,
    SamplesRegistered,
)
from comity.domain.records import Approval, DataSample, Dataset, Function, Plan, SampleOf
from comity.domain.words import Permission
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound

OTHER = "sha256:" + "e" * 64
MANAGER, SAMPLES = FunctionInput(kind="ASSET_DATA_MANAGER"), FunctionInput(kind="ASSET_DATA_SAMPLE", multiple=True)


def dataset(log, word="more", **fields):
    return DatasetRegistered(key=log.key(word), name=log.NAME, opener=log.BLOB, description=log.BLOB, **fields)


# Datasets and samples.


def test_a_dataset_is_its_owners(three):
    three.dataset(permission=Permission(authorized=("c",)))
    found = three.get(Dataset, "data")
    assert (found.owner, found.name, found.opener) == ("b", three.NAME, three.BLOB)
    assert (found.permission.authorized, found.created_at, found.withdrawn_at) == (("c",), three.now, 0)
    assert three.get(DataSample, "s1").owner == "b"
    assert [each.sample for each in three.records.find(SampleOf, "dataset", found.key)] == sorted(
        [three.key("s1"), three.key("s2")]
    )
    with pytest.raises(Conflict, match="there is a dataset"):
        three.write("c", dataset(three, "data"))


@pytest.mark.parametrize("field", ["permission", "logs_permission"])
def test_a_permission_names_organizations_that_are_there(three, field):
    permission = Permission(authorized=("c", "nobody", "d"))
    with pytest.raises(InvalidInput, match="invalid permission input values: there is no organization nobody, d"):
        three.write("b", dataset(three, **{field: permission}))


def test_samples_come_to_the_authors_own_datasets(three):
    three.dataset()
    new = Sample(three.key("s3"), three.BLOB)
    with pytest.raises(Forbidden, match="belongs to b, not to c"):
        three.write("c", SamplesRegistered(samples=(new,), datasets=(three.key("data"),)))
    with pytest.raises(NotFound, match="there is no dataset"):
        three.write("b", SamplesRegistered(samples=(new,), datasets=(three.key("nothing"),)))
    for twice in ((Sample(three.key("s1"), three.BLOB),), (new, new)):
        with pytest.raises(Conflict, match="there is a datasample"):
            three.write("b", SamplesRegistered(samples=twice, datasets=(three.key("data"),)))
    three.write("b", SamplesRegistered(samples=(new,), datasets=(three.key("data"),)))


def test_samples_are_linked_to_further_datasets_of_their_owner(three):
    three.dataset()
    three.write("b", dataset(three))
    three.write("c", dataset(three, "c's"))
    link = SamplesLinked(samples=(three.key("s1"),), datasets=(three.key("more"),))
    three.write("b", link)
    three.write("b", link)
    assert len(three.records.find(SampleOf, "sample", three.key("s1"))) == 2
    for author, word in (("c", "c's"), ("c", "more"), ("b", "c's")):
        with pytest.raises(Forbidden):
            three.write(author, SamplesLinked(samples=(three.key("s1"),), datasets=(three.key(word),)))
    with pytest.raises(NotFound, match="there is no datasample"):
        three.write("b", SamplesLinked(samples=(three.key("nothing"),), datasets=(three.key("more"),)))


def test_a_dataset_is_withdrawn_once_by_its_owner(three):
    three.dataset()
    with pytest.raises(Forbidden, match="belongs to b"):
        three.write("a", DatasetWithdrawn(key=three.key("data")))
    three.write("b", DatasetWithdrawn(key=three.key("data")))
    assert three.get(Dataset, "data").withdrawn_at == three.now
    with pytest.raises(Conflict, match="was withdrawn before"):
        three.write("b", DatasetWithdrawn(key=three.key("data")))


@pytest.mark.parametrize(("kind", "record"), [("dataset", Dataset), ("function", Function), ("plan", Plan)])
def test_owners_rename(three, kind, record):
    three.dataset(owner="a")
    three.write("a", three.function())
    three.plan()
    key = three.key({"dataset": "data"}.get(kind, kind))
    three.write("a", Renamed(kind=kind, key=key, name=OTHER))
    assert three.get(record, key).name == OTHER
    with pytest.raises(Forbidden, match=f"the {kind} {key} belongs to a, not to b"):
        three.write("b", Renamed(kind=kind, key=key, name=OTHER))
    with pytest.raises(NotFound, match=f"there is no {kind}"):
        three.write("a", Renamed(kind=kind, key=three.key("nothing"), name=OTHER))


# Functions.


def test_a_function_waits_to_be_built(three):
    three.write("a", three.function(inputs={"opener": MANAGER, "datasamples": SAMPLES}))
    found = three.get(Function, "function")
    assert (found.owner, found.status, found.created_at) == ("a", "FUNCTION_STATUS_WAITING", three.now)
    with pytest.raises(Conflict, match="there is a function"):
        three.write("b", three.function())
    with pytest.raises(InvalidInput, match="no organization nobody"):
        three.write("b", three.function("other", permission=Permission(authorized=("nobody",))))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"opener": MANAGER, "other": MANAGER, "datasamples": SAMPLES}, "at most one dataset"),
        ({"opener": FunctionInput("ASSET_DATA_MANAGER", multiple=True), "s": SAMPLES}, "never several"),
        ({"opener": FunctionInput("ASSET_DATA_MANAGER", optional=True), "s": SAMPLES}, "never optional"),
        ({"opener": MANAGER}, "takes data samples too"),
        ({"datasamples": SAMPLES}, "the other way round"),
    ],
)
def test_inputs_that_substra_refuses(three, inputs, message):
    with pytest.raises(InvalidInput, match=message):
        three.write("a", three.function(inputs=inputs))


def test_a_performance_is_one_number(three):
    with pytest.raises(InvalidInput, match="the performance auc cannot be multiple"):
        three.write("a", three.function(outputs={"auc": FunctionOutput("ASSET_PERFORMANCE", multiple=True)}))


def test_a_build_is_its_owners_and_follows_the_table(three):
    three.write("a", three.function())
    key = three.key("function")
    with pytest.raises(Forbidden, match="belongs to a, not to b"):
        three.write("b", FunctionBuilding(key=key))
    for early in (FunctionReady(key=key), FunctionFailed(key=key)):
        with pytest.raises(Conflict, match="is FUNCTION_STATUS_WAITING and cannot become"):
            three.write("a", early)
    three.write("a", FunctionBuilding(key=key))
    building_at = three.now
    three.write("a", FunctionReady(key=key, durations={"build": 7}))
    found = three.get(Function, "function")
    assert (found.status, found.building_at, found.ready_at) == ("FUNCTION_STATUS_READY", building_at, three.now)
    assert found.durations == {"build": 7}
    for late in (
        FunctionBuilding(key=key),
        FunctionReady(key=key),
        FunctionFailed(key=key),
        FunctionCancelled(key=key),
    ):
        with pytest.raises(Conflict, match="is FUNCTION_STATUS_READY and cannot become"):
            three.write("a", late)
    with pytest.raises(NotFound, match="there is no function"):
        three.write("a", FunctionBuilding(key=three.key("nothing")))


# A function's tasks follow it.


@pytest.fixture
def waiting(three):
    """The function "function" of a's, and its tasks "own" at a, "first" at b and "second" at b, in this order."""
    three.write("a", three.function(inputs={"models": FunctionInput(kind="ASSET_MODEL", multiple=True, optional=True)}))
    three.plan()
    three.add("own", worker="a")
    three.add("first", "own")
    three.add("second", "first")
    return three


SLOT, BUILDING = "STATUS_WAITING_FOR_BUILDER_SLOT", "STATUS_BUILDING"
PARENTS, EXECUTOR = "STATUS_WAITING_FOR_PARENT_TASKS", "STATUS_WAITING_FOR_EXECUTOR_SLOT"


def statuses(log, *words):
    return [log.status(word) for word in words]


def test_tasks_wait_for_build_then_approval_then_parents(waiting):
    assert statuses(waiting, "own", "first", "second") == [SLOT, SLOT, SLOT]
    assert waiting.plan_status() == "PLAN_STATUS_CREATED"
    assert waiting.get(Plan, "plan").started_at == 0
    waiting.write("a", FunctionBuilding(key=waiting.key("function")))
    assert statuses(waiting, "own", "first") == [BUILDING, SLOT], "b has not approved"
    assert waiting.plan_status() == "PLAN_STATUS_DOING"
    assert waiting.get(Plan, "plan").started_at == waiting.now
    waiting.write("b", FunctionApproved(archive=waiting.BLOB, by="u"))
    assert statuses(waiting, "own", "first") == [BUILDING, BUILDING]
    waiting.write("a", FunctionReady(key=waiting.key("function")))
    assert statuses(waiting, "own", "first", "second") == [EXECUTOR, PARENTS, PARENTS]


def test_an_approval_may_come_last(waiting):
    waiting.write("a", FunctionBuilding(key=waiting.key("function")))
    waiting.write("a", FunctionReady(key=waiting.key("function")))
    assert statuses(waiting, "own", "first") == [EXECUTOR, SLOT]
    waiting.write("c", FunctionApproved(archive=waiting.BLOB, by="u"))
    waiting.write("b", FunctionApproved(archive=OTHER, by="u"))
    assert statuses(waiting, "own", "first") == [EXECUTOR, SLOT], "another's word, and a word on another archive"
    waiting.write("b", FunctionApproved(archive=waiting.BLOB, by="u"))
    assert statuses(waiting, "own", "first") == [EXECUTOR, PARENTS]


def test_a_failed_build_fails_its_tasks(waiting):
    waiting.write("a", FunctionBuilding(key=waiting.key("function")))
    waiting.write("a", FunctionFailed(key=waiting.key("function")))
    for word in ("own", "first", "second"):
        found = waiting.found(word)
        assert (found.status, found.error, found.ended_at) == ("STATUS_FAILED", "BUILD_ERROR", waiting.now)
    plan = waiting.get(Plan, "plan")
    assert waiting.plan_status() == "PLAN_STATUS_FAILED"
    assert plan.failed_task in {waiting.key(word) for word in ("own", "first", "second")}
    assert plan.ended_at == waiting.now
    waiting.add("late")
    assert (waiting.status("late"), waiting.found("late").error) == ("STATUS_FAILED", "BUILD_ERROR")


@pytest.mark.parametrize("building", [False, True])
def test_a_cancelled_build_cancels_its_tasks(waiting, building):
    if building:
        waiting.write("a", FunctionBuilding(key=waiting.key("function")))
    waiting.write("a", FunctionCancelled(key=waiting.key("function")))
    waiting.add("late")
    assert statuses(waiting, "own", "first", "late") == ["STATUS_CANCELED"] * 3
    assert waiting.plan_status() == "PLAN_STATUS_CANCELED"


def test_a_refusal_fails_the_tasks_there_at_once(waiting):
    waiting.write("b", FunctionRefused(archive=waiting.BLOB, by="u", reason=waiting.NAME))
    assert statuses(waiting, "own", "first", "second") == [SLOT, "STATUS_FAILED", "STATUS_FAILED"]
    assert waiting.found("first").error == "EXECUTION_ERROR"
    found = waiting.get(Approval, f"b|{waiting.BLOB}")
    assert (found.approved, found.by, found.reason, found.at) == (False, "u", waiting.NAME, waiting.now)
    waiting.add("late", required=False)
    assert (waiting.status("late"), waiting.found("late").error) == ("STATUS_FAILED", "EXECUTION_ERROR")


def test_an_approval_that_is_taken_back_and_given_again(planned):
    planned.add("parent")
    planned.add("child", "parent")
    planned.add("running")
    planned.start("running")
    planned.write("b", FunctionRefused(archive=planned.BLOB, by="u"))
    assert statuses(planned, "parent", "child") == ["STATUS_FAILED"] * 2
    assert planned.status("running") == "STATUS_EXECUTING", "what has begun goes on"
    planned.write("b", planned.done("running"))
    planned.write("b", FunctionApproved(archive=planned.BLOB, by="v"))
    assert statuses(planned, "parent", "child") == ["STATUS_FAILED"] * 2, "what has failed stays failed"
    planned.add("new")
    assert planned.status("new") == EXECUTOR
    found = planned.get(Approval, f"b|{planned.BLOB}")
    assert (found.approved, found.by, found.reason) == (True, "v", "")


def test_an_organization_may_refuse_what_it_registered(waiting):
    waiting.write("a", FunctionRefused(archive=waiting.BLOB, by="u"))
    assert statuses(waiting, "own", "first") == ["STATUS_FAILED", SLOT]


def test_a_word_is_on_the_archive_and_so_on_every_function_of_it(waiting):
    waiting.write("c", waiting.function("again"))
    waiting.build("again")
    waiting.plan("c's", owner="c")
    waiting.add("there", plan=waiting.key("c's"), function=waiting.key("again"))
    assert waiting.status("there") == EXECUTOR, "b has approved this archive for c's function"
    assert waiting.status("first") == SLOT, "which is not built by a"
    waiting.write("b", FunctionRefused(archive=waiting.BLOB, by="u"))
    assert statuses(waiting, "there", "first", "own") == ["STATUS_FAILED", "STATUS_FAILED", SLOT]


def test_what_another_registered_needs_a_word_even_of_the_same_archive(waiting):
    waiting.write("b", waiting.function("copy"))
    waiting.write("b", FunctionBuilding(key=waiting.key("copy")))
    waiting.write("b", FunctionReady(key=waiting.key("copy")))
    waiting.plan("b's", owner="b")
    for word, worker in (("at b", "b"), ("at a", "a")):
        waiting.add(word, plan=waiting.key("b's"), function=waiting.key("copy"), worker=worker)
    assert statuses(waiting, "at b", "at a") == [EXECUTOR, SLOT]
