"""How an experiment on a network goes, on the error stream."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comity.sdk.running import Observe


@contextmanager
def watching(shown: bool | None = None) -> Generator[Observe | None]:
    """What is to be called with an experiment's rounds whenever they have changed.

    A bar, when someone watches; what it waits for and whom it goes on without, each once, in any case.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    screen = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    seen: set[str] = set()
    disable = not (sys.stderr.isatty() if shown is None else shown)
    with Progress(*columns, console=screen, transient=True, disable=disable) as bar:
        task = bar.add_task("", total=None)

        def observe(rounds: Mapping[str, Any]) -> None:
            done = sum(each["end_date"] is not None for each in rounds["rounds"])
            bar.update(task, completed=done, total=rounds["planned"], description=rounds["name"])
            for line in lines(rounds):
                if line not in seen:
                    seen.add(line)
                    screen.print(line, markup=False)

        yield observe


def lines(rounds: Mapping[str, Any]) -> Generator[str]:
    """What a person wants to be told: what it waits for, and who was not there."""
    for each in rounds["waiting_for"]:
        yield f"waiting for {each}"
    for each in rounds["rounds"]:
        if each["closed"]:
            for part in each["parts"]:
                if not part["included"]:
                    yield f"round {each['number']} goes on without {part['site']}, {_why(part)}"


def _why(part: Mapping[str, Any]) -> str:
    if part["refused"]:
        return f"whose policy refuses it: {part['refused']}"
    return "which failed" if part["status"] == "STATUS_FAILED" else "which was not there in time"
