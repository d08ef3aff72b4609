"""A Dockerfile as text, cut into its instructions.

Docker's reference has the form: an instruction a line, `\\` at its end to go on in the next, `#` for comments. What
stands after the name of an instruction is not examined here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

from comity.values.errors import DecodeError

LONGEST = 2**18
"""Bytes."""

_INSTRUCTION = re.compile(r"\s*(?P<name>[A-Za-z]+)(?:\s+(?P<rest>.*))?", re.DOTALL)
_CONTINUED = re.compile(r"\\[ \t]*$")
_COMMENT = re.compile(r"\s*#")
_VARIABLE = re.compile(r"\\\$|\$(?:(?P<plain>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?::-(?P<default>[^{}$]*))?\})")
_FLAG = re.compile(r"--[a-z-]+(?:=\S*)?\s+")


@final
@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, however many lines it takes."""

    line: int
    """Where it begins, from 1."""
    name: str
    """In capital letters."""
    rest: str
    """What stands after it, on one line."""

    def __str__(self) -> str:
        return f"line {self.line}, {self.name} {self.rest}"[:300].rstrip()

    def words(self) -> list[str] | None:
        """The list of texts that is written as JSON after the name; None where it is written otherwise.

        >>> Instruction(1, "ENTRYPOINT", '["python3", "function.py"]').words()
        ['python3', 'function.py']
        """
        if not self.rest.startswith("["):
            return None
        try:
            found = json.loads(self.rest)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, list) and all(isinstance(each, str) for each in found) else None

    def flags(self) -> tuple[list[str], str]:
        """(the flags that stand first, what stands after them)."""
        flags: list[str] = []
        rest = self.rest
        while (found := _FLAG.match(rest)) is not None:
            flags.append(found[0].rstrip())
            rest = rest[found.end() :]
        return flags, rest


def instructions(text: bytes) -> list[Instruction]:
    """What a Dockerfile says, in order; raises DecodeError, with the line, where that is no instruction.

    >>> [str(each) for each in instructions(b"FROM python:3.11\\n# why\\nRUN pip \\\\\\n  install numpy\\n")]
    ['line 1, FROM python:3.11', 'line 3, RUN pip   install numpy']
    """
    if len(text) > LONGEST:
        raise DecodeError(f"the Dockerfile has {len(text)} bytes, more than {LONGEST}")
    try:
        lines = text.decode().splitlines()
    except UnicodeDecodeError as error:
        raise DecodeError(f"the Dockerfile is not UTF-8: {error}") from error
    return [_instruction(number, joined) for number, joined in _joined(lines)]


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """The text with `$NAME`, `${NAME}` and `${NAME:-default}` put in; a variable that is not there is empty.

    >>> expanded("$HOME/${WHERE:-here}", {"HOME": "/home/user"})
    '/home/user/here'
    """

    def value(found: re.Match[str]) -> str:
        name = found["plain"] or found["braced"]
        if name is None:
            return "$"
        return variables.get(name) or found["default"] or ""

    return _VARIABLE.sub(value, text)


def _joined(lines: list[str]) -> Iterator[tuple[int, str]]:
    """(where it begins, an instruction's lines joined); comments and empty lines are left out, also within one."""
    begun, parts = 0, list[str]()
    for number, line in enumerate(lines, 1):
        if _COMMENT.match(line) or not line.strip():
            continue
        begun = begun or number
        parts.append(_CONTINUED.sub("", line))
        if not _CONTINUED.search(line):
            yield begun, "".join(parts).strip()
            begun, parts = 0, []
    if parts:
        yield begun, "".join(parts).strip()


def _instruction(number: int, line: str) -> Instruction:
    found = _INSTRUCTION.fullmatch(line)
    if found is None:
        raise DecodeError(f"line {number} of the Dockerfile is no instruction: {line[:100]!r}")
    return Instruction(number, found["name"].upper(), (found["rest"] or "").strip())
