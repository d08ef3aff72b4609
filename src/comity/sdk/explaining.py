"""What the owners' policies would say of an experiment, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from comity.engine.experiment import Experiment
from comity.sdk.client import Client
from comity.sdk.placing import Conduct, planned


def explain(
    client: Client, experiment: Experiment, on: Mapping[str, str], how: Conduct, *, by: str = ""
) -> list[dict[str, Any]]:
    """For each site whether its policy would allow the experiment, by which rule, or why not.

    by: the organization that would run it; that of the node that is asked unless given. Raises what `planned` raises.
    """
    plan = planned(client, experiment, on, how)
    return client.post("/policy/explain/", {"growth": msgspec.to_builtins(plan), "organization": by})
