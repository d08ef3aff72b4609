"""Where a run can be taken up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, final

from comity.values.tree import Tree


@final
@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything a run needs to go on after a round, but for the sites' memories."""

    facts: Mapping[str, Any]
    """JSON: whose run this is, the round, the history."""
    arrays: Tree
    """The strategy's state, and that of the best round."""
    history: Sequence[Mapping[str, Any]] = ()
    """JSON, one entry a round: when saved those since the checkpoint before, when loaded all of them."""


class Checkpoints(Protocol):
    """The newest checkpoint of one run.

    It goes on with the history that was loaded or saved before, and begins anew where there was neither.
    """

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the former checkpoint at once or not at all, in a time that does not grow with the history.

        On return it survives a crash.
        """
        ...

    def load(self) -> Checkpoint | None:
        """The newest checkpoint, None when there is none; raises DecodeError when it is damaged."""
        ...


@final
class CheckpointsInMemory:
    """The fake."""

    def __init__(self) -> None:
        self._newest: Checkpoint | None = None

    def save(self, checkpoint: Checkpoint) -> None:
        before = self._newest.history if self._newest else ()
        self._newest = replace(checkpoint, history=(*before, *checkpoint.history))

    def load(self) -> Checkpoint | None:
        return self._newest
