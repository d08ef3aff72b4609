"""An experiment that has ended, taken up where it ended: in a new plan, with the whole state and every memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from comity.engine.experiment import Experiment
from comity.privacy.warning import said_before
from comity.sdk.client import Client
from comity.sdk.growth import Before
from comity.sdk.outcome import NOTHING, OVER, last_parts, memory_of, rounds_of
from comity.values.digest import Digest
from comity.values.errors import Conflict, InvalidInput, NotSupported


def continued(
    client: Client, experiment: Experiment, shown: Mapping[str, Any], rounds: int | None
) -> tuple[Experiment, Before]:
    """(the experiment with so many rounds in all, what it goes on from); its own number of rounds when None.

    Raises NotSupported where that would break a promise of privacy, Conflict while it still runs or when no round of it
    was done, InvalidInput for rounds that are done already.
    """
    if shown["status"] not in OVER:
        raise Conflict(f"the experiment {shown['key']} still runs; cancel it first, or let it end")
    if (dp := experiment.record_dp or experiment.site_dp) is not None:
        raise NotSupported(
            f"{type(dp).__name__} has promised an ε of all rounds together, which more of them would exceed; begin "
            "another experiment with start=..., and a budget of its own"
        )
    earlier = rounds_of(client, shown)
    done = [each for each in earlier if each["state"] is not None]
    if not done:
        raise Conflict(f"no round of the experiment {shown['key']} was done; begin it again")
    last, planned = done[-1]["number"], experiment.rounds if rounds is None else rounds
    if planned <= last:
        given = "say how many it is to have in all, above that" if rounds is None else f"give more, not {planned}"
        raise InvalidInput(f"the experiment {shown['key']} has done {last} rounds; {given}")
    memories: dict[str, str] = {}
    for site, parts in last_parts(earlier).items():
        task = next((key for number, key in reversed(parts) if number <= last), None)
        memory = memory_of(client, task) if task else None
        if memory is not None and memory["address"] is None:
            raise Conflict(f"what {site} remembered after round {last} is gone: {shown['key']} was continued before")
        if memory is not None and Digest(f"sha256:{memory['address']['checksum']}") != NOTHING:
            memories[site] = memory["key"]
    before = Before(start=done[-1]["state"], continues=shown["key"], rounds=last, memories=memories)
    with said_before():
        return replace(experiment, rounds=planned), before
