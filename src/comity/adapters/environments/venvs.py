"""Virtual environments by the digest of what is in them, built once each and deleted when room is short."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from secrets import token_hex
from typing import final

import msgspec
import structlog

from comity.adapters import durable
from comity.adapters.disk import is_full, room
from comity.adapters.environments import interpreters, own, runner, scripts
from comity.adapters.environments.builds import Builds
from comity.adapters.environments.installer import install_beside
from comity.adapters.environments.interpreters import OWN, Interpreter
from comity.adapters.environments.orders import Lock, Order, Wish
from comity.adapters.execution.log import Tail, add_line
from comity.ports.environments import Environment, Requirements
from comity.values.digest import Digest
from comity.values.errors import BuildFailed, InvalidInput
from comity.values.wanted import Minor, Wanted

READY = "ready.json"
"""Written last: a folder without it is what a crash left behind."""

RUNNER = "runner"
"""Begins the names of folders with what every environment gets from the node."""

LOGS = 200
"""How many logs of builds are kept, the newest."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an environment that is there."""

    digest: Digest
    order: Digest
    """What was asked for when it was built, without versions."""
    requirements: tuple[str, ...]
    bytes: int
    folder: str
    warm: tuple[str, ...]
    locked: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Ordered:
    """What is asked for, and the node's own environment where that serves."""

    order: Order
    own: Environment | None
    lacks: str
    """Why it does not serve."""


