"""What host and base process tell each other: msgpack behind its length, 4 bytes, big-endian."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta, Struct

LENGTH = 4

Step: TypeAlias = Literal["download_function", "prepare_inputs", "task_execution", "save_outputs"]
"""A step of a task, by the name that Substra's profiling gives it."""

STEPS: tuple[Step, ...] = get_args(Step)


class Start(Struct, frozen=True, tag="start"):
    """Fork a child for this task."""

    task_key: str
    plan_key: str
    rank: int
    bundle: str
    inputs: dict[str, str | list[str]]
    opener: str | None
    samples: list[str]
    outputs: dict[str, str]
    scratch: str
    log: str


class Kill(Struct, frozen=True, tag="kill"):
    """Kill that task's child and all that came of it."""

    task_key: str


class Ready(Struct, frozen=True, tag="ready"):
    """The warm list is imported; or why it cannot be."""

    error: str = ""


class NotStarted(Struct, frozen=True, tag="not started"):
    """No child could be forked for this task; that is not the task's fault."""

    task_key: str
    reason: str


class Report(Struct, frozen=True):
    """What the child says about itself. It runs foreign code: nothing here is to be relied on."""

    durations: dict[Step, Annotated[int, Meta(ge=0, lt=2**53)]]
    """Microseconds."""
    failed_in: Step | None = None
    exception: Annotated[str, Meta(max_length=100, pattern=r"^\w*\Z")] = ""


class Ended(Struct, frozen=True, tag="ended"):
    """That task's child has ended, and nothing that came of it is left."""

    task_key: str
    status: int
    """The exit status, or the number of the signal that ended it, negated."""
    report: Report | None
    """None when it ended without one."""


ToBase: TypeAlias = Start | Kill
ToHost: TypeAlias = Ready | NotStarted | Ended

to_base = msgspec.msgpack.Decoder(ToBase)
to_host = msgspec.msgpack.Decoder(ToHost)
report = msgspec.msgpack.Decoder(Report)
encode = msgspec.msgpack.Encoder().encode


def frame(message: ToBase | ToHost) -> bytes:
    """The message behind its length."""
    body = encode(message)
    return len(body).to_bytes(LENGTH, "big") + body


def frames(buffer: bytearray) -> Iterator[bytes]:
    """Take every whole frame's message out of a buffer.

    >>> buffer = bytearray(frame(Kill("k")) + frame(Kill("l"))[:-1])
    >>> [to_base.decode(body).task_key for body in frames(buffer)], len(buffer) > 0
    (['k'], True)
    """
    while len(buffer) >= LENGTH and len(buffer) >= (end := LENGTH + int.from_bytes(buffer[:LENGTH], "big")):
        yield bytes(buffer[LENGTH:end])
        del buffer[:end]
