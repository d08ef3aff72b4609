"""Blobs of assets, and logs, for those at this node who ask for them."""

from __future__ import annotations

import asyncio

from comity.adapters.sql.log import Log
from comity.domain.letter import Holds, Wanted
from comity.domain.records import Approval, Dataset, Function, Model, Task, need
from comity.node.asked import check
from comity.node.logs import whereabouts
from comity.node.node import Part
from comity.values.digest import Digest
from comity.values.errors import NotFound, Unavailable

PATIENCE = 100.0
"""Seconds that the owner's node is given to send a blob."""


async def fetch(part: Part, holds: Holds, asset: str) -> tuple[Digest, int] | None:
    """(digest, size) of a blob that now lies in this node's store, brought from its owner if need be; None when it
    was released.

    Raises NotFound, Forbidden when this organization may not have it, Unavailable when its owner does not answer.
    """
    following = part.following
    blob, owner = await following.read(lambda log: _of(log, holds, asset))
    wanted = Wanted(blob=blob, holds=holds, asset=asset)
    await following.read(lambda log: check(log, following.organization, wanted))
    if not blob:
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            await part.exchange.have(blob, owner=owner, holds=holds, asset=asset)
    except TimeoutError:
        raise Unavailable(
            f"the node of {owner} has not sent {blob} of {asset} yet; it may be away, try again"
        ) from None
    name = Digest(blob)
    size = await asyncio.to_thread(part.exchange.blobs.size, name)
    if size is None:
        raise NotFound(f"the blob {blob} of {asset} is gone from this node")
    return name, size


async def fetch_log(part: Part, task: str) -> bytes:
    """The log of a failed task, brought from its owner if need be; of one that was refused, why. Of a function, by its
    key, that of its failed build.

    Raises NotFound when there is none, Forbidden when this organization may not read it, Unavailable when its owner
    does not answer.
    """
    me = part.following.organization
    if reason := await part.following.read(lambda log: _refused(log, task)):
        return f"{reason}\n".encode()
    where = await part.following.read(lambda log: whereabouts(log, me, task))
    if where.owner == me:
        return await part.log_letters.given(me, task)
    try:
        async with asyncio.timeout(PATIENCE):
            return await part.log_letters.have(task, where.owner)
    except TimeoutError:
        raise Unavailable(
            f"the node of {where.owner} has not sent the log of task {task} yet; it may be away, try again"
        ) from None


def _refused(log: Log, key: str) -> str:
    """Why its worker let a task not begin, in words that stand in the log for all; empty where that is not so."""
    task = log.records.get(Task, key)
    if task is None or task.status != "STATUS_FAILED" or task.log:
        return ""
    function = need(log.records, Function, task.function)
    word = log.records.get(Approval, f"{task.worker}|{function.archive}")
    if word is None or word.approved:
        return ""
    said = log.texts([word.reason]).get(word.reason, "") if word.reason else ""
    return f"{task.worker} does not let this function run: {said or 'no reason was given'}"


def _of(log: Log, holds: Holds, asset: str) -> tuple[str, str]:
    match holds:
        case "model":
            model = need(log.records, Model, asset)
            return model.blob, model.owner
        case "archive" | "function description":
            function = need(log.records, Function, asset)
            return (function.archive if holds == "archive" else function.description), function.owner
        case "opener" | "dataset description":
            dataset = need(log.records, Dataset, asset)
            return (dataset.opener if holds == "opener" else dataset.description), dataset.owner
