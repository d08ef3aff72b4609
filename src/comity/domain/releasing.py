"""The end of transient outputs: each may be released once its task, and all that take from that task, have ended.

Who takes from a task is counted, so that neither the thousandth child that ends nor a node that looks for what is due
has to look at the other 999.
"""

from __future__ import annotations

from msgspec.structs import replace

from comity.domain.events import OutputsReleased
from comity.domain.membership import Act
from comity.domain.records import Child, Draft, Function, Model, Records, Takers, Task, need
from comity.domain.states import ENDED
from comity.values.errors import Forbidden, InvalidInput


def releasable(records: Records, task: Task, output: str) -> bool:
    """Whether an output is transient, and its task and all that take from it have ended; never if none does."""
    if not task.outputs[output].transient or task.status not in ENDED:
        return False
    takers = records.get(Takers, task.key)
    return takers is not None and not takers.open


def outputs_released(records: Draft, act: Act, event: OutputsReleased) -> None:
    """The author gives up transient models that nobody needs, and deletes them."""
    for key in event.models:
        model = need(records, Model, key)
        task = need(records, Task, model.task)
        if model.owner != act.author:
            raise Forbidden(f"OE0102: the model {key} belongs to {model.owner}")
        if not model.blob:
            # Two who look after outputs may both have seen that it was due.
            continue
        if not releasable(records, task, model.output):
            raise InvalidInput(f"OE0105: the model {key} is not transient, or a task still needs it")
        records.put(replace(model, blob="", released=model.blob, due=""))


def took(records: Draft, parent: str, child: Task) -> None:
    """The child takes from the parent; that it does may be said again."""
    key = f"{parent}|{child.key}"
    if records.get(Child, key) is not None:
        return
    records.put(Child(key=key, parent=parent, child=child.key))
    before = records.get(Takers, parent) or Takers(key=parent)
    records.put(replace(before, total=before.total + 1, open=before.open + (child.status not in ENDED)))
    weigh(records, parent)


def let_go(records: Draft, parent: str) -> None:
    """One that took from the parent has ended, or was told to do without it."""
    before = need(records, Takers, parent)
    records.put(replace(before, open=before.open - 1))
    weigh(records, parent)


def ended(records: Draft, task: Task) -> None:
    """The task needs nothing any more."""
    if task.inputs:
        for parent in _sources(records, task):
            let_go(records, parent)


def made_transient(records: Draft, key: str, output: str) -> None:
    """Nobody will take an output again that did not take it yet."""
    task = records.get(Task, key)
    if task is not None and (left := task.outputs.get(output)) is not None and not left.transient:
        records.put(replace(task, outputs={**task.outputs, output: replace(left, transient=True)}))
        weigh(records, key)


def weigh(records: Draft, key: str) -> None:
    """See which of a task's models are due to be released."""
    task = need(records, Task, key)
    if task.status not in ENDED or not any(each.transient for each in task.outputs.values()):
        return
    for model in records.find(Model, "task", key):
        due = model.owner if model.blob and releasable(records, task, model.output) else ""
        if due != model.due:
            records.put(replace(model, due=due))


def _sources(records: Draft, task: Task) -> list[str]:
    """The tasks that a task takes from, each once."""
    inputs = need(records, Function, task.function).inputs
    taken = [each for each in task.inputs if inputs[each.identifier].kind == "ASSET_MODEL"]
    return list(dict.fromkeys(each.parent or need(records, Model, each.asset).task for each in taken))
