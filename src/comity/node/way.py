"""How a node does its work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from comity.adapters.environments.builds import Builds
from comity.adapters.execution import way
from comity.node.building import Approve
from comity.node.opaque import Opaque


@final
@dataclass(frozen=True, kw_only=True)
class Way:
    """What whoever starts a node may choose."""

    tasks: int = 2
    """How many run at once."""
    approve: Approve = "ask"
    """Whether functions of others wait for a steward."""
    opaque: Opaque = "deny"
    """Whether functions with files that nobody can read may run here."""
    sample_roots: Sequence[Path] = ()
    """Folders below which data samples may be registered in place."""
    builds: Builds = Builds()  # noqa: RUF009 frozen
    """How it comes by the environments of tasks."""
    sandbox: way.Way = way.Way()  # noqa: RUF009 frozen
    """How it holds tasks in."""
    log_level: int = logging.INFO
