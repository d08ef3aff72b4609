"""A run's standing as a checkpoint, and back."""

from __future__ import annotations

from typing import Any

from comity.engine.document import fingerprint
from comity.engine.history import round_from
from comity.engine.rounds import Course, Standing
from comity.ports.checkpoints import Checkpoint
from comity.ports.memories import Memories
from comity.values import record
from comity.values.digest import Digest, canonical, digest
from comity.values.errors import DecodeError, InvalidInput


def owner(course: Course) -> dict[str, Digest | None]:
    """Whose a checkpoint is: what tells one run from another."""
    return {
        "experiment": fingerprint(course.experiment),
        "sites": digest(canonical(list(course.sites.names))),
        "rows": course.sites.rows,
        "tests": None if course.tests is course.sites else course.tests.rows,
    }


def checkpoint(owner: dict[str, Digest | None], standing: Standing, since: int) -> Checkpoint:
    """All of a standing, as its owner's; of the history the rounds since the one that was kept last."""
    facts = {
        **owner,
        "best_round": standing.best_round,
        "columns": list(standing.columns),
        "remembering": sorted(standing.remembering),
        "clip": standing.clip,
    }
    arrays = {"state": record.to_tree(standing.state)}
    if standing.best_state is not None:
        arrays["best"] = record.to_tree(standing.best_state)
    return Checkpoint(facts, arrays, [each.document() for each in standing.history[since:]])


def taken_up(found: Checkpoint, owner: dict[str, Digest | None], begun: Standing, memories: Memories) -> Standing:
    """The standing that the checkpoint is of; raises InvalidInput when it is another's, or its memories are gone.

    begun: the standing before the first round, which says what kind of state it is.
    """
    if found.facts["experiment"] != owner["experiment"]:
        raise InvalidInput("the checkpoint is of another experiment; only `rounds` may differ. Give another directory")
    if found.facts["sites"] != owner["sites"]:
        raise InvalidInput("the checkpoint was made with other sites; give the same sites or another directory")
    for what in ("rows", "tests"):
        if owner[what] and found.facts[what] and owner[what] != found.facts[what]:
            raise InvalidInput(
                "the checkpoint was made with other rows at these sites; give the same rows or another directory"
            )
    for name in found.facts["remembering"]:
        if not memories.get(name, len(found.history)):
            raise DecodeError(f"the memory of site {name!r} is gone from beside the checkpoint; begin anew")
    kind = type(begun.state)
    arrays: Any = found.arrays
    return Standing(
        state=record.from_tree(kind, arrays.get("state", {})),
        history=tuple(round_from(each) for each in found.history),
        best_state=record.from_tree(kind, arrays["best"]) if "best" in arrays else None,
        best_round=found.facts["best_round"],
        columns=tuple(found.facts["columns"]),
        remembering=frozenset(found.facts["remembering"]),
        clip=found.facts.get("clip"),
    )
