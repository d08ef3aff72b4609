"""The tables, beside what Substra 1.0 does: its orchestrator for functions and tasks, its backend for plans."""

import itertools

import pytest

from comity.domain.states import ENDED, FUNCTION, TASK, plan_status

FUNCTION_STEPS = {
    ("WAITING", "BUILDING"),
    ("BUILDING", "READY"),
    ("BUILDING", "FAILED"),
    ("WAITING", "CANCELED"),
    ("BUILDING", "CANCELED"),
}

SLOT, BUILDING, PARENTS = "WAITING_FOR_BUILDER_SLOT", "BUILDING", "WAITING_FOR_PARENT_TASKS"
OPEN = (SLOT, BUILDING, PARENTS, "WAITING_FOR_EXECUTOR_SLOT", "EXECUTING")

TASK_STEPS = {
    *itertools.pairwise([*OPEN, "DONE"]),
    (BUILDING, "WAITING_FOR_EXECUTOR_SLOT"),
    *itertools.product(OPEN, ("FAILED", "CANCELED")),
}

MORE_TASK_STEPS = {
    # nothing is logged for a task that waits, so what was true of it in between may never be seen
    (SLOT, PARENTS),
    (SLOT, "WAITING_FOR_EXECUTOR_SLOT"),
    # another attempt, after one that was lost without a commit
    ("EXECUTING", "EXECUTING"),
}


def steps(table, prefix):
    return {(one.removeprefix(prefix), other.removeprefix(prefix)) for one, others in table.items() for other in others}


def test_functions_move_as_substras_do():
    assert steps(FUNCTION, "FUNCTION_STATUS_") == FUNCTION_STEPS


def test_tasks_move_as_substras_do_and_may_skip_a_wait():
    assert steps(TASK, "STATUS_") == TASK_STEPS | MORE_TASK_STEPS


def test_what_has_ended_stays_ended():
    assert {"STATUS_DONE", "STATUS_FAILED", "STATUS_CANCELED"} == ENDED
    assert all(not TASK[status] for status in ENDED)


def test_a_table_names_no_status_that_it_does_not_hold():
    for table in (FUNCTION, TASK):
        assert {other for others in table.values() for other in others} <= table.keys()


@pytest.mark.parametrize(
    ("counts", "cancelled", "status"),
    [
        ({}, False, "CREATED"),
        ({}, True, "CANCELED"),
        ({SLOT: 2}, False, "CREATED"),
        ({SLOT: 2}, True, "CANCELED"),
        ({"DONE": 2}, True, "CANCELED"),
        ({SLOT: 1, BUILDING: 1}, False, "DOING"),
        ({SLOT: 1, "DONE": 1}, False, "DOING"),
        ({BUILDING: 1}, False, "DOING"),
        ({PARENTS: 1}, False, "DOING"),
        ({"WAITING_FOR_EXECUTOR_SLOT": 1}, False, "DOING"),
        ({"EXECUTING": 1}, False, "DOING"),
        ({"DONE": 2}, False, "DONE"),
        ({"DONE": 1, "FAILED": 1}, False, "FAILED"),
        ({"FAILED": 1, "EXECUTING": 3}, False, "FAILED"),
        ({"FAILED": 1, "CANCELED": 1}, False, "CANCELED"),
        ({"DONE": 9, "CANCELED": 1}, False, "CANCELED"),
        ({SLOT: 1, "CANCELED": 1}, False, "CANCELED"),
    ],
)
def test_a_plans_status_follows_from_its_counts(counts, cancelled, status):
    tasks = {f"STATUS_{name}": count for name, count in counts.items()}
    assert plan_status(tasks, cancelled=cancelled) == f"PLAN_STATUS_{status}"
