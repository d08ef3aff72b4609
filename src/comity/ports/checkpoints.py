"""Where a run can be taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


class Checkpoints(Protocol):
    """The newest checkpoint of one run."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the former checkpoint at once or not at all; on return it survives a crash."""
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
        self._newest = checkpoint

    def load(self) -> Checkpoint | None:
        return self._newest
