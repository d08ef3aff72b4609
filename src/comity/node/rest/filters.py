"""Which records each list holds: the filters of every noun, those too that Substra's own server ignores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from comity.domain.plans import status_of
from comity.domain.records import DataSample, Dataset, Function, Model, Plan, SampleOf, Task
from comity.domain.states import FunctionStatus, PlanStatus, TaskStatus
from comity.node.rest.dates import moment
from comity.node.rest.pages import Listing
from comity.node.rest.render import View
from comity.values.errors import InvalidInput

Named: TypeAlias = Dataset | Function | Plan


class _Metadata(msgspec.Struct, frozen=True):
    key: str
    type: Literal["is", "contains", "exists"]
    value: str = ""


_METADATA = msgspec.json.Decoder(list[_Metadata])


# Tests of one record


def _matches(view: View, each: Named, given: str) -> bool:
    """Every word in the key or the name."""
    text = f"{each.key}\n{view.text(each.name)}".lower()
    return all(word in text for word in given.lower().split())


def _key_matches(view: View, each: Task | Model, given: str) -> bool:
    return all(word in each.key for word in given.lower().split())


def _is_named(view: View, each: Named, given: str) -> bool:
    return view.text(each.name) in given.split(",")


def _is_tagged(view: View, each: Plan | Task, given: str) -> bool:
    return view.text(each.tag_text) in given.split(",")


def _has_metadata(view: View, each: Named | Task, given: str) -> bool:
    """The stock client takes every space out of what it sends, so that values are compared without."""
    held = {bare(key): bare(value) for key, value in view.metadata(each.metadata).items()}
    return all(_holds(held, asked) for asked in _asked(given))


def _asked(given: str) -> list[_Metadata]:
    try:
        return _METADATA.decode(given)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidInput(f'metadata must be like [{{"key": K, "type": "is", "value": V}}]: {error}') from error


def _holds(held: dict[str, str], asked: _Metadata) -> bool:
    value = held.get(bare(asked.key))
    if value is None or asked.type == "exists":
        return value is not None
    return value == bare(asked.value) if asked.type == "is" else bare(asked.value) in value


def bare(text: str) -> str:
    """A text without its spaces, as the stock client sends it."""
    return text.replace(" ", "")


def _permits(view: View, each: Dataset | Function | Model, given: str) -> bool:
    return any(each.permission.allows(name.strip(), each.owner) for name in given.split(","))


def _permits_logs(view: View, each: Dataset, given: str) -> bool:
    return any(each.logs_permission.allows(name.strip(), each.owner) for name in given.split(","))


def _has_status(view: View, each: Plan, given: str) -> bool:
    return status_of(each) in given.split(",")


def _has_rank(view: View, each: Task, given: str) -> bool:
    return str(each.rank) in given.split(",")


def _created_by(view: View, each: Plan, given: str) -> bool:
    return view.creator(each) in given.split(",")


def _after(field: str) -> Callable[[View, Any, str], bool]:
    return lambda view, each, given: getattr(each, field) >= moment(given)


def _before(field: str) -> Callable[[View, Any, str], bool]:
    return lambda view, each, given: 0 < getattr(each, field) <= moment(given)


def _longer(view: View, each: Plan | Task, given: str) -> bool:
    return view.duration(each) >= _seconds(given)


def _shorter(view: View, each: Plan | Task, given: str) -> bool:
    return view.duration(each) <= _seconds(given)


def _seconds(given: str) -> int:
    if not given.isascii() or not given.isdigit() or len(given) > 15:
        raise InvalidInput(f"a duration is a whole number of seconds, not {given[:40]!r}")
    return int(given)


# Keys that something else leads to


def _tasks(view: View, field: str, values: Sequence[str]) -> list[Task]:
    return [task for value in values for task in view.records.find(Task, field, value)]


def _tasks_with(view: View, assets: Sequence[str]) -> Iterable[Task]:
    """Tasks that take any of these assets."""
    wanted = set(assets)
    return (task for task in view.records.search(Task, {})[1] if wanted & {each.asset for each in task.inputs})


def _assets(tasks: Iterable[Task]) -> set[str]:
    return {each.asset for task in tasks for each in task.inputs if each.asset}


def _of_dataset(view: View, datasets: Sequence[str]) -> set[str]:
    return {each.sample for dataset in datasets for each in view.records.find(SampleOf, "dataset", dataset)}


def _of_sample(view: View, samples: Sequence[str]) -> set[str]:
    return {each.dataset for sample in samples for each in view.records.find(SampleOf, "sample", sample)}


def _functions_with(view: View, assets: Sequence[str]) -> set[str]:
    return {task.function for task in _tasks_with(view, assets)}


def _plans_with(view: View, assets: Sequence[str]) -> set[str]:
    return {task.plan for task in _tasks_with(view, assets)}


def _statuses(statuses: Any) -> dict[str, Sequence[str]]:
    """Those that there are, and the one that the stock client knows for what it does not know."""
    names: Sequence[str] = get_args(statuses)
    return {"status": (*names, f"{names[0].partition('STATUS_')[0]}STATUS_UNKNOWN")}


OWN = {"key": "key", "owner": "owner"}

CREATION: Mapping[str, Callable[[View, Any, str], bool]] = {
    "creation_date_after": _after("created_at"),
    "creation_date_before": _before("created_at"),
}

TIMES: Mapping[str, Callable[[View, Plan | Task, str], bool]] = {
    **CREATION,
    "start_date_after": _after("started_at"),
    "start_date_before": _before("started_at"),
    "end_date_after": _after("ended_at"),
    "end_date_before": _before("ended_at"),
    "duration_min": _longer,
    "duration_max": _shorter,
}

DATASETS = Listing(
    kind=Dataset,
    write=View.dataset,
    indexed=OWN,
    related={
        "compute_plan_key": lambda view, plans: _assets(_tasks(view, "plan", plans)),
        "function_key": lambda view, functions: _assets(_tasks(view, "function", functions)),
        "data_sample_key": _of_sample,
    },
    tests={
        "name": _is_named,
        "match": _matches,
        "metadata": _has_metadata,
        "permissions": _permits,
        "can_process": _permits,
        "can_access_logs": _permits_logs,
        **CREATION,
    },
)

SAMPLES = Listing(
    kind=DataSample,
    write=View.sample,
    indexed=OWN,
    related={
        "dataset_key": _of_dataset,
        "compute_plan_key": lambda view, plans: _assets(_tasks(view, "plan", plans)),
        "function_key": lambda view, functions: _assets(_tasks(view, "function", functions)),
    },
    tests=CREATION,
)

FUNCTIONS = Listing(
    kind=Function,
    write=View.function,
    indexed={**OWN, "status": "status"},
    words=_statuses(FunctionStatus),
    related={
        "compute_plan_key": lambda view, plans: {task.function for task in _tasks(view, "plan", plans)},
        "dataset_key": _functions_with,
        "data_sample_key": _functions_with,
    },
    tests={
        "name": _is_named,
        "match": _matches,
        "metadata": _has_metadata,
        "permissions": _permits,
        "can_process": _permits,
        **CREATION,
    },
)

PLANS = Listing(
    kind=Plan,
    write=View.plan,
    indexed=OWN,
    related={
        "worker": lambda view, workers: {task.plan for task in _tasks(view, "worker", workers)},
        "function_key": lambda view, functions: {task.plan for task in _tasks(view, "function", functions)},
        "dataset_key": _plans_with,
        "data_sample_key": _plans_with,
    },
    tests={
        "name": _is_named,
        "match": _matches,
        "tag": _is_tagged,
        "metadata": _has_metadata,
        "status": _has_status,
        "creator": _created_by,
        **TIMES,
    },
    words=_statuses(PlanStatus),
    sorts={
        "key": lambda _, each: each.key,
        "owner": lambda _, each: each.owner,
        "name": lambda view, each: view.text(each.name),
        "tag": lambda view, each: view.text(each.tag_text),
        "status": lambda _, each: status_of(each),
        "duration": View.duration,
        "creator": View.creator,
    },
    size=10,
)

TASKS = Listing(
    kind=Task,
    write=View.task,
    indexed={
        **OWN,
        "worker": "worker",
        "status": "status",
        "compute_plan_key": "plan",
        "function_key": "function",
    },
    words=_statuses(TaskStatus),
    tests={
        "match": _key_matches,
        "rank": _has_rank,
        "tag": _is_tagged,
        "metadata": _has_metadata,
        **TIMES,
    },
)

MODELS = Listing(
    kind=Model,
    write=View.model,
    indexed={**OWN, "compute_task_key": "task"},
    tests={"match": _key_matches, "permissions": _permits, "can_process": _permits, **CREATION},
)
