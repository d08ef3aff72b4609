"""What host, base process and zygotes tell each other: msgpack; to and from a zygote behind its length, 4 bytes,
big-endian; to and from the base process in packets of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta, Struct

LENGTH = 4
PACKET = 2**16
"""The most bytes that a packet to or from a base process has."""

Step: TypeAlias = Literal["download_function", "prepare_inputs", "task_execution", "save_outputs"]
"""A step of a task, by the name that Substra's profiling gives it."""

STEPS: tuple[Step, ...] = get_args(Step)


class Begin(Struct, frozen=True):
    """With what a base process begins: the one argument on its command line."""

    control: int
    """The descriptor of its socket."""
    warm: tuple[str, ...]
    spare: str
    """A folder for what has no other place."""
    file_bytes: int
    open_files: int
    processes: int
    """0 where processes of others would be counted too."""
    sealed: bool
    """Whether tasks are held in, and what serves them is to be kept from them."""


class Ready(Struct, frozen=True):
    """The warm list is imported; or why it cannot be."""

    error: str = ""


class Fork(Struct, frozen=True):
    """Fork a zygote for this bundle; the socket to speak with it comes along."""

    bundle: str
    imported: bool
    """Whether the zygote is to import it; else each child does."""


class Start(Struct, frozen=True, tag="start"):
    """Fork a child for this task."""

    task_key: str
    plan_key: str
    rank: int
    inputs: dict[str, str | list[str]]
    opener: str | None
    samples: list[str]
    outputs: dict[str, str]
    scratch: str
    log: str
    cpu_seconds: int


class Kill(Struct, frozen=True, tag="kill"):
    """Kill that task's child and all that came of it."""

    task_key: str


class Imported(Struct, frozen=True, tag="imported"):
    """The zygote takes tasks."""

    threads: bool = False
    """It does not, and ends: importing the bundle has started threads, after which no process may fork."""


class NotStarted(Struct, frozen=True, tag="not started"):
    """No child could be forked for this task; that is not the task's fault."""

    task_key: str
    reason: Annotated[str, Meta(max_length=1000)]


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


ToZygote: TypeAlias = Start | Kill
FromZygote: TypeAlias = Imported | NotStarted | Ended

begin = msgspec.json.Decoder(Begin)
ready = msgspec.msgpack.Decoder(Ready)
fork = msgspec.msgpack.Decoder(Fork)
to_zygote = msgspec.msgpack.Decoder(ToZygote)
from_zygote = msgspec.msgpack.Decoder(FromZygote)
report = msgspec.msgpack.Decoder(Report)
encode = msgspec.msgpack.Encoder().encode


def frame(message: ToZygote | FromZygote) -> bytes:
    """The message behind its length."""
    body = encode(message)
    return len(body).to_bytes(LENGTH, "big") + body


def frames(buffer: bytearray) -> Iterator[bytes]:
    """Take every whole frame's message out of a buffer.

    >>> buffer = bytearray(frame(Kill("k")) + frame(Kill("l"))[:-1])
    >>> [to_zygote.decode(body).task_key for body in frames(buffer)], len(buffer) > 0
    (['k'], True)
    """
    while len(buffer) >= LENGTH and len(buffer) >= (end := LENGTH + int.from_bytes(buffer[:LENGTH], "big")):
        yield bytes(buffer[LENGTH:end])
        del buffer[:end]
