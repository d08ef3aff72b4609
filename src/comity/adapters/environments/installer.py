"""Running uv, or else pip, to fill a virtual environment, with all that it writes kept in a log."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence, Set
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from signal import SIGKILL
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from comity.adapters.environments.builds import Builds
from comity.adapters.environments.interpreters import OWN, Interpreter
from comity.adapters.environments.uv import uv
from comity.adapters.execution.log import Tail
from comity.values.errors import BuildFailed
from comity.values.requirements import Locked
from comity.values.wanted import Wanted

PASSED_ON = (
    *("PATH", "LANG", "LD_LIBRARY_PATH"),
    *("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT"),
)
"""What an installer may see of the node's environment: the way to the index, never settings of its own."""

PIECE = 2**16


async def install(requirements: Sequence[Locked], place: Path, builds: Builds, log: Tail) -> None:
    """Make a virtual environment at `place`/venv with these and nothing else in it.

    Raises BuildFailed when that fails. When the caller is cancelled, the installer and its children are killed.
    """
    # Their markers hold; they are said without, so that the installer cannot see it otherwise.
    lines = [str(Locked(each.name, each.version, each.extras, "", each.hashes)) for each in requirements]
    async with _begun(OWN, place, builds, log) as run:
        if lines:
            await run(["--no-deps", *_listed(place, lines)], builds.index, ())


async def install_wanted(wanted: Wanted, interpreter: Interpreter, place: Path, builds: Builds, log: Tail) -> None:
    """Make a virtual environment at `place`/venv with what is wanted, and what that needs in turn.

    Raises and ends as `install` does.
    """
    async with _begun(interpreter, place, builds, log) as run:
        for number, each in enumerate(wanted.installs):
            if not builds.index and (each.index or each.more):
                raise BuildFailed("the function names an index, and this node is told to use none")
            wheels = place / "wheels" / str(number)
            wheels.mkdir(parents=True)
            for wheel in each.wheels:
                shutil.copyfile(wheel.path, wheels / wheel.name)
            lines = [*each.requirements, *(str(wheels / wheel.name) for wheel in each.wheels)]
            arguments = _listed(place, lines)
            if each.constraints:
                (place / "constraints.txt").write_text("".join(f"{line}\n" for line in each.constraints))
                arguments += ["-c", "constraints.txt"]
            await run(arguments, each.index or builds.index, each.more)


async def install_beside(name: str, interpreter: Interpreter, place: Path, builds: Builds, log: Tail) -> None:
    """Put one distribution, locked, into the folder `place`/packages, for another interpreter than the node's."""
    async with _begun(interpreter, place, builds, log) as run:
        await run(["--no-deps", "--target", "packages", name], builds.index, ())


Run: TypeAlias = Callable[[Sequence[str], str, Sequence[str]], Awaitable[None]]
"""Runs the installer with arguments, an index and more indexes; raises BuildFailed when it fails."""


@asynccontextmanager
async def _begun(interpreter: Interpreter, place: Path, builds: Builds, log: Tail) -> AsyncGenerator[Run]:
    """A virtual environment with nothing in it, to install into; at the end all in it is compiled."""
    scratch = place / "tmp"
    scratch.mkdir(parents=True)

    async def command(words: Sequence[str], index: str, more: Sequence[str]) -> int:
        return await _run(words, _environment(builds, scratch, index, more), place, log)

    async def run(arguments: Sequence[str], index: str, more: Sequence[str]) -> None:
        if await command([*_command(builds, more), *arguments], index, more) != 0:
            raise BuildFailed("what the function requires could not be installed; the installer's log tells why")

    python = [str(interpreter.path), "-I", "-m"]
    if await command([*python, "venv", "--without-pip", "--symlinks", "venv"], "", ()) != 0:
        raise BuildFailed(f"{interpreter.path} could not make a virtual environment; its log tells why")
    yield run
    # By the interpreter that it is made of, since the new one would run what the distributions want to be run at its
    # start. What does not compile is not imported either.
    await command([*python, "compileall", "-qq", "venv/lib"], "", ())
    await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _listed(place: Path, lines: Sequence[str]) -> list[str]:
    (place / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    return ["-r", "requirements.txt"]


async def _run(command: Sequence[str], environment: Mapping[str, str], place: Path, log: Tail) -> int:
    """The exit status."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=environment, cwd=place, start_new_session=True
    )
    try:
        await _keep(process, _secrets(each for value in environment.values() for each in value.split()), log)
        return await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, SIGKILL)
            await process.wait()


def _command(builds: Builds, more: Sequence[str]) -> list[str]:
    """What to run; raises BuildFailed where there is neither uv nor pip."""
    program = uv()
    if program is not None:
        command = [program, "pip", "install", "--python", "venv/bin/python", "--no-config", "--no-cache"]
        command += ["--no-progress", *(["--index-strategy", "unsafe-best-match"] if more else [])]  # as pip does
    elif find_spec("pip") is not None:
        command = [sys.executable, "-I", "-m", "pip", "--python", "venv/bin/python", "install", "--no-cache-dir"]
        command += ["--no-compile", "--no-input", "--progress-bar=off", "--disable-pip-version-check"]
        command += ["--root-user-action=ignore"]
    else:
        raise BuildFailed("this node has neither uv nor pip to install with; install uv beside comity")
    command += ["--only-binary", ":all:"] if builds.only_wheels else []
    command += [] if builds.index else ["--no-index"]
    command += ["--find-links", str(builds.wheels)] if builds.wheels else []
    return command


def _environment(builds: Builds, scratch: Path, index: str, more: Sequence[str]) -> dict[str, str]:
    """The indexes go here, since everybody on the machine may read a command line."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {"HOME": str(scratch), "TMPDIR": str(scratch), "PIP_CONFIG_FILE": os.devnull}
    indexes = {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index} if index else {}
    beside = {"PIP_EXTRA_INDEX_URL": " ".join(more), "UV_INDEX": " ".join(more)} if more else {}
    return {**passed, **own, **indexes, **beside}


async def _keep(process: Process, secrets: Set[bytes], log: Tail) -> None:
    """Copy what the process writes to the log, but for secrets, however it is cut into pieces."""
    assert process.stdout is not None
    hold = max(map(len, secrets), default=1) - 1
    # The longest first: one may be part of another.
    pattern = re.compile(b"|".join(map(re.escape, sorted(secrets, key=len, reverse=True))) or b"(?!)")
    held = b""
    while piece := await process.stdout.read(PIECE):
        held = pattern.sub(b"****", held + piece)
        whole = max(0, len(held) - hold)
        log.write(held[:whole])
        held = held[whole:]
    log.write(held)


def _secrets(addresses: Iterable[str]) -> Set[bytes]:
    """Users and passwords in addresses, as written and as meant."""
    found: set[str] = set()
    for address in addresses:
        with suppress(ValueError):
            user, _, password = urlsplit(address).netloc.rpartition("@")[0].partition(":")
            found |= {user, password, unquote(user), unquote(password)}
    return {each.encode() for each in found if each}
