"""Logs of tasks: they stay at the organization where the task ran, those of builds where the function was built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from comity.adapters.sql.log import Log
from comity.domain.records import Function, Task, need
from comity.values.errors import Forbidden, NotFound

LARGEST = 2 << 20
"""Bytes of a log that are shown, its last; a task's has no more."""


@final
@dataclass(frozen=True)
class Where:
    """Where a log lies."""

    owner: str
    """Whose node has it."""
    key: str
    """Of the task, or of the function whose build it is of."""


def log_file(folder: Path, key: str) -> Path:
    """The log of a task's last attempt, or of a function's failed build, in a channel's folder."""
    return folder / "logs" / f"{key}.txt"


def whereabouts(log: Log, organization: str, key: str) -> Where:
    """Where the log of a failed task, or of a function's failed build, lies, for an organization that may read it.

    Raises NotFound when there is none, Forbidden when the organization may not read it. A task whose function was never
    ready has that build's log, which all may read who may use the function.
    """
    if (function := log.records.get(Function, key)) is not None:
        return _of_build(organization, function)
    task = need(log.records, Task, key)
    if task.error == "BUILD_ERROR" and not task.log:
        return _of_build(organization, need(log.records, Function, task.function))
    if not task.logs_permission.allows(organization, task.worker):
        raise Forbidden(f"OE0102: {organization} may not read the log of task {key}")
    if not task.log:
        raise NotFound(f"there is no log of task {key}; it is {task.status}, and logs are kept of tasks that failed")
    return Where(task.worker, task.key)


def _of_build(organization: str, function: Function) -> Where:
    if not function.permission.allows(organization, function.owner):
        raise Forbidden(
            f"OE0102: {organization} may not use the function {function.key}, nor read the log of its build"
        )
    if function.status != "FUNCTION_STATUS_FAILED":
        raise NotFound(
            f"there is no log of the function {function.key}; it is {function.status}, and logs are kept of builds "
            "that failed"
        )
    return Where(function.owner, function.key)


def read_end(folder: Path, where: Where) -> bytes:
    """What lies there, or its end; raises NotFound when it is gone."""
    try:
        with log_file(folder, where.key).open("rb") as file:
            left_out = max(0, file.seek(0, 2) - LARGEST)
            file.seek(left_out)
            end = file.read(LARGEST)
    except FileNotFoundError:
        raise NotFound(f"the log of {where.key} is gone from the node of {where.owner}") from None
    return f"[the first {left_out} bytes are left out]\n".encode() + end if left_out else end
