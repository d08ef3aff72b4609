"""What a function's Dockerfile asks for: a Python, requirements, files and lines for a shell, and the program to run.

Of Docker's instructions these are followed: `FROM` of an image of Python, `ARG`, `ENV`, `WORKDIR`, `COPY`, `RUN` and
`ENTRYPOINT`. Those that have no meaning here are passed over: tasks run as a user of their own in a sandbox without
network, and each is given its arguments. Any other is refused by its name.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias, final

from comity.adapters.substra import pip
from comity.adapters.substra.commands import commands, installs, is_idle, packages
from comity.adapters.substra.dockerfile import Instruction, expanded, instructions
from comity.values.errors import DecodeError, unknown
from comity.values.wanted import Install, Minor, Wanted

NAME = "Dockerfile"

PASSED_OVER = frozenset(["USER", "LABEL", "EXPOSE", "MAINTAINER", "STOPSIGNAL", "CMD", "VOLUME", "HEALTHCHECK"])
KNOWN = frozenset(["FROM", "ARG", "ENV", "WORKDIR", "COPY", "ADD", "RUN", "ENTRYPOINT"])
OTHERS_OF_DOCKER = frozenset(("SHELL", "ONBUILD"))

TOOLS = Install(requirements=("substratools",))
"""What Substra's own images have."""

OTHERS = ("HOME", "TMPDIR", "PATH", "VIRTUAL_ENV", "USER", "LOGNAME")
"""Variables that a sandbox sets."""

_PYTHON_IMAGE = re.compile(r"(?:[\w.:-]{1,255}/){0,9}python(?::(?P<version>3\.\d{1,3})?(?:[.-]?[\w][.\w-]*)?)?")
_TOOLS_IMAGE = re.compile(r"\S*substra-?tools\S*")
_SYSTEM_IMAGE = re.compile(r"(?:[\w.:-]{1,255}/){0,9}(?:nvidia/cuda|ubuntu|debian):\S+")
_MINOR = re.compile(r"python(3\.\d{1,3})(?!\d)")
_PYTHON_PACKAGE = re.compile(r"python3?(\.\d+)?(-(venv|dev|pip|distutils|minimal|full))?|software-properties-common")
_FOR_BUILDING = ("git", "build-essential", "gcc", "g++", "make", "ca-certificates")
"""Packages that nobody needs where nothing is built from its source."""
_HEREDOC = re.compile(r"(?:^|\s)<<-?['\"]?[A-Za-z_]\w*['\"]?(?=\s|$)")
_UNPACKED = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

WILD = 3
"""Signs for any name in a source of COPY."""

PACKAGES = 100
"""Of the system, at most."""

LONGEST_NAME = 255
"""Bytes of a file's or a folder's name."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """`COPY`: files of the archive, put where the image has them."""

    sources: tuple[str, ...]
    to: str
    """An absolute path within the image; one that ends with `/` is a folder."""
    executable: bool | None = None
    """What `--chmod` makes of the files, if it is there: an image's modes are the ordinary ones but for that."""

    def found(self, archive: Path) -> Iterator[Path]:
        """The files and folders that are copied; raises DecodeError where a source names none."""
        for source in self.sources:
            parts = [part for part in source.split("/") if part not in ("", ".")]
            if ".." in parts:
                raise DecodeError(f"{source[:100]!r} leads out of the archive")
            if "**" in source or sum(source.count(sign) for sign in "*?[") > WILD:
                raise DecodeError(f"{source[:100]!r}: ** is not known here, nor more than {WILD} signs for any name")
            one = archive.joinpath(*parts)
            found = sorted(archive.glob("/".join(parts))) if any(sign in source for sign in "*?[") else [one]
            if not found or not all(each.exists() for each in found):
                raise DecodeError(f"the archive has no {source[:100]!r}")
            yield from found

    def source_of(self, path: str, archive: Path) -> Path | None:
        """Where the archive has the file that this puts at an absolute path, if it does."""
        for each in self.found(archive):
            if each.is_dir():
                below = path.removeprefix(self.to.rstrip("/") + "/")
                if below != path and (each / below).is_file():
                    return each / below
            elif path == (self.to + each.name if self.to.endswith("/") else self.to):
                return each
        return None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """`RUN` of what is left to a shell."""

    line: str
    folder: str
    """The absolute path within the image where it runs."""
    variables: Mapping[str, str]


