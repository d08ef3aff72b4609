"""What a task is given as files, and what it has left, between the store of blobs and a folder of the task's own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from comity.adapters.blob_files import BlobFiles
from comity.adapters.execution import performance
from comity.domain.events import OutputMade
from comity.domain.records import Function, Task
from comity.domain.words import Permission
from comity.engine import adding
from comity.ports.blobs import Blobs
from comity.values.digest import Digest
from comity.values.errors import InvalidInput, Unavailable

PIECE = 1 << 20

SALT = 32
"""Bytes."""

NOBODY = Permission()

DELETED = "an output was deleted just now, as the same of another's that was released; the task is run again"


def lend(blobs: Blobs, blob: str, at: Path) -> None:
    """Lay a blob where only those find it who cannot write to it: where that can be, it is the store's own file."""
    at.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(blobs, BlobFiles):
        with suppress(OSError):  # another file system, or too many links
            return blobs.link(Digest(blob), at)
    _copy(blobs, blob, at)


def give(blobs: Blobs, blob: str, at: Path) -> None:
    """Lay a copy of a blob where whoever finds it may do with it as he likes."""
    at.parent.mkdir(parents=True, exist_ok=True)
    _copy(blobs, blob, at)


def keep(
    blobs: Blobs,
    function: Function,
    task: Task,
    outputs: Mapping[str, Path],
    *,
    digits: int | None = None,
    smallest_count: int = 0,
) -> dict[str, OutputMade]:
    """A task's outputs, with models in the store.

    digits: after the point, that performances are rounded to; all when None. smallest_count: no whole number above 0
    and below it may leave in the clear, which raises InvalidInput.

    What goes into a masked sum is salted: its digest stands in the log, where a count could be guessed by it.

    Raises InvalidInput for a performance that is no number, DecodeError for a tree that is none, and Unavailable when
    what was stored is deleted at once, with what it was the same as.
    """
    made: dict[str, OutputMade] = {}
    for name, path in outputs.items():
        declared = function.outputs[name]
        if declared.kind == "ASSET_PERFORMANCE":
            value = float(performance.read(path))
            made[name] = OutputMade(performance=repr(value if digits is None else round(value, digits)))
            continue
        with path.open("rb") as file:
            plain = iter(lambda file=file: file.read(PIECE), b"")
            left = task.outputs[name]
            aggregate = left.aggregate
            masked = aggregate is not None and aggregate.protocol != "clear"
            salt = os.urandom(SALT) if masked else b""
            least = (
                0 if masked or (left.private and aggregate is None and left.permission == NOBODY) else smallest_count
            )
            if least and declared.form != "tree":
                raise InvalidInput(f"the output {name} is opaque, so nobody can see whether a count in it is too small")
            blob = blobs.put(adding.checked(path, salt, least) if declared.form == "tree" else plain)
        made[name] = _model(blobs, blob, task.key, name)
    return made


def keep_sum(blobs: Blobs, task: str, parts: list[tuple[str, Path]]) -> dict[str, OutputMade]:
    """The sum of parts, each named by its site, in the store as the task's one output; raises what `added` raises."""
    return {"total": _model(blobs, blobs.put(adding.added(parts)), task, "total")}


def known_sum(blobs: Blobs, task: str, blob: str) -> dict[str, OutputMade]:
    """A sum that is in the store, as the task's one output."""
    return {"total": _model(blobs, Digest(blob), task, "total")}


def _model(blobs: Blobs, blob: Digest, task: str, name: str) -> OutputMade:
    size = blobs.size(blob)
    if size is None:
        raise Unavailable(DELETED)
    return OutputMade(key=str(uuid.uuid5(uuid.UUID(task), name)), blob=blob, size=size)


def _copy(blobs: Blobs, blob: str, at: Path) -> None:
    with at.open("wb") as file:
        for piece in blobs.open(Digest(blob)):
            file.write(piece)
