"""Writes docs/state-machines.md from the tables in comity; `--check` only says whether it is up to date."""

import sys
from collections.abc import Mapping
from pathlib import Path

from comity.domain.states import FUNCTION, OVER, TASK, TaskStatus, plan_status
from comity.privacy.aggregator import PHASES
from comity.privacy.site import STEPS

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
    "Secure sum, at a site": (
        "What a site waits for stands at the arrow. What it does not wait for, and what does not hold, is refused and "
        "changes nothing; no step is done twice. [Secure sums](secure-sum.md) says what the messages are."
    ),
    "Secure sum, at its aggregator": (
        "What a phase collects stands at its arrow, and is late afterwards. Too few, and the phase is not closed."
    ),
}


def page() -> str:
    parts = [
        "# State machines",
        "Drawn from the tables in `comity/domain/states.py`, whose names and rules are those of Substra 1.0, and in "
        "`comity/privacy/site.py` and `aggregator.py` (`make docs` writes this page).",
        *section("Function", drawn(FUNCTION, "FUNCTION_STATUS_")),
        *section("Task", drawn(TASK, "STATUS_")),
        *section("Plan", counted()),
        *section("Secure sum, at a site", said([(step, after, what) for step, (what, after) in STEPS.items()])),
        *section("Secure sum, at its aggregator", said(phases())),
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


def phases() -> list[tuple[str, str, str]]:
    """Each phase, the next, and what it collects."""
    order = list(PHASES)
    return [
        (phase, after, kind.__name__) for (phase, kind), after in zip(PHASES.items(), order[1:], strict=False) if kind
    ]


def said(steps: list[tuple[str, str, str]]) -> str:
    """A Mermaid diagram of steps that follow each other, with what each waits for."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {steps[0][0]}"]
    lines += [f"    {step} --> {after}: {what}" for step, after, what in steps]
    return "\n".join([*lines, f"    {steps[-1][1]} --> [*]", "```"])


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