Step: TypeAlias = Copy | Shell


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """`ENTRYPOINT`: a script, or a module, and what it is started with."""

    script: str
    """Its absolute path within the image; empty for a module."""
    module: str
    arguments: tuple[str, ...]
    folder: str
    """Where it runs, an absolute path within the image."""
    variables: Mapping[str, str]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a Dockerfile asks for."""

    wanted: Wanted
    packages: tuple[str, ...]
    """Of the system; they are not installed, but may be there."""
    steps: tuple[Step, ...]
    program: Program

    @property
    def shells(self) -> bool:
        """Whether a shell runs."""
        return any(isinstance(each, Shell) for each in self.steps)


@final
@dataclass(slots=True)
class Stage:
    """What is known so far, while the instructions are followed."""

    archive: Path
    python: Minor
    given: dict[str, str] = field(default_factory=dict[str, str])
    """Values of `ARG`."""
    variables: dict[str, str] = field(default_factory=dict[str, str])
    folder: str = "/"
    installs: list[Install] = field(default_factory=list[Install])
    packages: list[str] = field(default_factory=list[str])
    steps: list[Step] = field(default_factory=list[Step])
    program: Sequence[str] | None = None
    begun: bool = False
    """Whether there was a `FROM`."""

    def expand(self, text: str) -> str:
        return expanded(text, {**self.given, **self.variables})

    def follow(self, said: Instruction) -> None:
        """Do what an instruction says; raises DecodeError where that is nothing done here."""
        if not self.begun and said.name not in ("FROM", "ARG"):
            raise DecodeError("a Dockerfile begins with FROM")
        if _HEREDOC.search(said.rest) and said.name in ("RUN", "COPY"):
            raise DecodeError("text between marks (<<) is not taken; put it in a file of the archive")
        match said.name:
            case "FROM":
                self._begin(said)
            case "ARG":
                name, _, value = said.rest.partition("=")
                self.given.setdefault(name.strip(), self.expand(_unquoted(value)))
            case "ENV":
                self.variables |= {name: self.expand(value) for name, value in _pairs(said.rest).items()}
            case "WORKDIR":
                self.folder = _joined(self.folder, self.expand(_unquoted(said.rest))).rstrip("/") or "/"
            case "COPY" | "ADD":
                self._copy(said)
            case "RUN":
                self._run(said)
            case "ENTRYPOINT":
                self.program = said.words()
                if not self.program:
                    raise DecodeError('the program stands as a list: ENTRYPOINT ["python3", "function.py", ...]')
            case _ if said.name in PASSED_OVER:
                pass
            case _ if said.name in OTHERS_OF_DOCKER:
                raise DecodeError(f"{said.name} is not followed here; leave it out")
            case _:
                raise unknown("instruction", said.name, sorted(KNOWN | PASSED_OVER))

    def _begin(self, said: Instruction) -> None:
        if self.begun:
            raise DecodeError("only one FROM is followed")
        self.begun = True
        image = self.expand(said.flags()[1].split()[0] if said.rest else "")
        if found := _PYTHON_IMAGE.fullmatch(image):
            self.python = _minor(found["version"]) if found["version"] else self.python
        elif _TOOLS_IMAGE.fullmatch(image):
            self.installs.append(TOOLS)
            if found := _MINOR.search(image):
                self.python = _minor(found[1])
        elif not _SYSTEM_IMAGE.fullmatch(image):
            raise DecodeError("images are not run here; begin with FROM python:3.11-slim, or another version of Python")

    def _copy(self, said: Instruction) -> None:
        flags, rest = said.flags()
        if other := next((each for each in flags if not each.startswith(("--chown=", "--chmod=", "--link"))), None):
            raise DecodeError(f"{other.partition('=')[0]} is not known here; copy files of the archive")
        words = said.words() or shlex.split(rest)
        if len(words) < 2:
            raise DecodeError("it names a file and where to put it")
        *sources, to = (self.expand(each) for each in words)
        if any("://" in each for each in sources):
            raise DecodeError("nothing is loaded from elsewhere; put it in the archive")
        if said.name == "ADD" and any(each.endswith(_UNPACKED) for each in sources):
            raise DecodeError("an archive within the archive is not unpacked; put its files there")
        end = "/" if to.endswith(("/", "/.")) or to == "." or len(sources) > 1 else ""
        executable = [_executable(each) for each in flags if each.startswith("--chmod=")]
        copy = Copy(
            sources=tuple(sources),
            to=_joined(self.folder, to).rstrip("/") + end,
            executable=executable[-1] if executable else None,
        )
        list(copy.found(self.archive))  # or it is refused
        self.steps.append(copy)

    def _run(self, said: Instruction) -> None:
        flags, rest = said.flags()
        if flags and not all(each.startswith("--mount=type=cache") for each in flags):
            raise DecodeError(f"{flags[0].partition('=')[0]} is not known here")
        line = shlex.join(words) if (words := said.words()) is not None else rest
        if not line:
            raise DecodeError("there is nothing to run")
        found = commands(self._known(line))
        left = list[list[str]]()
        for command in found or ():
            if (arguments := installs(command)) is not None:
                self._install(arguments)
            elif wanted := packages(command):
                self.packages += [
                    each for each in wanted if not _PYTHON_PACKAGE.fullmatch(each) and each not in _FOR_BUILDING
                ]
                if len(self.packages) > PACKAGES:
                    raise DecodeError(f"more than {PACKAGES} packages of the system are wanted")
            elif not is_idle(command):
                left.append(command)
        if found is None and re.search(r"\bpip[\d.]*\s+install\b", line):
            raise DecodeError("pip install stands alone, or between && and commands of the simplest kind")
        if found is None or len(left) == len(found):
            self._shell(line)
        elif left:
            self._shell(" && ".join(map(shlex.join, left)))

    def _known(self, line: str) -> str:
        """The line with those variables put in that the Dockerfile sets: a shell knows the others."""
        known = {**self.given, **self.variables}
        return expanded(line, {**{name: f"${{{name}}}" for name in re.findall(r"\$\{?(\w+)", line)}, **known})

    def _install(self, arguments: Sequence[str]) -> None:
        made = pip.read(arguments, self._source)
        if not made.empty:
            self.installs.append(made)

    def _source(self, path: str) -> Path:
        """Where the archive has the file that the image has at a path."""
        wanted = _joined(self.folder, self.expand(path))
        for step in reversed(self.steps):
            if isinstance(step, Copy) and (found := step.source_of(wanted, self.archive)) is not None:
                return found
        raise DecodeError(f"the image has no file {wanted} yet; COPY it before")

    def _shell(self, line: str) -> None:
        self.steps.append(Shell(line=line, folder=self.folder, variables={**self.given, **self.variables}))


def read(archive: Path, *, default: Minor) -> Recipe:
    """What the Dockerfile of an unpacked archive asks for; `default` is the Python of whoever names none.

    Raises DecodeError with the instruction, and its line, that is not followed here.
    """
    try:
        found = instructions((archive / NAME).read_bytes())
    except OSError as error:
        raise DecodeError(f"the archive has no readable {NAME} at its root ({error.strerror}); add one") from error
    stage = Stage(archive, default)
    for each in found:
        try:
            stage.follow(each)
        except (DecodeError, ValueError, OSError) as error:
            raise DecodeError(f"{each} of the {NAME} cannot be followed: {error}") from error
    if stage.program is None:
        raise DecodeError(f'the {NAME} names no program; end it with ENTRYPOINT ["python3", "function.py", ...]')
    try:
        python, program = _program(stage.program, stage)
    except ValueError as error:
        raise DecodeError(f"the {NAME}'s ENTRYPOINT cannot be run: {error}") from error
    return Recipe(
        wanted=Wanted(python=python, installs=tuple(stage.installs)),
        packages=tuple(stage.packages),
        steps=tuple(stage.steps),
        program=program,
    )


def _program(words: Sequence[str], stage: Stage) -> tuple[Minor, Program]:
    """(the Python that runs it, the program)."""
    python, *rest = words
    named = re.fullmatch(r"(?:\S*/)?python(?P<version>3\.\d{1,3}|3)?", python)
    if named is None:
        raise DecodeError(f"the {NAME}'s ENTRYPOINT runs {python!r}; only a Python program can be run here")
    minor = _minor(named["version"]) if named["version"] and "." in named["version"] else stage.python
    while rest and rest[0] in ("-u", "-B", "-O"):
        rest = rest[1:]
    folder = stage.folder
    variables = {name: value for name, value in stage.variables.items() if name not in OTHERS}
    match rest:
        case ["-m", module, *arguments] if re.fullmatch(r"[A-Za-z_][\w.]*", module):
            script = ""
        case [script, *arguments] if not script.startswith("-"):
            script, module = _joined(folder, script), ""
        case _:
            raise DecodeError(f"the {NAME}'s ENTRYPOINT names no script and no module: {shlex.join(words)[:200]}")
    made = Program(script=script, module=module, arguments=tuple(arguments), folder=folder, variables=variables)
    return minor, made


def _minor(version: str) -> Minor:
    major, minor = version.split(".")
    return int(major), int(minor)


def _executable(flag: str) -> bool:
    """Whether its mode lets the owner run a file."""
    if (found := re.fullmatch(r"--chmod=0?([0-7]{3})", flag)) is None:
        raise DecodeError(f"{flag[:100]} is not followed here; give the mode as three octal digits: --chmod=755")
    return bool(int(found[1], 8) & 0o100)


def _joined(folder: str, path: str) -> str:
    """An absolute path within the image; raises DecodeError for one that leads out of it."""
    end = "/" if path.endswith("/") else ""
    parts = list[str]()
    for part in PurePosixPath(folder, path).parts[1:]:
        if part == "..":
            if not parts:
                raise DecodeError(f"the path {path[:100]!r} leads out of the image")
            parts.pop()
        else:
            parts.append(part)
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in parts) or "\x00" in path:
        raise DecodeError(f"the path {path[:100]!r} has a part that is longer than a file's name may be")
    return "/" + "/".join(parts) + (end if parts else "")


def _pairs(rest: str) -> dict[str, str]:
    """What `ENV` sets.

    >>> _pairs('A=1 B="two words"'), _pairs("A one value")
    ({'A': '1', 'B': 'two words'}, {'A': 'one value'})
    """
    name, _, value = rest.partition(" ")
    if "=" not in name:
        return {name: value.strip()}
    pairs = [each.partition("=") for each in shlex.split(rest)]
    if bad := next((each for each, separator, _ in pairs if not separator), None):
        raise DecodeError(f"{bad!r} has no value")
    return {name: value for name, _, value in pairs}


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
