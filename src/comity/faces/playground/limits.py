"""How much of the machine the playground may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from comity.values import bounds
from comity.values.errors import InvalidInput


@final
@dataclass(frozen=True, kw_only=True)
class Limits:
    """Whether there is a playground, and how much it may be used."""

    enabled: bool = True
    """Whether the node serves `/playground`, to whoever reaches the node: it shows nothing of the node's data."""
    processes: int = 2
    """How many train at once, for all runs together; each takes one CPU, and stands back behind tasks."""
    runs: int = 4
    """How many runs there are at once; further ones are asked to come later."""
    per_address: int = 2
    """How many of them from one address; behind a proxy all have its address."""
    seconds: int = 120
    """How long a run may take, and how much CPU time each of its parts."""

    def __post_init__(self) -> None:
        if not isinstance(self.enabled, bool):
            raise InvalidInput(f"enabled must be true or false, not {self.enabled!r}")
        for name in ("processes", "runs", "per_address", "seconds"):
            bounds.count(name, getattr(self, name), least=1)
