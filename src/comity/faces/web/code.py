"""Source code as pages show it: highlighted, with numbers of lines, or as the difference between two versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, TypeAlias, final

from markupsafe import Markup, escape
from pygments import lex
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType  # type: ignore[reportPrivateUsage]
from pygments.util import ClassNotFound

LOOKS: Sequence[tuple[_TokenType, str]] = (
    (Comment, "comment"),
    (Keyword, "word"),
    (Operator.Word, "word"),
    (String, "text"),
    (Number, "number"),
    (Name.Function, "name"),
    (Name.Class, "name"),
    (Name.Decorator, "name"),
)
"""The five looks that code has."""

LONGEST = 200_000
"""Characters that are highlighted; more of them are shown plain."""

Change: TypeAlias = Literal["same", "new", "old", "gap"]

AROUND = 3
"""Lines that are shown before and after a change."""


@final
@dataclass(frozen=True)
class Line:
    """One line, and how it stands to the version before."""

    number: int | None
    """In this version; None for a line that it has not any more."""
    html: Markup
    change: Change = "same"


def highlighted(name: str, text: str) -> list[Line]:
    """A file's lines."""
    return [Line(at, html) for at, html in enumerate(_lines(name, text), 1)]


def difference(name: str, before: str, text: str) -> list[Line]:
    """A file's lines beside those of the version before; what is far from any change is left out."""
    old, new = _split(before), _split(text)
    old_lines, new_lines = _lines(name, before), _lines(name, text)
    made: list[Line] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            made += [Line(at + 1, new_lines[at]) for at in range(c, d)]
            continue
        made += [Line(None, old_lines[at], "old") for at in range(a, b)]
        made += [Line(at + 1, new_lines[at], "new") for at in range(c, d)]
    return _near(made)


def changes(before: Mapping[str, str], files: Mapping[str, str]) -> list[tuple[str, list[Line], str]]:
    """(name, lines, what happened to it) of each file that differs between two versions."""
    made: list[tuple[str, list[Line], str]] = []
    for name in sorted({*before, *files}):
        if before.get(name) == files.get(name):
            continue
        what = "changed" if name in before and name in files else "new" if name in files else "removed"
        made.append((name, difference(name, before.get(name, ""), files.get(name, "")), what))
    return made


def _near(lines: Sequence[Line]) -> list[Line]:
    changed = [at for at, each in enumerate(lines) if each.change != "same"]
    near = {at for each in changed for at in range(each - AROUND, each + AROUND + 1)}
    made: list[Line] = []
    for at, each in enumerate(lines):
        if at in near:
            made.append(each)
        elif not made or made[-1].change != "gap":
            made.append(Line(None, Markup(""), "gap"))
    return made


def _lines(name: str, text: str) -> list[Markup]:
    plain = _split(text)
    if len(text) > LONGEST:
        return [escape(line) for line in plain]
    made = [""]
    for kind, value in lex("\n".join(plain), _lexer(name)):
        look = next((look for each, look in LOOKS if kind in each), "")
        first, *rest = value.split("\n")
        for at, piece in enumerate([first, *rest]):
            if at:
                made.append("")
            shown = str(escape(piece))
            made[-1] += f'<span class="c-{look}">{shown}</span>' if look and piece else shown
    return [Markup(line) for line in made[: len(plain)]]


def _split(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _lexer(name: str) -> Lexer:
    try:
        return get_lexer_for_filename(name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False, ensurenl=False)
