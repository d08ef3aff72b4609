"""What ends when a member goes: everything that only it could have ended, so that nobody waits for ever."""

from __future__ import annotations

from msgspec.structs import replace

from comity.domain.assets import build
from comity.domain.events import OrganizationRemoved
from comity.domain.membership import Act
from comity.domain.membership import removed as taken_out
from comity.domain.plans import cancel, move, status_of
from comity.domain.records import Draft, Function, Organization, Plan, Task, need
from comity.domain.states import ENDED, FUNCTION, OVER


def removed(records: Draft, act: Act, event: OrganizationRemoved) -> None:
    """A member goes, once that is decided: its open plans and builds are cancelled, and tasks that it works on fail.

    What it registered and what it made stay; a function that is ready can be used on.
    """
    taken_out(records, act, event)
    gone = event.organization
    if need(records, Organization, gone).status == "member":
        return
    for plan in records.find(Plan, "owner", gone):
        if status_of(plan) not in OVER:
            cancel(records, act, plan)
    for task in records.find(Task, "worker", gone):
        task = need(records, Task, task.key)
        if task.status not in ENDED:
            move(records, act, replace(task, error="INTERNAL_ERROR"), "STATUS_FAILED")
    for function in records.find(Function, "owner", gone):
        if "FUNCTION_STATUS_CANCELED" in FUNCTION[function.status]:
            build(records, act, function, "FUNCTION_STATUS_CANCELED")
