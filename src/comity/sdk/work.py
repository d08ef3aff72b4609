"""A stage of an experiment as a task: what a node runs, in a sandbox, of the bundle that `sdk.bundling` makes.

Beside what is declared, a task finds its parameters in a file of JSON. Trees lie in safetensors files:

- a state: `state`, the strategy's, `columns`, the names of x's columns as keys of empty arrays, SiteDP's `clip`, and of
  each round so far the `bytes` that its contributions took, where they are compressed; and of a contribution that its
  site noises, how many `numbers` it has;
- a contribution: `total`, `weight`, and `columns`, so that sites whose columns differ cannot be added, which a node
  leaves aside where it noises the total; a compressed one as `comity.values.quantized` has it, with the `bytes` that it
  takes and would have taken;
- a memory, as it is;
- scores: for each metric its `total` and `weight`, or nothing where a site has no test rows, or there is no model yet.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from comity.engine import names, stages
from comity.engine.compressing import sent
from comity.engine.experiment import Experiment
from comity.engine.parameters import PARAMETERS, Parameters
from comity.sdk.reading import read_experiment
from comity.strategies import reading
from comity.values import codec, record, tree
from comity.values.contribution import Contribution
from comity.values.errors import Forbidden, InvalidInput
from comity.values.model import Fit, Training
from comity.values.quantized import restored
from comity.values.site import Site
from comity.values.strategy import SeesEach
from comity.values.tree import Tree

names.remember()  # where the bundle is imported, once: each task is a fork of that process


def perform(inputs: Mapping[str, Any], outputs: Mapping[str, str], task_properties: Mapping[str, Any]) -> None:
    """Run one stage; raises what the experiment's code raises, with a note of where that was."""
    told = msgspec.json.decode(Path(inputs[PARAMETERS]).read_bytes(), type=Parameters)
    experiment = read_experiment(told.experiment)
    if experiment.secure_sum and not told.masked:
        raise Forbidden("the experiment asks for a secure sum, but its plan would add contributions in the clear")
    work = {"init": _init, "local": _local, "step": _step, "evaluate": _evaluate, "finish": _finish}
    try:
        with threadpool_limits(1):
            work[told.stage](experiment, told, inputs, outputs)
    except Exception as error:
        error.add_note(f"in stage {told.stage} of round {told.round} at {told.site}")
        raise


def site_of(name: str, data: Any) -> Site:
    """The site that an opener's data make: rows to train on, or {"train": rows, "test": rows}.

    Rows are (x, y), x alone, or a data frame. Raises InvalidInput for anything else.

    >>> site_of("a", {"test": (np.zeros((3, 2)), np.zeros(3))})
    Site('a', train=Rows(x=(0, 2) float64, y=(0,) float64), test=Rows(x=(3, 2) float64, y=(3,) float64))
    """
    if isinstance(data, Site):
        return Site(name, train=data.train, test=data.test)
    if isinstance(data, Mapping):
        given: Mapping[Any, Any] = data
        if odd := given.keys() - {"train", "test"}:
            raise InvalidInput(f"an opener's get_data gives 'train' and 'test', not {sorted(map(str, odd))}")
        return Site(name, train=given.get("train"), test=given.get("test"))  # pyright: ignore[reportArgumentType]
    return Site(name, train=data)


