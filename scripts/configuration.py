"""Writes the tables of docs/howto/configuration.md from the settings; `--check` says whether they are up to date."""

import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

from pydantic_settings import BaseSettings
from reference import field_notes
from typer.main import get_command

from comity.faces.cli.main import app
from comity.faces.settings import HubSettings, NodeSettings

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "configuration.md"
HEAD = "| in the file | in the environment | flag | default | |"
PROGRAMS = {"comity hub": HubSettings, "comity node": NodeSettings}


def page(before: str) -> str:
    for program, kind in PROGRAMS.items():
        mark = f"<!-- {program}: `make docs` writes this table -->\n"
        table = "\n".join([HEAD, "|---|---|---|---|---|", *rows(program, kind)])
        start = before.index(mark) + len(mark)
        before = before[:start] + table + "\n" + before[before.index("<!-- end -->", start) :]
    return before


def rows(program: str, kind: type[BaseSettings]) -> Iterator[str]:
    known = flags(program)
    for name, default, note in settings(kind):
        variable = kind.model_config["env_prefix"] + name.replace(".", "__").upper()
        flag = known.pop(name.rpartition(".")[2], "")
        cells = ("" if name == "dir" else name, variable, flag, shown(default))
        yield "| " + " | ".join([*(f"`{each}`" if each else "" for each in cells), note]) + " |"
    assert not known, f"{program} start has flags that set nothing: {known}"


def settings(kind: type[BaseSettings]) -> Iterator[tuple[str, object, str]]:
    """(name, default, what it is) of each."""
    for name, field in kind.model_fields.items():
        note = " ".join((field.description or "").split())
        assert note, f"{kind.__name__}.{name} has no docstring"
        if is_dataclass(field.default):
            yield from table(name, field.default)
        else:
            yield name, field.default, note


def table(name: str, default: object) -> Iterator[tuple[str, object, str]]:
    """The same of what stands in a table of the file."""
    notes = field_notes(type(default))
    for each in fields(default):
        assert each.name in notes, f"{name}.{each.name} has no docstring"
        value = getattr(default, each.name)
        if is_dataclass(value):
            yield from table(f"{name}.{each.name}", value)
        else:
            yield f"{name}.{each.name}", None if each.default is MISSING else value, notes[each.name]


def shown(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else "" if default in (None, "", ()) else str(default)


def flags(program: str) -> dict[str, str]:
    """The flags of its start, by what they set."""
    command = get_command(app)
    for word in (*program.split()[1:], "start"):
        command = command.commands[word]
    return {flag.removeprefix("--").replace("-", "_"): flag for each in command.params for flag in each.opts[:1]}


if __name__ == "__main__":
    written = PAGE.read_text()
    if "--check" in sys.argv:
        sys.exit(0 if written == page(written) else "docs/howto/configuration.md is out of date: run make docs")
    PAGE.write_text(page(written))
