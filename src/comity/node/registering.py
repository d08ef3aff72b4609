"""What an organization registers, as events and the texts beside them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias, final

from msgspec.structs import replace

from comity.adapters.execution import archive, bundle
from comity.domain.entry import canonical
from comity.domain.events import DatasetRegistered, FunctionRegistered, PlanRegistered, Renamed, TaskAdded
from comity.domain.words import SALT, written
from comity.node.node import Part
from comity.ports.blobs import Blobs
from comity.values.digest import Digest
from comity.values.errors import DecodeError, InvalidInput

Registered: TypeAlias = DatasetRegistered | FunctionRegistered | PlanRegistered | TaskAdded

LONGEST = 100
"""Characters of a name, a tag, a key or a value of metadata."""

PIECE = 1 << 20


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What people call a thing: texts that lie beside the log, where they can be deleted."""

    name: str = ""
    tag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        _check_text("the name", self.name)
        _check_text("the tag", self.tag)
        for key, value in self.metadata.items():
            _check_text("the key of metadata", key)
            _check_text(f"the value of {key!r} in metadata", value)
            if not key or "__" in key:
                raise InvalidInput(
                    f"the key {key!r} of metadata {'holds __' if key else 'is empty'}; call it otherwise"
                )


async def register(
    part: Part, registered: Sequence[tuple[Registered, Labels]], files: Sequence[tuple[Digest, Path]] = ()
) -> None:
    """Say what was made, each with its labels; returns once this node's projection has it.

    The files are its blobs: they are stored once nothing speaks against it. Raises what is refused.
    """
    texts: dict[str, tuple[str, str]] = {}
    events = [_labelled(event, labels, texts) for event, labels in registered]
    await part.following.check(events)
    for name, path in files:
        await asyncio.to_thread(_put, part.exchange.blobs, path, name)
    await part.following.write(events, texts)
    for name, path in files:
        # A model that was the same may have been released, and deleted, before this one was named.
        if await asyncio.to_thread(part.exchange.blobs.size, name) is None:
            await asyncio.to_thread(_put, part.exchange.blobs, path, name)


async def rename(part: Part, kind: Literal["dataset", "function", "plan"], key: str, *, name: str) -> None:
    """Give something of one's own another name."""
    text, texts = written(_named(name), secrets.token_bytes(SALT))
    await part.following.write([Renamed(kind=kind, key=key, name=text)], texts)


def in_order(tasks: Sequence[tuple[TaskAdded, Labels]]) -> list[tuple[TaskAdded, Labels]]:
    """Parents first; raises InvalidInput where tasks wait for each other."""
    by_key = {task.key: (task, labels) for task, labels in tasks}
    if len(by_key) < len(tasks):
        raise InvalidInput("OE0101: a task is there twice; give each a key of its own")
    waits = {task.key: [each.parent for each in task.inputs if each.parent in by_key] for task, _ in tasks}
    try:
        return [by_key[key] for key in TopologicalSorter(waits).static_order()]
    except CycleError as error:
        raise InvalidInput("OE0101: cyclic dependency in compute plan graph or unknown task parent") from error


def digest_of(path: Path, *, most: int) -> Digest:
    """Of a file that is not empty and has at most so many bytes; raises InvalidInput for another."""
    size = path.stat().st_size
    if not 0 < size <= most:
        raise InvalidInput(f"the file has {size} bytes; it needs 1 at least and {most} at most")
    with path.open("rb") as file:
        return Digest("sha256:" + file_digest(file, "sha256").hexdigest())


def check_archive(path: Path) -> None:
    """Raise DecodeError unless the file unpacks to a function."""
    with TemporaryDirectory(dir=path.parent) as folder:
        unpacked = Path(folder, "function")
        archive.unpack(path, unpacked)
        if (unpacked / bundle.NAME).is_file():
            bundle.read(unpacked)
        elif not (unpacked / "Dockerfile").is_file() or len(list(unpacked.iterdir())) < 2:
            raise DecodeError(f"the archive has neither {bundle.NAME} nor Dockerfile and modules at its root; add them")


def _put(blobs: Blobs, path: Path, name: Digest) -> None:
    with path.open("rb") as file:
        blobs.put(iter(lambda: file.read(PIECE), b""), name)


def _labelled(event: Registered, labels: Labels, texts: dict[str, tuple[str, str]]) -> Registered:
    metadata = canonical(labels.metadata).decode() if labels.metadata else ""
    commitments: list[str] = []
    for text in (labels.name, labels.tag, metadata):
        name, beside = written(text, secrets.token_bytes(SALT))
        texts |= beside
        commitments.append(name)
    name, tag, metadata = commitments
    match event:
        case DatasetRegistered() | FunctionRegistered():
            return replace(event, name=_named(name), metadata=metadata)
        case PlanRegistered():
            return replace(event, name=_named(name), tag_text=tag, metadata=metadata)
        case TaskAdded():
            return replace(event, tag_text=tag, metadata=metadata)


def _named(name: str) -> str:
    if not name:
        raise InvalidInput("a name is missing; give one of 1 to 100 characters")
    _check_text("the name", name)
    return name


def _check_text(what: str, text: str) -> None:
    if len(text) > LONGEST:
        raise InvalidInput(f"{what}, {text[:40]!r}..., has {len(text)} characters; {LONGEST} is the most")
    if "\x00" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise InvalidInput(f"{what}, {text[:40]!a}, holds a zero, or half of a sign; leave it out")