def _init(experiment: Experiment, told: Parameters, inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    start = _read(inputs["start"]) if "start" in inputs else None
    if told.round:  # after rounds of another plan, whose state goes on whole
        assert start is not None
        state_of(experiment, start)
        return _write(outputs["state"], start)
    state = stages.first(experiment, len(told.sites), _parameters(start))
    _write(outputs["state"], {"state": record.to_tree(state), **_clip(stages.first_clip(experiment))})


def _local(experiment: Experiment, told: Parameters, inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    held = _read(inputs["state"])
    memory = _read(inputs["memory"]) if "memory" in inputs else {}
    site, model = site_of(told.site, inputs["datasamples"]), experiment.model

    def run(training: Training) -> Fit:
        assert model is not None
        return model.fit(training)

    brought = model and stages.work(experiment, model, told.site, round=told.round, run=run, random=os.urandom)
    gave = stages.local(experiment, state_of(experiment, held), memory, site=site, work=brought)
    clip = _clip_of(held)
    made = sent(experiment, stages.given(experiment, gave, clip=clip), memory, clip=clip, place=(told.round, told.site))
    if experiment.secure_sum:
        _check_fits(experiment, made.contribution, sites=told.selected)
    size = {} if made.size is None else {"bytes": np.array([made.size.sent, made.size.uncompressed], np.float64)}
    columns = reading.columns(site.data.columns)
    written = {**made.arrays.arrays, "weight": np.asarray(made.contribution.weight), "columns": columns, **size}
    _write(outputs["contribution"], written, made.arrays.as_bf16)
    _write(outputs["memory"], made.memory)


def _check_fits(experiment: Experiment, contribution: Contribution, *, sites: int, metrics: bool = False) -> None:
    """Raises InvalidInput here, where its cause is known, for what the node could not put into the secure sum."""
    from comity.engine.masked import check_fits  # not all experiments need its cryptography

    check_fits(experiment, contribution, sites=sites, metrics=metrics)


def _step(experiment: Experiment, told: Parameters, inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    held = _read(inputs["state"])
    state, clip, sizes = state_of(experiment, held), None, took(held)
    numbers: Tree = {}
    if isinstance(experiment.strategy, SeesEach):
        trees = [_read(path) for path in inputs["parts"]]
        columns = {str(sorted(each.get("columns", {}))): each.get("columns", {}) for each in trees}
        if len(columns) > 1:
            raise InvalidInput(f"the sites' columns differ, by name or in order: {' and '.join(columns)}")
        state = stages.following(experiment, state, [_contribution(each) for each in trees])
        named = next(iter(columns.values()))
        sizes += [_sizes(trees)] if experiment.compression else []
    else:
        total = _read(inputs["total"])
        gathered = _contribution(total)
        random = None if experiment.secure_sum else os.urandom  # the sites have added theirs
        seen, clip = stages.released(experiment, gathered, _clip_of(held), random=random)
        state, named = stages.following(experiment, state, seen), total.get("columns", {})
        if experiment.secure_sum and experiment.site_dp:
            numbers = {"numbers": np.asarray(tree.size(gathered.total))}
        sizes += [_sizes([total])] if experiment.compression else []
    written = {"state": record.to_tree(state), "columns": named, **_clip(clip), **numbers}
    _write(outputs["state"], {**written, "bytes": np.array(sizes, np.float64)} if sizes else written)
    if "finished" in outputs:
        Path(outputs["finished"]).write_text("1.0" if experiment.strategy.finished(state) else "0.0")


def _evaluate(experiment: Experiment, told: Parameters, inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    state = state_of(experiment, _read(inputs["state"]))
    memory = _read(inputs["memory"]) if "memory" in inputs else {}
    site = site_of(told.site, inputs["datasamples"])
    fitted = bool(experiment.strategy.model(state, memory))
    parts = stages.measured(experiment, state, memory, site=site, model=experiment.model) if fitted else {}
    if experiment.secure_sum and fitted and not parts:
        parts = stages.measured_of_none(experiment, state, memory, site=site, model=experiment.model)
    scores = {name: _written(part) for name, part in parts.items()}
    if experiment.secure_sum and scores:
        _check_fits(experiment, Contribution(scores, 1), sites=told.selected, metrics=True)
    _write(outputs["scores"], scores)
    _measure(experiment, parts, outputs)


def _finish(experiment: Experiment, told: Parameters, inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    totals: Mapping[str, Any] = _read(inputs["total"])
    _measure(experiment, {name: _contribution(each) for name, each in totals.items()}, outputs)


def _measure(experiment: Experiment, parts: Mapping[str, Contribution], outputs: Mapping[str, str]) -> None:
    """A performance for each metric that is declared; NaN where nothing was measured."""
    for metric in experiment.measures:
        if metric.name in outputs:
            value = metric.finish(parts[metric.name]) if metric.name in parts else float("nan")
            Path(outputs[metric.name]).write_text(json.dumps(float(value)))


def _written(contribution: Contribution) -> Tree:
    return {"total": contribution.total, "weight": np.asarray(contribution.weight)}


def _contribution(tree: Mapping[str, Any]) -> Contribution:
    return Contribution(restored(tree), float(tree["weight"]))


def _clip(clip: float | None) -> Tree:
    return {} if clip is None else {"clip": np.asarray(clip)}


def _clip_of(held: Mapping[str, Any]) -> float | None:
    return float(held["clip"]) if "clip" in held else None


def took(held: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(bytes sent, bytes uncompressed) of the contributions of each round so far, as a state's file holds them."""
    held_bytes = np.asarray(held.get("bytes", np.zeros((0, 2))))
    if held_bytes.ndim != 2 or held_bytes.shape[1] != 2:
        raise InvalidInput(f"a state holds the bytes of its rounds as (rounds, 2) numbers, not {held_bytes.shape}")
    return [(int(sent), int(uncompressed)) for sent, uncompressed in held_bytes]


def _sizes(trees: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """What contributions, or their sum, say that they took and would have taken."""
    said = [np.asarray(each["bytes"]).reshape(-1) for each in trees]
    if odd := [each for each in said if each.size != 2 or (each < 0).any()]:
        raise InvalidInput(f"a contribution says that it takes {odd[0]} bytes; that is two numbers of at least 0")
    return int(sum(each[0] for each in said)), int(sum(each[1] for each in said))


def _parameters(start: Tree | None) -> Tree | None:
    """Of a model to begin with: a tree of parameters, or the state of a strategy that has them as `params`."""
    held: Any = start
    if held is not None and isinstance(state := held.get("state"), Mapping):
        if not isinstance(state.get("params"), Mapping):
            raise InvalidInput("the state to start from holds no `params`; start from a model's parameters")
        return state["params"]
    return held


def state_of(experiment: Experiment, held: Mapping[str, Any]) -> Any:
    """The strategy's state that a state's file holds."""
    return record.from_tree(kind_of_state(experiment), held.get("state", {}))


def kind_of_state(experiment: Experiment) -> type:
    """The class of the strategy's states, which its `init` is annotated to return; else `init` is asked."""
    try:
        named = get_type_hints(experiment.strategy.init).get("return")
    except NameError:
        named = None
    if isinstance(named, type) and is_dataclass(named):
        return named
    return type(stages.first(experiment, 1))


def _read(path: str) -> Any:
    """The tree in a file, mapped into memory and not copied."""
    with Path(path).open("rb") as file:
        return codec.decode(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


def _write(path: str, tree: Tree, as_bf16: Collection[str] = ()) -> None:
    with Path(path).open("wb") as file:
        for segment in codec.segments(tree, as_bf16):
            file.write(segment)  # pyright: ignore[reportArgumentType] an array is a buffer
