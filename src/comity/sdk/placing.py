"""An experiment placed on a network: its functions and its plan, registered at the node that will conduct it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import msgspec
from msgspec.structs import replace

from comity.domain.events import FunctionInput, FunctionOutput, Growth, SiteData
from comity.domain.words import Stage
from comity.engine.experiment import Experiment
from comity.sdk.bundling import bundled
from comity.sdk.client import Client, Files
from comity.sdk.growth import Before, growth, selected, signatures
from comity.sdk.starting import start_from
from comity.values import bounds
from comity.values.errors import InvalidInput, unknown
from comity.values.tree import Tree

USABLE = ("FUNCTION_STATUS_WAITING", "FUNCTION_STATUS_BUILDING", "FUNCTION_STATUS_READY")

ON_ITS_WAY = 2.0
"""Seconds that news of a dataset, registered a moment ago at another node, may take to be known here."""

LOOK = 0.1


@final
@dataclass(frozen=True, kw_only=True)
class Conduct:
    """How a network conducts an experiment; only `start` has a say in what comes out."""

    aggregator: str = ""
    """The organization whose node sums and steps; that of the node that is asked, unless given."""
    name: str = ""
    """What people call it; the strategy's name unless given."""
    deadline: float = 3600.0
    """Seconds that a round waits for sites once they can begin, if its quorum is there."""
    retries: int = 1
    """How often a site's part that failed is tried again within a round."""
    start: str | Path | Tree = ""
    """Parameters to begin with: a tree, a report folder or .safetensors file, or the key of a model on the network."""
    before: Before | None = None
    """The experiment that is continued."""

    def __post_init__(self) -> None:
        bounds.positive("deadline", self.deadline)
        bounds.count("retries", self.retries)


def place(client: Client, experiment: Experiment, on: Mapping[str, str], how: Conduct) -> str:
    """The key of the experiment's plan, which the node now conducts.

    on: the dataset, by name or key, of each organization that takes part. Functions whose code is there already are
    used again, so that nobody has to approve of them twice. Raises NotSupported or InvalidInput for an experiment
    that no network can run, and what the node refuses; no plan is left then.
    """
    plan = planned(client, experiment, on, how)
    me, _ = _members(client)
    who = sorted({*on, plan.aggregator} - {me})
    plan = replace(plan, functions=_functions(client, experiment, signatures(experiment), me=me, who=who))
    name = how.name or type(experiment.strategy).__name__
    new = {"key": str(uuid.uuid4()), "name": name, "growth": msgspec.to_builtins(plan)}
    return client.post("/compute_plan/", new)["key"]


def planned(client: Client, experiment: Experiment, on: Mapping[str, str], how: Conduct) -> Growth:
    """How the experiment's plan would grow, but for its functions; nothing is registered. Raises as `place` does."""
    signatures(experiment)
    me, members = _members(client)
    aggregator = how.aggregator or me
    if aggregator not in members:
        raise unknown("organization", aggregator, members)
    data = site_data(client, on)
    selected(experiment, sorted(on))
    return growth(
        experiment,
        data,
        {},
        aggregator=aggregator,
        deadline=how.deadline,
        retries=how.retries,
        before=how.before or Before(start=start_from(client, how.start, at=me, to=aggregator)),
    )


def _members(client: Client) -> tuple[str, list[str]]:
    """(this organization, all of them)."""
    found = client.get("/organization/")
    return next(each["id"] for each in found if each["is_current"]), [each["id"] for each in found]


def site_data(client: Client, on: Mapping[str, str]) -> dict[str, SiteData]:
    """The dataset of each organization, by name or key, and its samples; raises InvalidInput for what is not there."""
    if not on:
        raise InvalidInput("say where it runs: on={'org1': 'DATASET', ...}, the dataset of each organization")
    _, members = _members(client)
    for organization in on:
        if organization not in members:
            raise unknown("organization", organization, members)
    until = time.monotonic() + ON_ITS_WAY
    while True:
        known = [each for each in client.pages("/data_manager/") if not each["withdrawn_date"]]
        try:
            return {organization: _site_data(client, known, organization, given) for organization, given in on.items()}
        except InvalidInput:
            if time.monotonic() > until:
                raise
        time.sleep(LOOK)


def _site_data(client: Client, known: Sequence[Mapping[str, Any]], organization: str, given: str) -> SiteData:
    own = [each for each in known if each["owner"] == organization]
    found = [each["key"] for each in own if given in (each["key"], each["name"])]
    if not found:
        raise unknown(f"dataset at {organization}", given, [each["name"] for each in own])
    if len(found) > 1:
        raise InvalidInput(f"{len(found)} datasets at {organization} are called {given!r}; give a key: {found}")
    samples = client.get(f"/data_manager/{found[0]}/")["data_sample_keys"]
    if not samples:
        raise InvalidInput(f"the dataset {given!r} at {organization} has no data samples yet")
    return SiteData(dataset=found[0], samples=tuple(samples))


def _functions(
    client: Client,
    experiment: Experiment,
    declared: Mapping[Stage, tuple[Mapping[str, FunctionInput], Mapping[str, FunctionOutput]]],
    *,
    me: str,
    who: Sequence[str],
) -> dict[Stage, str]:
    """A function for each stage, all of one archive, which these organizations may use."""
    made: dict[Stage, str] = {}
    with TemporaryDirectory() as folder:
        archive = bundled(experiment, Path(folder))
        checksum = sha256(archive.read_bytes()).hexdigest()
        about = Path(folder, "description.md")
        about.write_text(f"# {type(experiment.strategy).__name__}\n\nThe stages of an experiment's rounds.\n")
        known = [
            each
            for each in client.pages("/function/")
            if each["owner"] == me and each["archive"]["checksum"] == checksum and each["status"] in USABLE
        ]
        for stage, (inputs, outputs) in declared.items():
            new = {
                "name": f"{type(experiment.strategy).__name__}, {stage}",
                "permissions": {"public": False, "authorized_ids": list(who)},
                "inputs": {name: msgspec.to_builtins(each) for name, each in inputs.items()},
                "outputs": {name: msgspec.to_builtins(each) for name, each in outputs.items()},
            }
            same = next((each["key"] for each in known if _serves(each, new)), None)
            files = Files(new, [("file", archive), ("description", about)])
            made[stage] = same or client.upload("/function/", files)["key"]
    return made


def _serves(known: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a function that is there does what the new one is to do, for the same organizations."""
    process = known["permissions"]["process"]
    allowed = process["public"] or set(new["permissions"]["authorized_ids"]) <= set(process["authorized_ids"])
    return (
        allowed
        and known["name"] == new["name"]
        and known["inputs"] == _full(new["inputs"], "kind", "optional", "multiple")
        and known["outputs"] == _full(new["outputs"], "kind", "multiple")
    )


def _full(declared: Mapping[str, Mapping[str, Any]], *shown: str) -> dict[str, dict[str, Any]]:
    """Inputs or outputs as a node shows them, with what is left out at its default."""
    return {name: {field: each.get(field, False) for field in shown} for name, each in declared.items()}
