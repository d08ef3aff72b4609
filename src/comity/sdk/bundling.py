"""The bundle of an experiment: the modules that hold its callables, and the function that runs its stages."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from inspect import getsourcefile
from pathlib import Path
from typing import Any

from comity.adapters.environments.lock import locked_requirements
from comity.adapters.execution import bundle
from comity.engine.experiment import Experiment
from comity.engine.names import installed
from comity.sdk.packing import pack
from comity.values.errors import InvalidInput

ENTRY = "comity_experiment"

FRAMEWORKS = {"torch.": "torch", "sklearn.": "sklearn", "privacy.RecordDP": "dp_accounting"}
"""What types of a document need, by how their names begin."""


def bundled(experiment: Experiment, folder: Path) -> Path:
    """The experiment's bundle as a file in an empty folder; the same code always makes the same bytes.

    Raises NotSupported for lambdas, closures and what is defined in a script itself, saying how to move them, and
    InvalidInput where what they import is not installed.
    """
    document = json.loads(experiment.to_json())
    modules = _closed(_modules(document))
    content = folder / "bundle"
    files = [_copied(name, source, content) for name, source in sorted(modules.items())]
    entry = content / f"{ENTRY}.py"
    entry.parent.mkdir(parents=True, exist_ok=True)
    entry.write_text(_entry(sorted({*modules, *_frameworks(document)})))
    said = {"entry": f"{ENTRY}:perform", "requirements": locked_requirements([*files, entry], content)}
    (content / bundle.NAME).write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
    return pack(content, folder / "bundle.tar")


def _entry(modules: list[str]) -> str:
    imports = "".join(f"import {name}  # noqa: F401\n" for name in modules)
    return (
        f'"""Runs the stages of an experiment; what it names as callables lies in these modules."""\n\n{imports}\n'
        "from comity.sdk.work import perform  # noqa: F401\n"
    )


def _walk(document: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(document, dict):
        yield document  # pyright: ignore[reportUnknownVariableType]
        document = list(document.values())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(document, list):
        for each in document:  # pyright: ignore[reportUnknownVariableType]
            yield from _walk(each)


def _modules(document: Any) -> set[str]:
    """Names of the user's modules: they are known by their source."""
    return {each["callable"].partition(":")[0] for each in _walk(document) if "callable" in each and "source" in each}


def _frameworks(document: Any) -> set[str]:
    """Libraries that are imported by what the document names, none of which stands in a module of the user's."""
    types = [each["type"] for each in _walk(document) if isinstance(each.get("type"), str)]
    named = {module for start, module in FRAMEWORKS.items() for each in types if each.startswith(start)}
    callables = [each["callable"] for each in _walk(document) if "distribution" in each]
    return named | {each.partition(":")[0].partition(".")[0] for each in callables}


def _closed(names: set[str]) -> dict[str, Path]:
    """The sources of these modules, of their packages, and of whatever else of the user's own they import."""
    found = {name: Path(_source(name)) for name in names}
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        for other in sorted({*_parents(name), *_imported(found[name], name)}):
            if other not in found and (source := _own(other)) is not None:
                found[other] = source
                waiting.append(other)
    return found


def _own(name: str) -> Path | None:
    """The source of a module of the user's own, be it imported yet or not.

    None for what is installed, for a folder without __init__.py, and for what is no module.
    """
    if installed(name):
        return None
    if (loaded := sys.modules.get(name)) is not None:
        return None if getattr(loaded, "__file__", None) is None else Path(_source(name))
    try:
        spec = find_spec(name)
    except ImportError:
        return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


def _imported(path: Path, name: str) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            yield start
            yield from (f"{start}.{each.name}" for each in node.names)


def _source(name: str) -> str:
    try:
        found = getsourcefile(sys.modules[name])
    except TypeError:
        found = None
    if found is None:
        raise InvalidInput(f"the module {name} has no source that could be bundled; write it as a file {name}.py")
    return found


def _copied(name: str, source: Path, into: Path) -> Path:
    inner = Path(*name.split("."))
    path = into / inner / "__init__.py" if source.name == "__init__.py" else into / inner.with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.read_bytes())
    return path
