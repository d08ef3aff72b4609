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
from errno import EDQUOT, ENOSPC
from importlib import metadata
from pathlib import Path
from signal import SIGKILL
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from comity.adapters.environments.builds import Builds
from comity.adapters.environments.interpreters import OWN, Interpreter
from comity.adapters.environments.uv import uv
from comity.adapters.execution.folders import usage
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

FILES = 2_000_000
"""The most of an environment."""

GLANCE = 1.0
"""Seconds between two looks at how large an environment has become."""

_SAID = [word for each in (ENOSPC, EDQUOT) for word in (rf"\[Errno {each}\]", rf"os error {each}\)", os.strerror(each))]
FULL = re.compile("|".join(_SAID).encode())
"""What pip (Python), uv (Rust) and a shell write when the disk has no room; by then they may have cleared up."""

COMPILE = 'ulimit -v 2097152; ulimit -t 600; exec "$0" -I -m compileall -qq venv/lib'
"""With 2 GiB of memory and ten minutes at most: the sources are foreign."""


async def install(requirements: Sequence[Locked], place: Path, builds: Builds, log: Tail) -> None:
    """Make a virtual environment at `place`/venv with these and nothing else in it.

    Raises BuildFailed when that fails, OSError where the disk is full. When the caller is cancelled, the installer and
    its children are killed.
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
        for each in wanted.installs:
            for address in filter(None, (each.index, *each.more)):
                if not _may_ask(address, builds):
                    raise BuildFailed(
                        f"the function names the index {address}, and this node asks none but its own and those that "
                        "`indexes` names in the table [builds] of its settings"
                    )
            # `as_uri` spells out whatever a line of requirements could take for something else.
            arguments = _listed(place, [*each.requirements, *(wheel.path.as_uri() for wheel in each.wheels)])
            if each.constraints:
                (place / "constraints.txt").write_text("".join(f"{line}\n" for line in each.constraints))
                arguments += ["-c", "constraints.txt"]
            await run(arguments, each.index or builds.index, each.more)


async def install_beside(name: str, interpreter: Interpreter, place: Path, builds: Builds, log: Tail) -> None:
    """Put one distribution, locked, into the folder `place`/packages, made for another interpreter than the node's."""
    async with _begun(interpreter, place, builds, log) as run:
        await run(["--no-deps", name], builds.index, ())
    interpreter.packages(place).rename(place / "packages")


Run: TypeAlias = Callable[[Sequence[str], str, Sequence[str]], Awaitable[None]]
"""Runs the installer with arguments, an index and more indexes; raises BuildFailed when it fails."""


@asynccontextmanager
async def _begun(interpreter: Interpreter, place: Path, builds: Builds, log: Tail) -> AsyncGenerator[Run]:
    """A virtual environment with nothing in it, to install into; at the end all in it is compiled.

    Its own Python is never run here: it would run at its start what distributions put into `.pth` files. So that which
    it was made of is asked to install into its folder.
    """
    scratch, packages = place / "tmp", interpreter.packages(place)
    scratch.mkdir(parents=True)

    async def command(words: Sequence[str], index: str, more: Sequence[str]) -> int:
        return await _run(words, _environment(builds, scratch, index, more), place, log)

    async def run(arguments: Sequence[str], index: str, more: Sequence[str]) -> None:
        words = [*_command(interpreter, builds, more), "--target", str(packages), *arguments]
        watching = asyncio.ensure_future(_outgrown(place, builds.bytes))
        working = asyncio.ensure_future(command(words, index, more))
        try:
            await asyncio.wait([watching, working], return_when=asyncio.FIRST_COMPLETED)
            if not working.done() or await asyncio.to_thread(_has_outgrown, place, builds.bytes):
                raise BuildFailed(f"what the function requires has more than {builds.bytes} bytes")
            if working.result() != 0:
                raise BuildFailed("what the function requires could not be installed; the installer's words tell why")
        finally:
            watching.cancel()
            working.cancel()
            await asyncio.wait([watching, working])

    python = [str(interpreter.path), "-I", "-m"]
    if await command([*python, "venv", "--without-pip", "--symlinks", "venv"], "", ()) != 0:
        raise BuildFailed(f"{interpreter.path} could not make a virtual environment; its log tells why")
    yield run
    # What does not compile, or takes too much, is not compiled.
    await command(["/bin/sh", "-c", COMPILE, str(interpreter.path)], "", ())
    await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _may_ask(address: str, builds: Builds) -> bool:
    """Whether an index that a function names may be asked."""
    asked = urlsplit(address)
    for each in map(urlsplit, (builds.index, *builds.indexes) if builds.index else ()):
        if (asked.scheme, asked.netloc) == (each.scheme, each.netloc) and asked.path.startswith(each.path):
            return True
    return False


