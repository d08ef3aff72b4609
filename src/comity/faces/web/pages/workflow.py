"""The graph of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from comity.domain.records import Function, Plan, Task, need
from comity.domain.words import Key
from comity.faces.web.drawing.lanes import SMALL, Step, graph
from comity.faces.web.pages.plan import show as show_plan
from comity.faces.web.visit import Visit
from comity.node.rest.render import View
from comity.node.rest.workflow import MOST

STAGES = {"evaluate": 1, "scores": 1, "finish": 1}
"""What is drawn below what else an organization does at the same time."""


async def show(visit: Visit) -> Response:
    """All tasks, or those of one round; of very many, the rounds."""
    asked = visit.query.get("round", "")

    def found(view: View, plan: Plan) -> Mapping[str, Any]:
        count, tasks = view.records.search(Task, {"plan": [plan.key]}, order="rank", limit=MOST)
        labels = {each: _label(view, each) for each in {task.function for task in tasks}}
        numbers = sorted({task.round for task in tasks if task.stage})
        wanted = int(asked) if asked.isascii() and asked.isdigit() and int(asked) in numbers else None
        if wanted is not None:
            tasks = [task for task in tasks if task.round == wanted]
        tasks.sort(key=lambda each: (each.rank, STAGES.get(each.stage, 0), each.key))
        collapsed = bool(numbers) and (len(tasks) > SMALL or asked == "collapsed")
        steps, names = _rounds(plan, tasks) if collapsed else _tasks(tasks, labels)
        edges = [
            (names[given.parent], names[each.key])
            for each in tasks
            for given in each.inputs
            if given.parent in names and names[given.parent] != names[each.key]
        ]
        drawn = graph(steps, edges)
        return {
            "graph": drawn,
            "count": count,
            "most": MOST,
            "small": SMALL,
            "numbers": numbers,
            "round": wanted,
            "collapsed": collapsed,
        }

    return await show_plan(visit, "plan_workflow.html", found)


def _label(view: View, key: Key) -> str:
    return view.function_name(need(view.records, Function, key))


def _tasks(tasks: Sequence[Task], labels: Mapping[str, str]) -> tuple[list[Step], dict[str, str]]:
    steps = [
        Step(
            key=each.key,
            lane=each.worker,
            column=each.rank,
            label=f"{each.stage} {each.round}" if each.stage else labels[each.function],
            statuses={each.status: 1},
            target=f"/tasks/{each.key}",
        )
        for each in tasks
    ]
    return steps, {each.key: each.key for each in tasks}


def _rounds(plan: Plan, tasks: Sequence[Task]) -> tuple[list[Step], dict[str, str]]:
    """One step for what is done in a round at one organization, and the step that each task is in."""
    members: dict[tuple[int, str], list[Task]] = {}
    for each in tasks:
        members.setdefault((each.round, each.worker), []).append(each)
    steps = [
        Step(
            key=f"{number}|{worker}",
            lane=worker,
            column=number,
            label=f"round {number}" + (f" ×{len(several)}" if len(several) > 1 else ""),
            statuses=Counter(each.status for each in several),
            target=f"/compute_plans/{plan.key}/workflow?round={number}",
        )
        for (number, worker), several in sorted(members.items())
    ]
    return steps, {each.key: f"{each.round}|{each.worker}" for each in tasks}
