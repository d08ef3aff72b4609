"""What whoever operates a hub has it do: by the process that runs, or else under its lock, so that one alone signs."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias, final

import msgspec

from comity.adapters import folder
from comity.domain.joining import write_token
from comity.hub.ordering import Ordering
from comity.hub.place import Place
from comity.values import errors
from comity.values.errors import ComityError, Conflict, DecodeError, Unavailable

SOCKET = "desk"
"""In the hub's folder, for its owner alone."""

LONGEST = 1 << 16
"""Bytes of an order, and of an answer."""

PATIENCE = 10.0
"""Seconds for which a hub that holds its folder, and does not answer yet, is asked again."""


@final
class Invite(msgspec.Struct, frozen=True, tag="invite"):
    """Let an organization join once, for so many days; the answer is its token."""

    organization: str
    url: str
    days: int


@final
class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """Take an organization out of the channel."""

    organization: str
    reason: str = ""


@final
class Close(msgspec.Struct, frozen=True, tag="close"):
    """End the channel for good."""

    reason: str = ""


@final
class Raise(msgspec.Struct, frozen=True, tag="raise"):
    """Go on by the newest rules that every member knows; the answer is their version."""


Order: TypeAlias = Invite | Remove | Close | Raise


@final
class Answer(msgspec.Struct, frozen=True):
    """What came of it, or why nothing did."""

    value: str = ""
    error: str = ""
    detail: str = ""


_ORDER = msgspec.json.Decoder(Order)
_ANSWER = msgspec.json.Decoder(Answer)


def have_done(here: Path, order: Order, opened: Callable[[], Place]) -> str:
    """What came of an order at the hub in this folder: a token, a version; raises what the rules raise.

    `opened` gives the hub when no process runs it: nobody else opens the database of one that runs.
    """
    until = time.monotonic() + PATIENCE
    while True:
        with suppress(FileNotFoundError, ConnectionError):
            return _asked(here, order)
        try:
            held = folder.lock(folder.private(here))
        except Conflict:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)  # it has just begun, or is about to end
            continue
        with held:
            place = opened()
            try:
                return carry_out(place, order)
            finally:
                place.database.close()


def listen(here: Path) -> socket.socket:
    """Where orders are taken; the folder must be held by this process."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    (here / SOCKET).unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        with _near(here) as path:
            made.bind(path)
    finally:
        os.umask(before)
    made.listen()
    return made


async def serve(place: Place, ordering: Ordering, listening: socket.socket) -> None:
    """Take orders until cancelled."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            order = _ORDER.decode(await reader.readline())
            try:
                answer = Answer(await asyncio.to_thread(carry_out, place, order))
            finally:
                ordering.wake(place.channel()[0])
        except (msgspec.MsgspecError, UnicodeError, ValueError) as error:
            answer = _refusal(error if isinstance(error, ComityError) else DecodeError(f"no order: {error}"))
        except ComityError as error:
            answer = _refusal(error)
        with suppress(OSError):
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(take, sock=listening, limit=LONGEST) as server:
        await server.serve_forever()


def carry_out(place: Place, order: Order) -> str:
    """What came of it; raises what the rules raise."""
    match order:
        case Invite():
            return write_token(place.invite(order.organization, url=order.url, days=order.days))
        case Remove():
            place.remove(order.organization, reason=order.reason)
        case Close():
            place.close(reason=order.reason)
        case Raise():
            return str(place.raise_rules())
    return ""


def _asked(here: Path, order: Order) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.settimeout(60)
        with _near(here) as path:
            asked.connect(path)
        asked.sendall(msgspec.json.encode(order) + b"\n")
        with asked.makefile("rb") as answers:
            line = answers.readline(LONGEST)
    if not line:
        raise Unavailable("the hub ended before it answered; give the command again, which at worst is refused")
    answer = _ANSWER.decode(line)
    if answer.error:
        raise vars(errors).get(answer.error, DecodeError)(answer.detail)
    return answer.value


def _refusal(error: ComityError) -> Answer:
    return Answer(error=type(error).__name__, detail=str(error))


@contextmanager
def _near(here: Path) -> Generator[str]:
    """A path to the socket that is short: an address has room for about a hundred characters."""
    opened = os.open(here, os.O_RDONLY | os.O_DIRECTORY)
    try:
        near = Path(f"/proc/self/fd/{opened}")
        yield str((near if near.exists() else here) / SOCKET)
    finally:
        os.close(opened)
