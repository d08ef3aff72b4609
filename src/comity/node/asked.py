"""What an organization may ask of another's node, and what may be sent to it unasked."""

from __future__ import annotations

from comity.adapters.sql.log import Log
from comity.domain.letter import Held, Sent, Wanted
from comity.domain.records import Dataset, Function, MaskedSum, Model, Task, need
from comity.domain.states import ENDED
from comity.node.sums import kept
from comity.values.errors import Forbidden, NotFound


def check(log: Log, organization: str, letter: Wanted) -> str:
    """The owner of this blob of this asset; raises Forbidden or NotFound unless the organization may have it."""
    records = log.records
    match letter.holds:
        case "model":
            model = need(records, Model, letter.asset)
            held, permission, owner = {model.blob}, model.permission, model.owner
        case "archive" | "function description":
            function = need(records, Function, letter.asset)
            held, permission, owner = {function.archive, function.description}, function.permission, function.owner
        case "opener" | "dataset description":
            dataset = need(records, Dataset, letter.asset)
            held, permission, owner = {dataset.opener, dataset.description}, dataset.permission, dataset.owner
        case "masked input":
            raise Forbidden(f"a masked input of the task {letter.asset} is for the node that makes its sum")
    if letter.blob not in held:
        raise NotFound(f"{letter.asset} has no blob {letter.blob}")
    if not permission.allows(organization, owner):
        raise Forbidden(f"{organization} may not process {letter.asset}")
    return owner


def check_node(log: Log, here: str, organization: str, letter: Wanted) -> str:
    """As `check`, for an organization's node: it may be given what it is to add, which nobody there may have.

    here: the organization that is asked.
    """
    if letter.holds == "masked input":
        return _check_masked(log, here, organization, letter)
    model = need(log.records, Model, letter.asset) if letter.holds == "model" else None
    aggregate = model.aggregate if model is not None and model.blob == letter.blob else None
    adds = aggregate.organizations if aggregate is not None and aggregate.protocol == "clear" else ()
    if model is not None and organization in adds:
        return model.owner
    return check(log, organization, letter)


def _check_masked(log: Log, here: str, organization: str, letter: Wanted) -> str:
    """That this organization asks for a piece of what it is to sum, masked."""
    summed = need(log.records, MaskedSum, letter.asset)
    if organization != summed.aggregator:
        raise Forbidden(f"{organization} does not make the sum of the task {letter.asset}")
    part = kept.get_site(log.connection, log.channel, letter.asset)
    if part is None or letter.blob not in part.pieces:
        raise NotFound(f"{here} gives no {letter.blob} to the sum of the task {letter.asset}")
    return here


def size_of(log: Log, holds: Held, asset: str) -> int | None:
    """How many bytes a model has; None for other things, of which the log does not say it."""
    return need(log.records, Model, asset).size if holds == "model" else None


def due(log: Log, organization: str, sender: str, letter: Sent) -> int:
    """How many blobs of a task an organization may send unasked, since they are, or will be, needed here."""
    task = log.records.get(Task, letter.task)
    if task is None or task.worker != sender:
        return 0
    if not any(child.worker == organization and child.status not in ENDED for child in log.children(task.key)):
        return 0
    if task.status not in ENDED:
        return len(task.outputs)  # blob first, then entry
    made = {model.blob: model.size for model in log.records.find(Model, "task", task.key)}
    return len(made) if made.get(letter.blob) == letter.size else 0
