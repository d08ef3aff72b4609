"""Code that nobody can read: pickles, compiled modules, wheels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

Opaque: TypeAlias = Literal["deny", "ask", "allow"]
"""Whether functions with files that nobody can read are refused, wait for a steward even where others are let in, or
are let in like others."""


def unreadable(folder: Path) -> str:
    """The path of the first file below a folder that is no text in UTF-8; empty where all are.

    A text may be just as hard to understand; whoever reads it sees at least that.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            try:
                if "\x00" in path.read_text("utf-8"):
                    return str(path.relative_to(folder))
            except UnicodeDecodeError:
                return str(path.relative_to(folder))
    return ""
