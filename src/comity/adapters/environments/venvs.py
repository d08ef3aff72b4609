"""Virtual environments by the digest of what is in them, built once each and deleted when room is short."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import final

import msgspec
import structlog
from packaging.requirements import Requirement

from comity.adapters import durable
from comity.adapters.environments import own, runner
from comity.adapters.environments.builds import Builds
from comity.adapters.environments.closure import needed
from comity.adapters.environments.installer import install
from comity.adapters.execution.log import Tail, add_line
from comity.ports.environments import Environment
from comity.values.digest import Digest
from comity.values.errors import BuildFailed, InvalidInput
from comity.values.requirements import Locked

READY = "ready.json"
"""Written last: a folder without it is what a crash left behind."""

LOGS = 200
"""How many logs of builds are kept, the newest."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an environment that is there."""

    digest: Digest
    requirements: tuple[str, ...]
    bytes: int
    folder: str


@final
class Venvs:
    """A folder of virtual environments; one process at a time may have it."""

    def __init__(self, folder: Path, builds: Builds) -> None:
        self._folder = folder.resolve()
        self._builds = builds
        self._made: dict[Digest, Made] = {}  # the one used last comes last
        self._users = Counter[Digest]()
        self._locks: dict[Digest, asyncio.Lock] = {}
        self._slots = asyncio.Semaphore(builds.at_once)
        self._own: dict[tuple[Locked, ...], Environment | None] = {}
        self._linked: tuple[Path, ...] = ()
        self._linking = asyncio.Lock()
        self._log = structlog.get_logger()

    async def start(self) -> None:
        """Learn what is there and delete what a crash left half done; before anything else."""
        await asyncio.to_thread(self._look)

    @asynccontextmanager
    async def using(self, requirements: Sequence[Locked]) -> AsyncGenerator[Environment]:
        """As the port says."""
        if (found := self._offered(tuple(requirements))) is not None:
            yield found
            return
        own.check_comity(requirements)
        applying = own.applying(requirements)
        name = own.digest_of(applying)
        self._users[name] += 1
        try:
            async with self._linking:
                self._linked = self._linked or await asyncio.to_thread(runner.link, self._folder / "runner")
            async with self._locks.setdefault(name, asyncio.Lock()):
                made = self._made.pop(name, None)
                if made is None or not _touched(self._folder / made.folder):
                    made = await self._build(name, applying)
                self._made[name] = made
            yield self._environment(made, applying)
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name]
                self._locks.pop(name, None)
            await self._make_room()

    async def has(self, requirements: Sequence[Locked]) -> bool:
        """As the port says."""
        if self._offered(tuple(requirements)) is not None:
            return True
        return own.digest_of(own.applying(requirements)) in self._made

    async def log(self, requirements: Sequence[Locked]) -> str:
        """As the port says."""
        path = self._log_of(own.digest_of(own.applying(requirements)))
        return await asyncio.to_thread(lambda: path.read_text(errors="replace") if path.is_file() else "")

    def _offered(self, requirements: tuple[Locked, ...]) -> Environment | None:
        """The node's own environment, where it is offered and will do."""
        if requirements not in self._own:
            applying = own.applying(requirements)
            fits = not own.lacks(requirements) and (self._builds.own or not requirements)
            self._own[requirements] = own.environment(applying) if fits else None
        return self._own[requirements]

    def _environment(self, made: Made, requirements: Sequence[Locked]) -> Environment:
        place = self._folder / made.folder / "venv"
        mounts = own.outermost({place, self._folder / "runner", Path(sys.base_prefix), *self._linked})
        return Environment(
            digest=made.digest, python=place / "bin" / "python", mounts=mounts, warm=own.warm(requirements)
        )

    async def _build(self, name: Digest, requirements: tuple[Locked, ...]) -> Made:
        async with self._slots:
            place = self._folder / f"{_hexadecimal(name)[:16]}-{token_hex(4)}"
            place.mkdir()
            path = self._log_of(name)
            log = Tail(path)
            began = time.monotonic()
            said = ""
            try:
                made = await self._filled(name, requirements, place, log)
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

    async def _filled(self, name: Digest, requirements: tuple[Locked, ...], place: Path, log: Tail) -> Made:
        if self._builds.own:
            log.write(f"{own.lacks(requirements)}; so this is built:\n".encode())
        log.write("".join(f"{each}\n" for each in requirements).encode())
        packages, runs = _packages(place), self._folder / "runner"
        roots = [Requirement(str(Locked(each.name, each.version, each.extras))) for each in requirements]
        try:
            async with asyncio.timeout(self._builds.seconds):
                await install(requirements, place, self._builds, log)
                await asyncio.to_thread(needed, roots, [str(packages), str(runs)])
                (packages / "comity-of-the-node.pth").write_text(f"{runs}\n")
                used = await asyncio.to_thread(_settled, place)
        except InvalidInput as error:
            raise BuildFailed(f"the locked requirements are not complete: {error}; lock that as well") from error
        except TimeoutError as error:
            raise BuildFailed(f"the build took longer than {self._builds.seconds:g} seconds") from error
        except OSError as error:
            raise BuildFailed(f"the environment could not be built: {error.strerror}: {error.filename}") from error
        lines = tuple(str(each) for each in requirements)
        made = Made(digest=name, requirements=lines, bytes=used, folder=place.name)
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
            if place.name in ("runner", "logs"):
                continue
            if (made := _read(place)) is None:
                shutil.rmtree(place, ignore_errors=True)
            else:
                self._made[made.digest] = made

    def _log_of(self, name: Digest) -> Path:
        return self._folder / "logs" / f"{_hexadecimal(name)}.txt"


def _packages(place: Path) -> Path:
    return place / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


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
