"""What an experiment on a network came to: the same `Run` as a simulation's, and what went wrong at sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from comity.engine.experiment import Experiment
from comity.engine.history import Round, Scores, series
from comity.engine.promises import promised
from comity.engine.run import Run
from comity.engine.stopping import best_index
from comity.sdk.client import Client
from comity.sdk.work import state_of, took
from comity.strategies import reading
from comity.values import codec
from comity.values.digest import Digest
from comity.values.errors import Forbidden, NotFound, NotSupported, RoundFailed
from comity.values.tree import Tree

OVER = ("PLAN_STATUS_DONE", "PLAN_STATUS_FAILED", "PLAN_STATUS_CANCELED")
"""Statuses of plans that have ended."""

NOTHING = codec.digest({})
"""Of the memory of a site that keeps none."""

MOST, FEW = 8, 3
"""Last lines of a log: from the last place in the code that it names, if it names one."""


@final
@dataclass(frozen=True)
class Failure:
    """A task that has failed."""

    stage: str
    round: int
    site: str
    error: str
    log: str
    """The last lines of its log; empty where this organization may not read it."""

    def __str__(self) -> str:
        where = f"{self.stage} of round {self.round} at {self.site}: {self.error}"
        return f"{where}: {self.log}" if self.log else f"{where}; its log is to be read at {self.site}"


def failures(client: Client, shown: Mapping[str, Any]) -> list[Failure]:
    """What has failed, the last of each site and stage."""
    masked = {(stage, each["number"]): each[stage] for each in shown["rounds"] for stage in ("sum", "scores")}
    found: dict[tuple[str, str], Failure] = {}
    for key in shown["failed"]:
        task = client.get(f"/task/{key}/")
        where = task["worker"], task["stage"]
        if where not in found or found[where].round <= task["round"]:
            found[where] = Failure(
                stage=task["stage"],
                round=task["round"],
                site=task["worker"],
                error=task["error_type"],
                log=task["refused"]
                or (masked.get((task["stage"], task["round"])) or {}).get("reason")
                or _last_lines(client, key),
            )
    return list(found.values())


def run_of(client: Client, experiment: Experiment, shown: Mapping[str, Any]) -> Run:
    """The run of an experiment that is done; raises RoundFailed when there is no state that could be had."""
    rounds = [each for each in rounds_of(client, shown) if each["closed"]]
    history = tuple(_round(experiment, each) for each in rounds)
    number, sent = _chosen(experiment, history), _sent(rounds)
    held = _state(client, rounds, number)
    if experiment.compression is not None:
        last = held if number == len(rounds) else _state(client, rounds, len(rounds))
        sizes = dict(enumerate(took(last), 1))
        history = tuple(_with_sizes(each, *sizes.get(each.number, (None, None))) for each in history)
    return Run(
        experiment=experiment,
        sites=shown["organizations"],
        history=history,
        state=state_of(experiment, held),
        round=number,
        memories=MemoriesAtSites(client, last_parts(rounds)),
        columns=reading.names(held.get("columns", {})),
        engine={"engine": "Plain()", "threads": 1, "plan": shown["key"], "aggregator": shown["aggregator"]},
        statements=promised(
            experiment,
            [name for name in shown["organizations"] if name in sent],
            survivors=_fewest(experiment, shown["aggregator"], rounds),
            numbers=int(held.get("numbers", 0)),
        ),
    )


def _sent(rounds: Sequence[Mapping[str, Any]]) -> set[str]:
    """The sites that have sent a part, whether or not it went into a round."""
    return {part["site"] for each in rounds for part in each["parts"] if part["status"] == "STATUS_DONE"}


def rounds_of(client: Client, shown: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rounds of an experiment, those of the plans that it continues too, in order."""
    own: list[Mapping[str, Any]] = list(shown["rounds"])
    if shown["continues"] is None or not own:
        return own
    earlier = rounds_of(client, client.get(f"/compute_plan/{shown['continues']}/rounds/"))
    return [*(each for each in earlier if each["number"] < own[0]["number"]), *own]


def memory_of(client: Client, task: str) -> Mapping[str, Any]:
    """The model that holds what a site remembers after its part, as REST shows it."""
    left = client.get(f"/task/{task}/output_assets/")["results"]
    return next(each["asset"] for each in left if each["identifier"] == "memory")


