"""How a node holds its tasks in."""

from dataclasses import dataclass, field
from typing import final

from comity.adapters.execution.isolation import ORDINARY, Level
from comity.adapters.execution.limits import Limits
from comity.values import bounds


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What a node decides about sandboxes, once for all its tasks."""

    level: Level = Level.BUBBLEWRAP
    """The highest to try."""
    demanded: Level = Level.PLAIN
    """Tasks are refused where the level reached is lower."""
    limits: Limits = field(default_factory=Limits)
    sandboxes: int = 8
    """How many that nothing runs in are kept; of more, those unused for longest are ended."""
    idle_seconds: float = 300.0
    """After which one that nothing runs in is ended."""
    shared: bool = True
    """Whether tasks of one plan may share one; else nothing is warm."""
    devices: tuple[str, ...] = ()
    """Numbers of the GPUs that tasks may use: a sandbox has one of them to itself, and waits until one is free. Each
    task then imports its bundle itself: CUDA does not survive a fork."""
    user: int = ORDINARY
    """Who tasks run as when the node was started by root."""

    def __post_init__(self) -> None:
        bounds.positive("idle_seconds", self.idle_seconds)
        bounds.count("sandboxes", self.sandboxes)
        bounds.count("user", self.user, least=1)