async def _outgrown(folder: Path, most: int) -> None:
    """Return once there is more below a folder than it may hold."""
    while not await asyncio.to_thread(_has_outgrown, folder, most):
        await asyncio.sleep(GLANCE)


def _has_outgrown(folder: Path, most: int) -> bool:
    return usage(folder, most=FILES).size > most


def _listed(place: Path, lines: Sequence[str]) -> list[str]:
    (place / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    return ["-r", "requirements.txt"]


async def _run(command: Sequence[str], environment: Mapping[str, str], place: Path, log: Tail) -> int:
    """The exit status; raises OSError when it failed for want of room on the disk."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=environment, cwd=place, start_new_session=True
    )
    try:
        secrets = _secrets(each for value in environment.values() for each in value.split())
        full = await _keep(process, secrets, log)
        if (status := await process.wait()) != 0 and full:
            raise OSError(ENOSPC, os.strerror(ENOSPC), str(place))
        return status
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, SIGKILL)
            await process.wait()


def _command(interpreter: Interpreter, builds: Builds, more: Sequence[str]) -> list[str]:
    """What to run; raises BuildFailed where there is neither uv nor pip."""
    program = uv()
    if program is not None:
        command = [program, "pip", "install", "--python", str(interpreter.path), "--no-config", "--no-cache"]
        command += ["--no-progress", *(["--index-strategy", "unsafe-best-match"] if more else [])]  # as pip does
    elif _has_pip():
        command = [sys.executable, "-I", "-m", "pip", "--python", str(interpreter.path), "install", "--no-cache-dir"]
        command += ["--upgrade", "--no-compile", "--no-input", "--progress-bar=off", "--disable-pip-version-check"]
        command += ["--root-user-action=ignore"]
    else:
        raise BuildFailed("this node has neither uv nor pip to install with; install uv beside comity")
    command += ["--only-binary", ":all:"] if builds.only_wheels else []
    command += [] if builds.index else ["--no-index"]
    command += ["--find-links", str(builds.wheels)] if builds.wheels else []
    return command


def _has_pip() -> bool:
    try:
        return bool(metadata.version("pip"))
    except metadata.PackageNotFoundError:
        return False


def _environment(builds: Builds, scratch: Path, index: str, more: Sequence[str]) -> dict[str, str]:
    """The indexes go here, since everybody on the machine may read a command line."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {"HOME": str(scratch), "TMPDIR": str(scratch), "PIP_CONFIG_FILE": os.devnull}
    indexes = {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index} if index else {}
    beside = {"PIP_EXTRA_INDEX_URL": " ".join(more), "UV_INDEX": " ".join(more)} if more else {}
    return {**passed, **own, **indexes, **beside}


async def _keep(process: Process, secrets: Set[bytes], log: Tail) -> bool:
    """Copy what the process writes to the log, but for secrets; gives whether it says the disk is full."""
    assert process.stdout is not None
    hold = max([len(os.strerror(EDQUOT)), len(os.strerror(ENOSPC)), *map(len, secrets)])
    full = False
    # The longest first: one may be part of another.
    pattern = re.compile(b"|".join(map(re.escape, sorted(secrets, key=len, reverse=True))) or b"(?!)")
    held = b""
    while piece := await process.stdout.read(PIECE):
        held = pattern.sub(b"****", held + piece)
        full = full or FULL.search(held) is not None
        whole = max(0, len(held) - hold)
        log.write(held[:whole])
        held = held[whole:]
    log.write(held)
    return full


def _secrets(addresses: Iterable[str]) -> Set[bytes]:
    """Users and passwords in addresses, as written and as meant."""
    found: set[str] = set()
    for address in addresses:
        with suppress(ValueError):
            user, _, password = urlsplit(address).netloc.rpartition("@")[0].partition(":")
            found |= {user, password, unquote(user), unquote(password)}
    return {each.encode() for each in found if each}