@final
@dataclass(frozen=True)
class MemoriesAtSites:
    """Sites' memories, which stay with their organizations: what this one may have, and no other."""

    client: Client = field(repr=False)
    tasks: Mapping[str, Sequence[tuple[int, str]]]
    """Of each site: the rounds that its part was included in, and the task that did it; in order."""

    def get(self, site: str, round: int) -> Tree:
        """Raises Forbidden, or what the node says, where the memory is another organization's."""
        task = next((key for number, key in reversed(self.tasks.get(site, ())) if number <= round), None)
        if task is None:
            return {}
        model = memory_of(self.client, task)
        if model["address"] is None:
            raise NotFound(
                f"what {site} remembered after round {round} was released: a later round goes on from another"
            )
        if Digest(f"sha256:{model['address']['checksum']}") == NOTHING:
            return {}
        return _downloaded(self.client, model["key"])

    def put(self, site: str, round: int, memory: Tree, keep: Sequence[int]) -> None:
        """Only a site's own tasks do that."""
        raise NotSupported(f"what {site} remembers is kept at {site}")

    def rewind(self, round: int) -> None:
        """Only a site's own tasks do that."""
        raise NotSupported("what sites remember is kept at the sites")


def _round(experiment: Experiment, shown: Mapping[str, Any]) -> Round:
    parts, masked, secure = shown["parts"], shown["sum"], experiment.secure_sum
    pooled, sites = _measured(shown)
    error = None
    if masked and secure:
        made = secure.statistics_scale if experiment.model is None else secure.scale
        error = made(len(parts)).error(sum(each["included"] for each in parts))
    return Round(
        number=shown["number"],
        included=tuple(each["site"] for each in parts if each["included"]),
        missing=tuple(each["site"] for each in parts if not each["included"]),
        attempts=max(each["attempts"] for each in parts),
        pooled=pooled,
        sites=sites,
        seconds=_seconds(shown["start_date"], shown["end_date"]),
        error=error,
        clipped=masked["clipped"] if masked else 0,
    )


def _fewest(experiment: Experiment, aggregator: str, rounds: Sequence[Mapping[str, Any]]) -> int:
    """The fewest sites, the aggregator's own not counted, that were in a masked sum for sure; 0 where none was."""
    if (secure := experiment.secure_sum) is None:
        return 0
    rosters = [each["sum"]["roster"] for each in rounds if each["sum"]]
    return min((secure.needed(sum(name != aggregator for name in roster)) for roster in rosters), default=0)


def _with_sizes(made: Round, sent: int | None, uncompressed: int | None) -> Round:
    return replace(made, sent=sent, uncompressed=uncompressed)


def _measured(shown: Mapping[str, Any]) -> tuple[Scores | None, Mapping[str, Scores] | None]:
    """(metrics over all sites, metrics by site); a site where all are NaN had nothing to test on, or no model yet."""
    if shown["pooled"] is None:
        return None, None
    pooled, every = _scores(shown["pooled"]), {name: _scores(each) for name, each in shown["sites"].items()}
    sites = {name: each for name, each in every.items() if not all(map(isnan, each.values()))}
    if not sites and all(map(isnan, pooled.values())):
        return None, None
    return pooled, sites or every


def _scores(shown: Mapping[str, float | None]) -> Scores:
    return {name: float("nan") if value is None else value for name, value in shown.items()}


def _seconds(began: str | None, ended: str | None) -> float:
    if began is None or ended is None:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def _chosen(experiment: Experiment, history: Sequence[Round]) -> int:
    """The round that the model is of."""
    if experiment.best is not None:
        numbers, values = series(history, experiment.best)
        best = best_index(values, experiment.metric(experiment.best).goal)
        if best is not None:
            return numbers[best]
    return len(history)


def _state(client: Client, rounds: Sequence[Mapping[str, Any]], number: int) -> Any:
    key = next((each["state"] for each in rounds if each["number"] == number), None)
    if key is None:
        raise RoundFailed(f"the state after round {number} is not there")
    return _downloaded(client, key)


def last_parts(rounds: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, str]]]:
    """Of each site the rounds that its part was included in, and the tasks that did it, in order."""
    made: dict[str, list[tuple[int, str]]] = {}
    for each in rounds:
        for part in each["parts"]:
            if part["included"]:
                made.setdefault(part["site"], []).append((each["number"], part["task"]))
    return made


def _downloaded(client: Client, model: str) -> Any:
    with TemporaryDirectory() as folder:
        path = Path(folder, "model")
        client.download(f"/model/{model}/file/", path)
        return codec.decode(path.read_bytes())


def _last_lines(client: Client, task: str) -> str:
    try:
        text = client.raw(f"/task/{task}/logs/").decode(errors="replace")
    except (Forbidden, NotFound, NotSupported):
        return ""
    lines = text.strip().splitlines()
    frame = max((at for at, line in enumerate(lines) if line.startswith('  File "')), default=-FEW)
    return " | ".join(line.strip() for line in lines[frame:][:MOST])
