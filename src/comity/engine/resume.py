"""A run's standing as a checkpoint, and back."""

from __future__ import annotations

from typing import Any

from comity.engine.document import fingerprint
from comity.engine.history import round_from
from comity.engine.rounds import Course, Standing
from comity.ports.checkpoints import Checkpoint
from comity.values import record
from comity.values.digest import Digest, canonical, digest
from comity.values.errors import InvalidInput


def owner(course: Course) -> dict[str, Digest]:
    """Whose a checkpoint is: what tells one run from another."""
    return {"experiment": fingerprint(course.experiment), "sites": digest(canonical(list(course.sites.names)))}


def checkpoint(owner: dict[str, Digest], standing: Standing) -> Checkpoint:
    """All of a standing, as its owner's."""
    facts = {
        **owner,
        "best_round": standing.best_round,
        "history": [each.document() for each in standing.history],
    }
    arrays = {"state": record.to_tree(standing.state)}
    if standing.best_state is not None:
        arrays["best"] = record.to_tree(standing.best_state)
    return Checkpoint(facts, arrays)


def taken_up(found: Checkpoint, owner: dict[str, Digest], begun: Standing) -> Standing:
    """The standing that the checkpoint is of; raises InvalidInput when it is another's.

    begun: the standing before the first round, which says what kind of state it is.
    """
    if found.facts["experiment"] != owner["experiment"]:
        raise InvalidInput("the checkpoint is of another experiment; only `rounds` may differ. Give another directory")
    if found.facts["sites"] != owner["sites"]:
        raise InvalidInput("the checkpoint was made with other sites; give the same sites or another directory")
    kind = type(begun.state)
    arrays: Any = found.arrays
    return Standing(
        state=record.from_tree(kind, arrays.get("state", {})),
        history=tuple(round_from(each) for each in found.facts["history"]),
        best_state=record.from_tree(kind, arrays["best"]) if "best" in arrays else None,
        best_round=found.facts["best_round"],
    )
