"""Running uv, or else pip, to fill a virtual environment, with all that it writes kept in a log."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from signal import SIGKILL
from urllib.parse import unquote, urlsplit

from comity.adapters.environments.builds import Builds
from comity.adapters.execution.log import Tail
from comity.values.errors import BuildFailed
from comity.values.requirements import Locked

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
    scratch = place / "tmp"
    scratch.mkdir()
    # Their markers hold; they are said without, so that the installer cannot see it otherwise.
    lines = [str(Locked(each.name, each.version, each.extras, "", each.hashes)) for each in requirements]
    (place / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    python = [sys.executable, "-I", "-m"]
    commands = [[*python, "venv", "--without-pip", "--symlinks", "venv"]]
    if requirements:
        commands.append(_command(builds))
    for command in commands:
        if await _run(command, _environment(builds, scratch), place, log) != 0:
            raise BuildFailed(f"{Path(command[0]).name} could not install the locked requirements; its log tells why")
    # By the node's interpreter, since the new one would run what the distributions want to be run at its start. What
    # does not compile is not imported either.
    await _run([*python, "compileall", "-qq", "venv/lib"], _environment(builds, scratch), place, log)
    await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


async def _run(command: Sequence[str], environment: Mapping[str, str], place: Path, log: Tail) -> int:
    """The exit status."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=environment, cwd=place, start_new_session=True
    )
    try:
        await _keep(process, _secrets(environment.values()), log)
        return await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, SIGKILL)
            await process.wait()


def _command(builds: Builds) -> list[str]:
    """What to run; raises BuildFailed where there is neither uv nor pip."""
    uv = _uv()
    if uv is not None:
        command = [uv, "pip", "install", "--python", "venv/bin/python", "--no-config", "--no-cache", "--no-progress"]
    elif find_spec("pip") is not None:
        command = [sys.executable, "-I", "-m", "pip", "--python", "venv/bin/python", "install", "--no-cache-dir"]
        command += ["--no-compile", "--no-input", "--progress-bar=off", "--disable-pip-version-check"]
        command += ["--root-user-action=ignore"]
    else:
        raise BuildFailed("this node has neither uv nor pip to install with; install uv beside comity")
    command += ["--no-deps", "-r", "requirements.txt"]
    command += ["--only-binary", ":all:"] if builds.only_wheels else []
    command += [] if builds.index else ["--no-index"]
    command += ["--find-links", str(builds.wheels)] if builds.wheels else []
    return command


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def _environment(builds: Builds, scratch: Path) -> dict[str, str]:
    """The index goes here, since everybody on the machine may read a command line."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {"HOME": str(scratch), "TMPDIR": str(scratch), "PIP_CONFIG_FILE": os.devnull}
    index = {"PIP_INDEX_URL": builds.index, "UV_DEFAULT_INDEX": builds.index} if builds.index else {}
    return {**passed, **own, **index}


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
