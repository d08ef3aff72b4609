"""Code that nobody can read: pickles, compiled modules, wheels."""

from __future__ import annotations

from codecs import getincrementaldecoder
from pathlib import Path
from typing import Literal, TypeAlias

Opaque: TypeAlias = Literal["deny", "ask", "allow"]
"""Whether functions with files that nobody can read are refused, wait for a steward even where others are let in, or
are let in like others."""

PIECE = 2**16


def unreadable(folder: Path) -> str:
    """The path of the first file below a folder that is no text in UTF-8; empty where all are.

    A text may be just as hard to understand; whoever reads it sees at least that.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not _is_text(path):
            return str(path.relative_to(folder))
    return ""


def _is_text(path: Path) -> bool:
    decoder = getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                if "\x00" in decoder.decode(piece):
                    return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
