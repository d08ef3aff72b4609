"""A channel's log as a file: a line with the hub's signed checkpoint, and a line for each entry with its texts."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias, final

import msgspec

from comity.sdk.client import Client
from comity.values.errors import DecodeError, NotFound

STEP = 500
"""Leaves that are fetched at once."""

Leaf: TypeAlias = tuple[bytes, Mapping[str, tuple[str, str]]]
"""A leaf byte for byte, and (salt, text) by commitment."""


@final
class _Head(msgspec.Struct):
    checkpoint: str


@final
class _Line(msgspec.Struct):
    leaf: msgspec.Raw
    texts: dict[str, tuple[str, str]] = {}


@final
class _Page(msgspec.Struct):
    results: list[msgspec.Raw]


def write(client: Client, file: IO[bytes]) -> int:
    """How many entries the node gave; the checkpoint comes first, so that what is said meanwhile is left out."""
    head = msgspec.json.decode(client.raw("/log/checkpoint/"), type=_Head)
    size = _size(head.checkpoint)
    file.write(msgspec.json.encode(head) + b"\n")
    at = 0
    while at < size:
        body = client.raw(f"/log/leaves/?start={at}&limit={min(STEP, size - at)}")
        leaves = msgspec.json.decode(body, type=_Page).results
        if not leaves:
            raise DecodeError(f"the node shows {at} of the {size} entries that the hub signed")
        file.writelines(bytes(each) + b"\n" for each in leaves)
        at += len(leaves)
    return size


@contextmanager
def opened(path: Path) -> Generator[tuple[str, Iterator[Leaf]]]:
    """(the checkpoint, the leaves one by one); raises DecodeError at what cannot be read."""
    with path.open("rb") as file:
        try:
            head = msgspec.json.decode(file.readline(), type=_Head)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise DecodeError(f"{path} does not begin as comity log export writes it: {error}") from error
        yield head.checkpoint, _leaves(file)


def _leaves(lines: Iterable[bytes]) -> Iterator[Leaf]:
    for number, text in enumerate(lines):
        try:
            line = msgspec.json.decode(text, type=_Line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise DecodeError(f"entry {number} cannot be read: {error}") from error
        yield bytes(line.leaf), line.texts


def _size(note: str) -> int:
    """Of the log that a checkpoint is of; its signature is verified later."""
    lines = note.split("\n")
    if len(lines) < 3 or not lines[1].isascii() or not lines[1].isdigit():
        raise NotFound("this node has no checkpoint of the hub yet; try again")
    return int(lines[1])
