"""What ends when a member goes: nobody waits for ever for what only it could have ended."""

import pytest

from comity.domain.events import FunctionBuilding, FunctionInput, OrganizationRemoved
from comity.domain.records import Function, Organization, Plan


@pytest.fixture
def left(planned):
    """b works on a's plan and has a plan of its own, a function in build and one that is ready; then it goes."""
    planned.write("b", planned.function("ready at b", archive="sha256:" + "1" * 64))
    planned.build("ready at b")
    planned.write("b", planned.function("in build"), planned.function("to build"))
    planned.write("b", FunctionBuilding(key=planned.key("in build")))
    planned.plan("own", owner="b")
    planned.plan("done", owner="b")
    planned.plan("builds")
    planned.add("done before")
    planned.add("runs at b")
    planned.add("waits at b", "runs at b")
    planned.add("runs at c", worker="c")
    planned.add("waits at c", "runs at b", worker="c")
    planned.add("of b", plan=planned.key("own"), worker="c")
    planned.add("was done", plan=planned.key("done"), worker="c")
    planned.add("needs the build", plan=planned.key("builds"), function=planned.key("in build"), worker="c")
    planned.run("done before", "was done")
    planned.start("runs at b")
    planned.start("runs at c")
    planned.write("a", OrganizationRemoved(organization="b"))
    assert planned.get(Organization, "b").status == "removed"
    return planned


def test_tasks_that_it_worked_on_have_failed(left):
    for word in ("runs at b", "waits at b"):
        found = left.found(word)
        assert (found.status, found.error, found.ended_at) == ("STATUS_FAILED", "INTERNAL_ERROR", left.now)
    plan = left.get(Plan, "plan")
    assert left.plan_status() == "PLAN_STATUS_FAILED"
    assert left.found(plan.failed_task).worker == "b"


def test_what_others_do_goes_on(left):
    assert left.status("done before") == "STATUS_DONE"
    assert left.status("waits at c") == "STATUS_WAITING_FOR_PARENT_TASKS"
    assert left.status("runs at c") == "STATUS_EXECUTING"
    left.write("c", left.done("runs at c"))


def test_its_own_open_plans_are_cancelled(left):
    assert (left.plan_status("own"), left.status("of b")) == ("PLAN_STATUS_CANCELED", "STATUS_CANCELED")
    assert left.plan_status("done") == "PLAN_STATUS_DONE"


def test_its_builds_are_cancelled_and_what_is_built_can_be_used(left):
    statuses = {word: left.get(Function, word).status for word in ("in build", "to build", "ready at b")}
    assert statuses == {
        "in build": "FUNCTION_STATUS_CANCELED",
        "to build": "FUNCTION_STATUS_CANCELED",
        "ready at b": "FUNCTION_STATUS_READY",
    }
    assert left.status("needs the build") == "STATUS_CANCELED"
    left.add("with it", plan=left.key("builds"), function=left.key("ready at b"), worker="c")
    left.run("with it")


def test_nothing_ends_before_it_is_decided(log):
    made = log("a", "b", "c", members_admit=2)
    made.write("a", made.function(inputs={"models": FunctionInput("ASSET_MODEL", multiple=True, optional=True)}))
    made.build()
    made.plan()
    made.add("task")
    made.write("a", OrganizationRemoved(organization="b"))
    assert made.status("task") == "STATUS_WAITING_FOR_EXECUTOR_SLOT"
    made.write("c", OrganizationRemoved(organization="b"))
    assert made.status("task") == "STATUS_FAILED"
