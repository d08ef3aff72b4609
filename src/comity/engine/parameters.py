"""What a task of an experiment is told: which stage of which experiment it is."""

from __future__ import annotations

from typing import final

import msgspec

from comity.domain.words import Stage

PARAMETERS = "parameters"
"""The input that a node gives to every task of an experiment: a file of JSON."""


@final
class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The code lies in the task's bundle; all else that decides its result, but for its inputs, stands here."""

    experiment: str
    """Canonical JSON."""
    stage: Stage
    round: int
    """From 1 on; for the first state how many were done before, by a plan that is continued."""
    site: str
    """The organization that works."""
    sites: tuple[str, ...]
    """All sites of the experiment, in order."""
    selected: int = 0
    """How many of them take part in the round."""
    masked: bool = False
    """Whether what this task leaves is added masked."""
