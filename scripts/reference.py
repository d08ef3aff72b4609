"""Writes docs/reference.md from the docstrings of everything public; `--check` only says whether it is up to date."""

import ast
import inspect
import itertools
import sys
import textwrap
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType

import comity as co
from comity.privacy import attacks
from comity.values import errors

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
PARTS = ("strategies", "metrics", "privacy", "compression", "torch", "sklearn", "numpy", "data", "partition")


def page() -> str:
    everyday = [name for name in co.__all__ if not isinstance(getattr(co, name), ModuleType)]
    lines = [
        "# Reference",
        "Everything public, from its docstrings (`make docs` writes this page).",
        "## co",
        *(entry(f"co.{name}", getattr(co, name)) for name in everyday),
    ]
    for part, module in {
        **{f"co.{part}": getattr(co, part) for part in PARTS},
        "comity.privacy.attacks": attacks,
    }.items():
        lines += [f"## {part}", first(module)]
        names = getattr(module, "__all__", None) or defined(module)
        lines += [entry(f"{part}.{name}", getattr(module, name)) for name in sorted(names) if public(module, name)]
    lines += ["## Errors", f"```\n{inspect.getdoc(errors)}\n```"]
    return "\n\n".join(lines) + "\n"


def defined(module: ModuleType) -> list[str]:
    package = module.__name__
    return [n for n, v in vars(module).items() if n[0] != "_" and getattr(v, "__module__", "").startswith(package)]


def public(module: ModuleType, name: str) -> bool:
    value = getattr(module, name)
    return not isinstance(value, ModuleType) and (inspect.isclass(value) or inspect.isfunction(value))


def entry(name: str, value: object) -> str:
    return f"### {name}{signature(value)}\n\n{first(value)}{settings(value)}"


def signature(value: object) -> str:
    if inspect.isclass(value) and not is_dataclass(value):
        return ""
    shown = inspect.signature(value)
    bare = (str(each.replace(annotation=each.empty)) for each in shown.parameters.values())
    return f"({', '.join(bare).replace('<factory>', '…')})"


def settings(value: object) -> str:
    if not inspect.isclass(value):
        return ""
    lines: list[str] = []
    if is_dataclass(value):
        notes = field_notes(value)
        for field in fields(value):
            if field.init:
                lines.append(f"- `{field.name}`: `{field.type}`. {notes.get(field.name, '')}".rstrip())
    for name, member in vars(value).items():
        if name[0] != "_" and (inspect.isfunction(member) or isinstance(member, property)) and member.__doc__:
            called = name if isinstance(member, property) else f"{name}()"
            lines.append(f"- `.{called}`: {inspect.getdoc(member).splitlines()[0]}")
    return "\n\n" + "\n".join(lines) if lines else ""


def field_notes(kind: type) -> dict[str, str]:
    """The string below each field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body
    return {
        above.target.id: " ".join(inspect.cleandoc(below.value.value).split())
        for above, below in itertools.pairwise(body)
        if isinstance(above, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }


def first(value: object) -> str:
    text = inspect.getdoc(value) or ""
    return text.split("\n>>> ")[0].strip()


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text() == page() else "docs/reference.md is out of date: run make docs")
    PAGE.write_text(page())
