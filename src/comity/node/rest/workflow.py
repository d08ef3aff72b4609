"""The graph of a plan: its tasks, and which output goes into which input."""

from __future__ import annotations

from typing import TypedDict

from starlette.responses import Response

from comity.domain.records import Function, Plan, Task, need
from comity.domain.states import TaskStatus
from comity.domain.words import AssetKind
from comity.node.rest.call import Call, answer
from comity.node.rest.render import View
from comity.values.errors import Forbidden

MOST = 5000
"""Tasks of a graph."""


class Plug(TypedDict):
    """An input or an output of a task's function."""

    identifier: str
    kind: AssetKind


class Node(TypedDict):
    """A task of the graph."""

    key: str
    rank: int
    function_name: str
    worker: str
    status: TaskStatus
    inputs_specs: list[Plug]
    outputs_specs: list[Plug]


class Edge(TypedDict):
    """That a task takes what another leaves."""

    source_task_key: str
    source_output_identifier: str
    target_task_key: str
    target_input_identifier: str


class Graph(TypedDict):
    """A plan's tasks and what joins them."""

    tasks: list[Node]
    edges: list[Edge]


async def show(call: Call) -> Response:
    """The graph of a plan; 403 for one of more than 5,000 tasks."""
    return answer(await call.read(lambda view: _graph(view, call.key)))


def _graph(view: View, key: str) -> Graph:
    plan = need(view.records, Plan, key)
    count, tasks = view.records.search(Task, {"plan": [plan.key]}, order="rank", limit=MOST)
    if count > MOST:
        raise Forbidden(
            f"Cannot build workflow graph for more than {MOST} tasks: the plan {key} has {count}; "
            f"list them: /compute_plan/{key}/task/"
        )
    functions = {each: need(view.records, Function, each) for each in {task.function for task in tasks}}
    return {
        "tasks": [_node(view, each, functions[each.function]) for each in tasks],
        "edges": [
            {
                "source_task_key": given.parent,
                "source_output_identifier": given.output,
                "target_task_key": each.key,
                "target_input_identifier": given.identifier,
            }
            for each in tasks
            for given in each.inputs
            if given.parent
        ],
    }


def _node(view: View, each: Task, function: Function) -> Node:
    return {
        "key": each.key,
        "rank": each.rank,
        "function_name": view.function_name(function),
        "worker": each.worker,
        "status": each.status,
        "inputs_specs": [{"identifier": name, "kind": given.kind} for name, given in function.inputs.items()],
        "outputs_specs": [{"identifier": name, "kind": left.kind} for name, left in function.outputs.items()],
    }
