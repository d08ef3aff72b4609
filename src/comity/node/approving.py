"""What a steward decides: which functions of other organizations may run here, and until when data may be used."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import final

from comity.adapters.sql.log import Log
from comity.domain.events import DatasetWithdrawn, FunctionApproved, FunctionRefused
from comity.domain.records import Approval, Child, Dataset, Function, Model, Task, need
from comity.domain.sums import SUM
from comity.domain.words import SALT, written
from comity.node.node import Part
from comity.values.errors import Forbidden
from comity.values.legible import legible

LARGEST = 1 << 20
"""Bytes of a file that is shown."""

ROOM = 8 << 20
"""Bytes of all files of a function that are shown."""


@final
@dataclass(frozen=True, kw_only=True)
class Judged:
    """A function of another organization, and this one's word on its archive."""

    function: Function
    word: Approval | None
    waiting: int
    """Tasks that wait for it here."""


@final
@dataclass(frozen=True, kw_only=True)
class Review:
    """What a steward reads before the word is given."""

    judged: Judged
    files: Mapping[str, str]
    """Texts by path; what is no text, or too long, is named by its size and digest."""
    before: Function | None
    """The last of this name that was approved with another archive."""
    files_before: Mapping[str, str]


def judged(log: Log, organization: str) -> list[Judged]:
    """The functions of others that could run here, the latest first."""
    _, ready = log.records.search(Function, {"status": ["FUNCTION_STATUS_READY"]})
    theirs = [each for each in ready if each.owner != organization and each.key != SUM]
    return [_judged(log, organization, each) for each in theirs if each.permission.allows(organization, each.owner)]


def waiting(log: Log, organization: str) -> int:
    """How many functions could run here and have no word yet."""
    return sum(each.word is None for each in judged(log, organization))


async def review(part: Part, key: str) -> Review:
    """A function's source, and that of its forerunner; raises what fetching an archive raises."""
    me = part.following.organization

    def found(log: Log) -> tuple[Judged, Function | None]:
        function = _usable(log, me, key)
        return _judged(log, me, function), _before(log, me, function)

    judged, before = await part.following.read(found)
    return Review(
        judged=judged,
        files=await _source(part, judged.function),
        before=before,
        files_before=await _source(part, before) if before else {},
    )


async def approve(part: Part, key: str, *, by: str) -> None:
    """Let functions of this one's archive run here; `by` is the user. Raises Forbidden for one not shown here."""
    archive = await _archive(part, key)
    await part.following.write([FunctionApproved(archive=archive, by=by)], {})


async def refuse(part: Part, key: str, *, by: str, reason: str) -> None:
    """Let no function of this one's archive run here; tasks that wait for the word fail."""
    archive = await _archive(part, key)
    text, texts = written(reason, secrets.token_bytes(SALT))
    await part.following.write([FunctionRefused(archive=archive, by=by, reason=text)], texts)


async def withdraw(part: Part, key: str, *, reason: str) -> list[Model]:
    """Let no new task use a dataset of this organization; the models that were made from it before."""
    text, texts = written(reason, secrets.token_bytes(SALT))
    await part.following.write([DatasetWithdrawn(key=key, reason=text)], texts)
    return await part.following.read(lambda log: made_from(log, key))


def made_from(log: Log, dataset: str) -> list[Model]:
    """The models of every task that took the dataset, or an output of a task that did."""
    owner = need(log.records, Dataset, dataset).owner
    _, there = log.records.search(Task, {"worker": [owner]}, order="created_at")
    left = [each.key for each in there if any(given.asset == dataset for given in each.inputs)]
    reached = dict.fromkeys(left)
    while left:
        for child in log.records.find(Child, "parent", left.pop()):
            if child.child not in reached:
                reached[child.child] = None
                left.append(child.child)
    return [model for task in reached for model in log.records.find(Model, "task", task)]


async def _archive(part: Part, key: str) -> str:
    return (await part.following.read(lambda log: _usable(log, part.following.organization, key))).archive


def _usable(log: Log, organization: str, key: str) -> Function:
    function = need(log.records, Function, key)
    if not function.permission.allows(organization, function.owner):
        raise Forbidden(f"OE0102: {organization} may not use the function {key}")
    return function


def _judged(log: Log, organization: str, function: Function) -> Judged:
    where = {"waits_on": [function.key], "worker": [organization]}
    return Judged(
        function=function,
        word=log.records.get(Approval, f"{organization}|{function.archive}"),
        waiting=log.records.search(Task, where, limit=0)[0],
    )


def _before(log: Log, organization: str, function: Function) -> Function | None:
    words = [each for each in log.records.find(Approval, "organization", organization) if each.approved]
    _, functions = log.records.search(Function, {"archive": [each.archive for each in words]})
    names = log.texts([function.name, *(each.name for each in functions)])
    at = {each.archive: each.at for each in words}
    same = [
        each
        for each in functions
        if each.archive != function.archive and names.get(each.name) == names.get(function.name)
    ]
    return max(same, key=lambda each: at[each.archive], default=None)


async def _source(part: Part, function: Function) -> dict[str, str]:
    folder = await part.building.unpacked(function)
    return await asyncio.to_thread(_texts, folder, sorted(each for each in folder.rglob("*") if each.is_file()))


def _texts(folder: Path, paths: Sequence[Path]) -> dict[str, str]:
    made: dict[str, str] = {}
    room = ROOM
    for path in paths:
        size = path.stat().st_size
        room -= size
        made[str(path.relative_to(folder))] = _text(path) if size <= LARGEST and room >= 0 else _named(path)
    return made


def _text(path: Path) -> str:
    try:
        return legible(path.read_bytes().decode())
    except UnicodeDecodeError:
        return _named(path)


def _named(path: Path) -> str:
    with path.open("rb") as file:
        hashed = file_digest(file, "sha256").hexdigest()
    return f"({path.stat().st_size} bytes that are not shown, sha256:{hashed})\n"
