"""Writes docs/state-machines.md from the tables in comity.domain.states; `--check` only says if it is up to date."""

import sys
from collections.abc import Mapping
from pathlib import Path

from comity.domain.states import FUNCTION, OVER, TASK, TaskStatus, plan_status

PAGE = Path(__file__).parents[1] / "docs" / "state-machines.md"

NOTES = {
    "Function": (
        "The owner's node builds; only the owner may act. A function belongs to one organization, an approval to "
        "another: it is not a status of the function, and each worker's steward gives one for an archive."
    ),
    "Task": (
        "Statuses that wait are never logged. They follow from the function, its approval at the worker and the "
        "parents: a task begins where these put it, and may skip one of them. A task awaiting approval waits "
        "for the builder's slot; refused, it fails with EXECUTION_ERROR. A build that fails or is cancelled takes the "
        "tasks of the function with it. A task is executed again when an attempt was lost without a commit. When a "
        "parent fails, children keep their status and never run; a task that is added to a required parent which has "
        "failed or was cancelled is cancelled at once. When a member goes, the tasks that it works on fail with "
        "INTERNAL_ERROR and the plans that it owns are cancelled."
    ),
    "Plan": (
        "A plan's status is counted from its required tasks, by the first rule that fits. Optional tasks that are "
        "open when a plan ends are cancelled. Tasks added to a plan that is done make it go on."
    ),
}


def page() -> str:
    parts = [
        "# State machines",
        "Drawn from the tables in `comity/domain/states.py` (`make docs` writes this page). "
        "Names and rules are those of Substra 1.0.",
        *section("Function", drawn(FUNCTION, "FUNCTION_STATUS_")),
        *section("Task", drawn(TASK, "STATUS_")),
        *section("Plan", counted()),
    ]
    return "\n\n".join(parts) + "\n"


def section(title: str, body: str) -> tuple[str, str, str]:
    return f"## {title}", body, NOTES[title]


def drawn(table: Mapping[str, frozenset[str]], prefix: str) -> str:
    """A Mermaid diagram of the steps from each status, which begin at the first and end where none leads on."""
    names = {status: status.removeprefix(prefix) for status in table}
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {next(iter(names.values()))}"]
    order = list(table)
    for status, others in table.items():
        lines += [f"    {names[status]} --> {names[other]}" for other in sorted(others, key=order.index)]
        if not others:
            lines.append(f"    {names[status]} --> [*]")
    return "\n".join([*lines, "```"])


def counted() -> str:
    """A table of what `plan_status` makes of each mixture of tasks that decides it, in its order."""
    mixtures: list[tuple[str, dict[TaskStatus, int], bool]] = [
        ("any, and its owner has cancelled the plan", {"STATUS_DONE": 2}, True),
        ("any is cancelled", {"STATUS_CANCELED": 1, "STATUS_FAILED": 1, "STATUS_DONE": 1}, False),
        ("none", {}, False),
        ("all wait for the builder's slot", {"STATUS_WAITING_FOR_BUILDER_SLOT": 2}, False),
        ("all are done", {"STATUS_DONE": 2}, False),
        ("any has failed", {"STATUS_FAILED": 1, "STATUS_EXECUTING": 1}, False),
        ("any others", {"STATUS_WAITING_FOR_BUILDER_SLOT": 1, "STATUS_EXECUTING": 1}, False),
    ]
    rows = ["| required tasks | status | has ended |", "|---|---|---|"]
    for name, counts, cancelled in mixtures:
        status = plan_status(counts, cancelled=cancelled)
        rows.append(f"| {name} | {status} | {'yes' if status in OVER else 'no'} |")
    return "\n".join(rows)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text() == page() else "docs/state-machines.md is out of date: run make docs")
    PAGE.write_text(page())