@final
class Venvs:
    """A folder of virtual environments; one process at a time may have it."""

    def __init__(self, folder: Path, builds: Builds) -> None:
        self._folder = folder.resolve()
        self._builds = builds
        self._made: dict[Digest, Made] = {}  # the one used last comes last
        self._found: dict[Digest, Digest] = {}
        """What orders have come to that name no versions, by their own digests."""
        self._users = Counter[Digest]()
        self._locks: dict[Digest, asyncio.Lock] = {}
        self._slots = asyncio.Semaphore(builds.at_once)
        self._orders: dict[Requirements, Ordered] = {}
        self._runners: dict[Minor, tuple[Path, ...]] = {}
        self._linking = asyncio.Lock()
        self._log = structlog.get_logger()

    async def start(self) -> None:
        """Learn what is there and delete what a crash left half done; before anything else."""
        await asyncio.to_thread(self._look)

    @asynccontextmanager
    async def using(self, requirements: Requirements) -> AsyncGenerator[Environment]:
        """As the port says."""
        ordered = await self._ordered(requirements)
        if ordered.own is not None:
            yield ordered.own
            return
        reads = await self._runner(ordered.order.interpreter)
        made = await self._taken(ordered)
        try:
            yield self._environment(made, ordered.order.interpreter, reads)
        finally:
            self._users[made.digest] -= 1
            if not self._users[made.digest]:
                del self._users[made.digest]
            await self._make_room()

    async def has(self, requirements: Requirements) -> bool:
        """As the port says."""
        ordered = await self._ordered(requirements)
        return ordered.own is not None or self._settled(ordered.order) in self._made

    async def log(self, requirements: Requirements) -> str:
        """As the port says."""
        path = self._log_of((await self._ordered(requirements)).order.digest)
        return await asyncio.to_thread(lambda: path.read_text(errors="replace") if path.is_file() else "")

    async def _taken(self, ordered: Ordered) -> Made:
        """The environment, with one more user, built when it is not there."""
        async with self._locks.setdefault(ordered.order.digest, asyncio.Lock()):
            made = self._made.pop(self._settled(ordered.order), None)
            if made is None or not _touched(self._folder / made.folder):
                made = await self._build(ordered)
                self._found[ordered.order.digest] = made.digest
            other = self._made.pop(made.digest, None)  # another order may have come to the same
            self._made[made.digest] = kept = other or made
            self._users[made.digest] += 1
            if other is not None:
                await asyncio.to_thread(_delete, self._folder / made.folder)
            return kept

    def _settled(self, order: Order) -> Digest:
        """The digest of what an order has come to, if it has."""
        return self._found.get(order.digest, order.digest)

    async def _ordered(self, requirements: Requirements) -> Ordered:
        if requirements not in self._orders:
            self._orders[requirements] = await asyncio.to_thread(self._considered, requirements)
        return self._orders[requirements]

    def _considered(self, requirements: Requirements) -> Ordered:
        if isinstance(requirements, Wanted):
            order: Order = Wish(requirements, interpreters.found(requirements.python))
        else:
            order = Lock(requirements)
        return Ordered(order, *order.own(self._builds))

    async def _runner(self, interpreter: Interpreter) -> tuple[Path, ...]:
        """What a process for tasks needs of comity in an environment of that interpreter, and where it leads."""
        async with self._linking:
            if interpreter.minor not in self._runners:
                folder = self._folder / _runner(interpreter)
                if interpreter == OWN:
                    made = await asyncio.to_thread(runner.link, folder)
                else:
                    made = await self._beside(interpreter, folder)
                self._runners[interpreter.minor] = made
        return self._runners[interpreter.minor]

    async def _beside(self, interpreter: Interpreter, folder: Path) -> tuple[Path, ...]:
        place = self._folder / f"{interpreter.name}-{token_hex(4)}"
        log = Tail(self._folder / "logs" / f"{interpreter.name}.txt")
        try:
            line = f"{runner.PROTOCOL}=={metadata.version(runner.PROTOCOL)}"
            await install_beside(line, interpreter, place, self._builds, log)
            made = await asyncio.to_thread(runner.linked_beside, place / "packages")
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            (place / "packages").rename(folder)
        except BuildFailed as error:
            said = (self._folder / "logs" / f"{interpreter.name}.txt").read_text(errors="replace")[-2000:]
            raise BuildFailed(f"this node cannot have {interpreter.name} run its tasks: {error}\n{said}") from error
        finally:
            log.close()
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        return made

    def _environment(self, made: Made, interpreter: Interpreter, reads: tuple[Path, ...]) -> Environment:
        place = self._folder / made.folder / "venv"
        mounts = own.outermost({place, self._folder / _runner(interpreter), interpreter.prefix, *reads})
        python = place / "bin" / "python"
        return Environment(digest=made.digest, python=python, mounts=mounts, warm=made.warm, locked=made.locked)

    async def _build(self, ordered: Ordered) -> Made:
        name = ordered.order.digest
        async with self._slots:
            await asyncio.to_thread(room, self._folder)  # else it would be fetched in vain, again and again
            place = self._folder / f"{_hexadecimal(name)[:16]}-{token_hex(4)}"
            place.mkdir()
            path = self._log_of(name)
            log = Tail(path)
            began = time.monotonic()
            said = ""
            try:
                made = await self._filled(ordered, place, log)
                said = f"built in {time.monotonic() - began:.1f} seconds, {made.bytes / 2**20:.0f} MiB"
            except BaseException as error:
                said = str(error) or "the build was cancelled"
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, place, ignore_errors=True))
                raise
            finally:
                log.close()
                add_line(path, said)
        self._log.info("environment built", digest=name, bytes=made.bytes)
        return made

    async def _filled(self, ordered: Ordered, place: Path, log: Tail) -> Made:
        order = ordered.order
        if self._builds.own:
            log.write(f"{ordered.lacks}; so this is built:\n".encode())
        log.write("".join(f"{each}\n" for each in order.lines).encode())
        packages, runs = order.interpreter.packages(place), self._folder / _runner(order.interpreter)
        try:
            async with asyncio.timeout(self._builds.seconds):
                await order.fill(place, self._builds, log)
                filled = await asyncio.to_thread(order.filled, packages, runs)
                await asyncio.to_thread(scripts.write, packages, place / "venv" / "bin")
                (packages / "comity-of-the-node.pth").write_text(f"{runs}\n")
                used = await asyncio.to_thread(_settled, place)
        except InvalidInput as error:
            raise BuildFailed(str(error)) from error
        except TimeoutError as error:
            raise BuildFailed(f"the build took longer than {self._builds.seconds:g} seconds") from error
        except OSError as error:
            if is_full(error):
                raise
            raise BuildFailed(f"the environment could not be built: {error.strerror}: {error.filename}") from error
        made = Made(
            digest=order.settled(filled.locked),
            order=order.digest,
            requirements=order.lines,
            bytes=used,
            folder=place.name,
            warm=filled.warm,
            locked=filled.locked,
        )
        # Not in a thread, which a cancelled build would leave behind to write this into nothing.
        durable.write(place / READY, msgspec.json.encode(made), sync=True)
        return made

    async def _make_room(self) -> None:
        """Delete what was used longest ago and is not in use, until the rest fits."""
        taken = sum(made.bytes for made in self._made.values())
        for name in [name for name in self._made if name not in self._users]:
            if taken <= self._builds.bytes:
                return
            made = self._made.pop(name)
            taken -= made.bytes
            self._log.info("environment deleted", digest=name, bytes=made.bytes)
            await asyncio.to_thread(_delete, self._folder / made.folder)

    def _look(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "logs").mkdir(exist_ok=True)
        for old in sorted((self._folder / "logs").iterdir(), key=_age)[:-LOGS]:
            old.unlink()
        for place in sorted(self._folder.iterdir(), key=_age):
            if place.name == "logs" or place.name.startswith(RUNNER):
                continue
            if (made := _read(place)) is None:
                shutil.rmtree(place, ignore_errors=True)
            else:
                if (older := self._made.pop(made.digest, None)) is not None:
                    _delete(self._folder / older.folder)
                self._made[made.digest] = made
                self._found[made.order] = made.digest

    def _log_of(self, name: Digest) -> Path:
        return self._folder / "logs" / f"{_hexadecimal(name)}.txt"


def _runner(interpreter: Interpreter) -> str:
    return RUNNER if interpreter == OWN else f"{RUNNER}-{interpreter.name}"


def _settled(place: Path) -> int:
    """How many bytes of disk it takes up; on return they survive a crash of the machine."""
    os.sync()
    return sum(each.lstat().st_blocks * 512 for each in place.rglob("*"))


def _read(place: Path) -> Made | None:
    """What is there, None when it was not finished or its interpreter is gone."""
    try:
        made = msgspec.json.decode((place / READY).read_bytes(), type=Made)
    except (OSError, msgspec.DecodeError):
        return None
    return made if made.folder == place.name and (place / "venv" / "bin" / "python").exists() else None


def _age(path: Path) -> float:
    marker = path / READY
    return marker.stat().st_mtime if marker.exists() else path.stat().st_mtime


def _touched(place: Path) -> bool:
    """Mark it as used now; whether it still is there, since somebody may have deleted it."""
    try:
        os.utime(place / READY)
    except FileNotFoundError:
        return False
    return True


def _delete(place: Path) -> None:
    (place / READY).unlink(missing_ok=True)  # first: half of it is none
    shutil.rmtree(place, ignore_errors=True)


def _hexadecimal(name: Digest) -> str:
    return name.removeprefix("sha256:")
