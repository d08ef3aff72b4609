"""The requirements that a bundle's modules have, locked to what is installed where they were written."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from comity.adapters.environments.closure import needed
from comity.values.errors import InvalidInput
from comity.values.requirements import SELF


def locked_requirements(modules: Iterable[Path], folder: Path) -> tuple[str, ...]:
    """Lines `name==version` for whatever source files in a bundle's folder import, and for all that this needs in turn.

    Modules of the bundle itself and of Python are left out; so is what an import within `try` does not find. comity
    is named by its version alone, since every node has it. Versions are without their local part: what was tried
    with torch 2.13.0+cpu may run with 2.13.0+cu130.

    Raises InvalidInput when a module is not installed, or installed from a folder, where no node would find it.
    """
    files = tuple(modules)
    # models/torch.py is no module torch
    own = {Path(path.relative_to(folder).parts[0]).stem for path in files}
    providers = _providers(tuple((each, _changed(each)) for each in sys.path))
    roots: set[str] = set()
    for path in files:
        for name, optional in _imports(path):
            top = name.partition(".")[0]
            if top in own or top in sys.stdlib_module_names:
                continue
            if top == SELF:
                roots.add(SELF)
            elif top in providers:
                roots |= _providing(name, providers[top])
            elif not optional:
                raise InvalidInput(f"{path.name} imports {top}, which no distribution here has; install it")
    found = needed(map(Requirement, sorted(roots)), sys.path)
    return tuple(sorted(f"{name}=={_version(distribution)}" for name, distribution in found.items()))


@lru_cache(maxsize=1)
def _providers(_: tuple[tuple[str, int], ...]) -> Mapping[str, Sequence[str]]:
    """The distributions that have each top-level package, read again when a folder of sys.path has changed."""
    # A fifth of a second, since it parses the list of every file that is installed, for each run that is begun.
    return metadata.packages_distributions()


def _changed(folder: str) -> int:
    """When something was last installed into a folder or taken from it."""
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(a module's dotted name, whether the source goes on without it), anywhere in a file."""
    try:
        tree = ast.parse(path.read_bytes(), path.name)
    except (SyntaxError, ValueError) as error:
        raise InvalidInput(f"{path} is no Python: {error}") from error
    tried = {id(each) for node in ast.walk(tree) if isinstance(node, ast.Try) for each in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.name, id(node) in tried) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((f"{node.module}.{each.name}", id(node) in tried) for each in node.names)


def _providing(name: str, distributions: Sequence[str]) -> set[str]:
    """Of those that share a top-level package the ones that have the module; all where that is not to be told."""
    several = set(distributions)
    if len(several) == 1:
        return several
    paths = [name.replace(".", "/"), name.rpartition(".")[0].replace(".", "/")]
    for path in paths:
        endings = (f"{path}.py", f"{path}/__init__.py")
        having = {each for each in several if any(str(file) in endings for file in metadata.files(each) or ())}
        if having:
            return having
    return several


def _version(distribution: Distribution) -> str:
    if distribution.read_text("direct_url.json") and distribution.name != SELF:
        raise InvalidInput(
            f"{distribution.name} is not from an index, where nodes look for it; put its modules into the bundle"
        )
    return Version(distribution.version).public
