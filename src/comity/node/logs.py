"""Logs of tasks: they stay at the organization where the task ran, those of builds where the function was built."""

from __future__ import annotations

from pathlib import Path

from comity.domain.records import Function, Task, need
from comity.node.node import Part
from comity.values.errors import Forbidden, NotFound, NotSupported


async def log_of(part: Part, key: str) -> Path:
    """Where the log of a failed task lies.

    Raises NotFound when there is none, Forbidden when this organization may not read it, NotSupported when it lies
    at another one.
    """
    me = part.following.organization
    task = await part.following.read(lambda log: need(log.records, Task, key))
    if task.error == "BUILD_ERROR" and not task.log:
        return await _log_of_build(part, task)
    if not task.logs_permission.allows(me, task.worker):
        raise Forbidden(f"OE0102: {me} may not read the log of task {key}")
    if not task.log:
        raise NotFound(f"there is no log of task {key}; it is {task.status}, and logs are kept of tasks that failed")
    if task.worker != me:
        raise NotSupported(f"the log of task {key} lies at {task.worker}; ask there, it cannot be fetched yet")
    path = part.scheduler.log_of(key)
    if not path.is_file():
        raise NotFound(f"the log of task {key} is gone from this node")
    return path


async def _log_of_build(part: Part, task: Task) -> Path:
    """The function was never ready; whoever may use it may read why."""
    me = part.following.organization
    function = await part.following.read(lambda log: need(log.records, Function, task.function))
    if not function.permission.allows(me, function.owner):
        raise Forbidden(f"OE0102: {me} may not use the function {function.key}, nor read the log of its build")
    if function.owner != me:
        raise NotSupported(f"the function {function.key} was built at {function.owner}; ask there for the build's log")
    path = part.building.log_of(function.key)
    if not path.is_file():
        raise NotFound(f"the log of the function {function.key}'s build is gone from this node")
    return path
