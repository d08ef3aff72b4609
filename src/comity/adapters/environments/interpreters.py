"""The Pythons of this machine, by minor version."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import msgspec

from comity.values.errors import BuildFailed
from comity.values.wanted import Minor

PATIENCE = 20
"""Seconds."""

OLDEST, NEWEST = (3, 10), (3, 13)
"""Of those that a task can run in."""

_ASK = "import json, sys; print(json.dumps([sys.version_info[:2], sys._base_executable, sys.base_prefix]))"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that environments are made of."""

    minor: Minor
    path: Path
    prefix: Path
    """The folder of its own files."""

    @property
    def tag(self) -> str:
        """What tells its compiled files from others'."""
        return f"{sys.implementation.name}-{self.minor[0]}{self.minor[1]}"

    @property
    def name(self) -> str:
        """`python3.11`"""
        return f"python{self.minor[0]}.{self.minor[1]}"

    def packages(self, place: Path) -> Path:
        """Where distributions lie in the virtual environment that `place`/venv is."""
        return place / "venv" / "lib" / self.name / "site-packages"


OWN = Interpreter(minor=sys.version_info[:2], path=Path(sys.executable), prefix=Path(sys.base_prefix))
"""The one that the node itself runs in."""


def found(minor: Minor) -> Interpreter:
    """The interpreter of that version; raises BuildFailed where there is none that runs."""
    if minor == OWN.minor:
        return OWN
    name = f"python{minor[0]}.{minor[1]}"
    if not OLDEST <= minor <= NEWEST:
        first, last = (".".join(map(str, each)) for each in (OLDEST, NEWEST))
        raise BuildFailed(f"functions run in Python {first} to {last}, not in {name}")
    for path in _candidates(name):
        if (interpreter := _asked(path)) is not None and interpreter.minor == minor:
            return interpreter
    raise BuildFailed(f"the function wants {name}, which is not on this node's machine; install it there")


def _candidates(name: str) -> Iterator[Path]:
    """On the path, and where pyenv and uv keep those that they install."""
    for folder in os.get_exec_path():
        if (path := Path(folder, name)).is_file():
            yield path
    version = name.removeprefix("python")
    home = Path.home()
    for folder, pattern in (
        (Path(os.environ.get("PYENV_ROOT", home / ".pyenv")), f"versions/{version}.*/bin/{name}"),
        (home / ".local" / "share" / "uv", f"python/cpython-{version}.*/bin/{name}"),
    ):
        yield from sorted(folder.glob(pattern), reverse=True)


def _asked(path: Path) -> Interpreter | None:
    """What a program says that it is, None where it is no Python that runs."""
    try:
        minor, executable, prefix = msgspec.json.decode(
            _said([str(path), "-I", "-c", _ASK]), type=tuple[Minor, str, str]
        )
    except msgspec.DecodeError:
        return None
    return Interpreter(minor=minor, path=Path(executable), prefix=Path(prefix))


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
