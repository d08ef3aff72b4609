"""How a node holds its tasks in."""

from dataclasses import dataclass, field
from typing import final

from comity.adapters.execution.isolation import ORDINARY, Isolation, Level
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
    """What a task may use up."""
    sandboxes: int = 16
    """How many are kept in which nothing runs; of more, those unused for longest are ended. Plans beyond these that run
    at once begin anew now and then."""
    idle_seconds: float = 300.0
    """Seconds after which one in which nothing runs is ended."""
    shared: bool = True
    """Whether tasks of one plan may share one; else nothing is warm."""
    devices: tuple[str, ...] = ()
    """Numbers of the GPUs that tasks may use: a sandbox has one of them to itself, and waits until one is free. Each
    task then imports its bundle itself: CUDA does not survive a fork."""
    user: int = ORDINARY
    """Who tasks run as when the node was started by root; data samples must be readable by that user."""

    def __post_init__(self) -> None:
        bounds.positive("idle_seconds", self.idle_seconds)
        bounds.count("sandboxes", self.sandboxes)
        bounds.count("user", self.user, least=1)


def trouble(reached: Isolation, way: Way) -> str:
    """Why tasks are held in less well than a node decides, and what to do; empty when they are not.

    >>> trouble(Isolation(level=Level.PLAIN, reason="there is no bwrap here", remedy="install it"), Way())
    'tasks run in plain processes, which can do what the node can: there is no bwrap here; install it'
    """
    demanded = way.demanded is not Level.PLAIN
    if reached.level is not Level.PLAIN or not (reached.remedy or demanded):
        return ""
    then = "no task runs" if demanded else "tasks run in plain processes, which can do what the node can"
    return f"{then}: {reached.reason}; {reached.remedy or 'set sandbox.level to bubblewrap'}"
