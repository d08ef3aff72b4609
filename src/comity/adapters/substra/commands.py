"""A `RUN` line as the commands that it consists of, where it is as simple as that.

A container's image is built of a whole system; here there is an environment of its own for each set of requirements,
and files. So of these commands some are done by the node (`pip install`), some have nothing to do (there are no system
packages to refresh, no user to make), and the others are run by a shell in a sandbox.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TypeAlias

Command: TypeAlias = list[str]

_COMPARED = re.compile(r"(?<![\w'\"])([A-Za-z0-9][\w.\[\],-]*(?:[<>]=?|[=~!]=)\d[\w.*+!,<>=~]*)")
"""`setuptools>=70`, which a shell takes for a redirection and whoever wrote it did not."""

_SPECIAL = re.compile(r"[$`*?~(){}|&;<>\n]|^(?:if|for|while|case|until|cd|export|set|source|\.)$")

_SET = re.compile(r"[A-Za-z_]\w*=")

_PIP = re.compile(r"pip(?:3(?:\.\d+)?)?")
_PYTHON = re.compile(r"(?:\S*/)?python(?:3(?:\.\d+)?)?")

_REFRESHING = {
    *("update", "upgrade", "dist-upgrade", "full-upgrade", "check"),
    *("clean", "autoclean", "autoremove", "purge", "remove"),
}
_MAKING_USERS = {
    *("addgroup", "adduser", "groupadd", "useradd", "usermod"),
    *("chown", "chgrp", "add-apt-repository"),
}


def commands(line: str) -> list[Command] | None:
    """The commands that the line runs one after the other; None where it takes a shell to know them.

    >>> commands("apt-get update -y && pip install 'numpy>=2'")
    [['apt-get', 'update', '-y'], ['pip', 'install', 'numpy>=2']]
    >>> commands("curl https://example.org | sh")
    """
    lexer = shlex.shlex(_COMPARED.sub(r"'\1'", line), posix=True, punctuation_chars=";&|<>()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    made: list[Command] = [[]]
    try:
        words = list(lexer)
    except ValueError:  # a quotation that does not end
        return None
    for word in words:
        if word in ("&&", ";"):
            made.append([])
        elif word and set(word) <= set(";&|<>()"):
            return None
        else:
            made[-1].append(word)
    made = [_bare(each) for each in made]
    return made if all(made) and not any(_takes_a_shell(each) for each in made) else None


def installs(command: Command) -> list[str] | None:
    """What stands after `pip install`; None for another command.

    >>> installs(["python3.11", "-m", "pip", "install", "-r", "requirements.txt"])
    ['-r', 'requirements.txt']
    """
    match _pip(command):
        case ["install", *rest]:
            return rest
        case _:
            return None


def packages(command: Command) -> list[str]:
    """The system's packages that a command installs.

    >>> packages(["apt-get", "install", "-y", "libgomp1"])
    ['libgomp1']
    """
    match command:
        case ["apt-get" | "apt", *rest] if "install" in (words := _plain(rest)):
            return [each for each in words if each != "install"]
        case _:
            return []


def is_idle(command: Command) -> bool:
    """Whether there is nothing to do for it here: it cares for a system, and there is none to care for.

    >>> is_idle(["apt-get", "update", "-y"]), is_idle(["python3.11", "-m", "venv", "/venv"]), is_idle(["make"])
    (True, True, False)
    """
    match command:
        case ["apt-get" | "apt", *rest]:
            return bool(_plain(rest)) and _plain(rest)[0] in _REFRESHING
        case ["rm", *rest]:
            return all(each.startswith("/var/") for each in _plain(rest))
        case [python, "-m", "venv", *_] if _PYTHON.fullmatch(python):
            return True
        case [name, *_] if name in _MAKING_USERS:
            return True
        case _:
            return bool((words := _pip(command)) and words[0] in ("uninstall", "cache", "config"))


def _pip(command: Command) -> Command | None:
    match command:
        case ["uv", "pip", *rest]:
            return rest
        case [python, "-m", "pip", *rest] if _PYTHON.fullmatch(python):
            return rest
        case [pip, *rest] if _PIP.fullmatch(pip.rpartition("/")[2]):
            return rest
        case _:
            return None


def _bare(command: Command) -> Command:
    """Without the variables that are set for a command which no shell runs."""
    start = next((at for at, word in enumerate(command) if not _SET.match(word)), len(command))
    rest = command[start:]
    return rest if _is_known(rest) else command


def _is_known(command: Command) -> bool:
    return is_idle(command) or bool(packages(command)) or installs(command) is not None


def _takes_a_shell(command: Command) -> bool:
    return not _is_known(command) and any(_SPECIAL.search(word) for word in command)


def _plain(words: Sequence[str]) -> list[str]:
    return [each for each in words if not each.startswith("-")]
