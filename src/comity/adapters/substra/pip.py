"""The arguments of `pip install` and the files of requirements that it reads.

Only what an installer can take without running any of it: names with versions, and wheels. A folder, an archive of
sources or a repository is built by code of its own, with the rights of whoever builds it; such is refused.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias, final
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from comity.values.digest import Digest
from comity.values.errors import DecodeError
from comity.values.wanted import Install, Wheel

MOST = 2000
"""Requirements of one function, those in files included."""

DEEPEST = 5
"""Files of requirements that name each other."""

LONGEST = 2**20
"""Bytes of a file of requirements."""

_IGNORED = {
    *("-U", "--upgrade", "--user", "--system", "--pre", "--prefer-binary", "--require-hashes", "--use-pep517"),
    *("-q", "-qq", "--quiet", "-v", "--verbose", "--no-input", "--no-cache-dir", "--no-compile", "-I"),
    *("--disable-pip-version-check", "--no-warn-script-location", "--break-system-packages"),
    *("--force-reinstall", "--ignore-installed", "--no-build-isolation"),
}
"""Options that change nothing in an environment that is made anew."""

_IGNORED_WITH_VALUE = {
    *("--only-binary", "--no-binary", "--trusted-host", "--timeout", "--default-timeout", "--retries"),
    *("--root-user-action", "--progress-bar", "--upgrade-strategy", "--cache-dir"),
}

_HASH = re.compile(r"\s--hash=\S+")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_OPTION = re.compile(r"(-[A-Za-z]|--[a-z-]+)(?:[= ]\s*(.*))?", re.DOTALL)
Find: TypeAlias = Callable[[str], Path]
"""Gives where a file of the image lies, by its path as the command has it; raises DecodeError for none."""

_SELF = frozenset(("pip", "wheel"))
"""What installs is not itself installed."""


@final
@dataclass(slots=True)
class Reading:
    """What is found while arguments and files are read."""

    find: Find
    requirements: list[str] = field(default_factory=list[str])
    constraints: list[str] = field(default_factory=list[str])
    wheels: list[Wheel] = field(default_factory=list[Wheel])
    index: str = ""
    more: list[str] = field(default_factory=list[str])

    def install(self) -> Install:
        """All of it."""
        return Install(
            requirements=tuple(self.requirements),
            constraints=tuple(self.constraints),
            wheels=tuple(self.wheels),
            index=self.index,
            more=tuple(self.more),
        )

    def argument(self, text: str) -> None:
        """Take one requirement of the command line."""
        self.line(text, "the command", depth=0, constrains=False)

    def file(self, name: str, *, depth: int, constrains: bool) -> None:
        """Take a file of requirements."""
        if depth >= DEEPEST:
            raise DecodeError(f"files of requirements name each other more than {DEEPEST} deep, the last is {name!r}")
        path = self.find(name)
        try:
            data = path.read_bytes() if path.stat().st_size <= LONGEST else None
        except OSError as error:
            raise DecodeError(f"there is no file of requirements {name!r}; COPY it first") from error
        if data is None:
            raise DecodeError(f"the file of requirements {name!r} has more than {LONGEST} bytes")
        try:
            lines = data.decode().replace("\\\r\n", " ").replace("\\\n", " ").splitlines()
        except UnicodeDecodeError as error:
            raise DecodeError(f"the file of requirements {name!r} is not UTF-8: {error}") from error
        for line in lines:
            if stripped := _COMMENT.sub("", line).strip():
                self.line(stripped, f"{name!r}", depth=depth + 1, constrains=constrains)

    def line(self, text: str, where: str, *, depth: int, constrains: bool) -> None:
        """Take one line: an option or a requirement."""
        if len(self.requirements) + len(self.constraints) >= MOST:
            raise DecodeError(f"there are more than {MOST} requirements")
        if text.startswith("-"):
            found = _OPTION.fullmatch(text)
            if found is None:
                raise DecodeError(f"{where} has the line {text[:100]!r}, which is no option of pip")
            return self.option(found[1], (found[2] or "").strip(), depth=depth)
        requirement = _HASH.sub("", text).strip()
        if (wheel := self._wheel(requirement)) is not None:
            self.wheels.append(wheel)
        elif constrains:
            self.constraints.append(_checked(requirement, where))
        elif (checked := _checked(requirement, where)) and canonicalize_name(_name(checked)) not in _SELF:
            self.requirements.append(checked + "".join(_HASH.findall(text)))

    def option(self, name: str, value: str, *, depth: int) -> None:
        """Take an option of a command or of a file."""
        match name:
            case "-r" | "--requirement":
                self.file(value, depth=depth, constrains=False)
            case "-c" | "--constraint":
                self.file(value, depth=depth, constrains=True)
            case "-i" | "--index-url":
                self.index = _address(value)
            case "--extra-index-url":
                self.more.append(_address(value))
            case _ if name in _IGNORED or name in _IGNORED_WITH_VALUE:
                pass
            case _:
                raise DecodeError(
                    f"pip's option {name} is not known here; leave it out, or install only wheels by name"
                )

    def _wheel(self, text: str) -> Wheel | None:
        """The wheel of the function that is named, if one is."""
        name = text.partition(" @ ")[2].strip() or text
        if urlsplit(name).scheme in ("http", "https") or not name.endswith(".whl"):
            return None
        path = self.find(unquote(re.sub(r"^file:(?://)?", "", name)))
        try:
            parse_wheel_filename(path.name)
            made = sha256(path.read_bytes()).hexdigest()
        except InvalidWheelFilename as error:
            raise DecodeError(f"{path.name!r} is no name of a wheel: {error}") from error
        except OSError as error:
            raise DecodeError(f"there is no wheel {name!r}; COPY it first") from error
        return Wheel(name=path.name, digest=Digest(f"sha256:{made}"), path=path)


def read(arguments: Sequence[str], find: Find) -> Install:
    """What `pip install ARGUMENTS` would install.

    Raises DecodeError, with what it is about, for anything that is not installed from wheels.

    >>> read(["--no-cache-dir", "numpy>=2", "torch==2.13.0"], Path).requirements
    ('numpy>=2', 'torch==2.13.0')
    """
    reading = Reading(find)
    for name, value in _options(arguments):
        if name:
            reading.option(name, value, depth=0)
        else:
            reading.argument(value)
    return reading.install()


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, its value); an argument that belongs to none has no name before it."""
    left = list(arguments)
    while left:
        word = left.pop(0)
        name, separator, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if not word.startswith("-"):
            yield "", word
        elif name in _IGNORED or separator:
            yield name, value
        elif left:
            yield name, left.pop(0)
        else:
            raise DecodeError(f"pip's option {word} lacks what belongs to it")


def _checked(text: str, where: str) -> str:
    """A requirement that is installed from a wheel, in canonical spelling."""
    try:
        found = Requirement(text)
        if found.marker is not None:
            found.marker.evaluate()
    except (InvalidRequirement, ValueError, KeyError, RecursionError) as error:
        raise DecodeError(
            f"{where} wants {text[:100]!r}, which is neither a name with a version nor a wheel: {str(error)[:200]}"
        ) from error
    if found.url is not None and not (
        found.url.startswith("https://") and found.url.partition("#")[0].endswith(".whl")
    ):
        raise DecodeError(f"{where} wants {text[:100]!r}, which would be built from its source; name a wheel")
    return str(found)


def _name(requirement: str) -> str:
    return Requirement(requirement).name


def _address(text: str) -> str:
    if urlsplit(text).scheme != "https" or shlex.split(text) != [text]:
        raise DecodeError(f"the index {text[:100]!r} is no https address")
    return text
