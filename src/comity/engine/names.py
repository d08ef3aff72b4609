"""How the parts of an experiment are called in documents: as a user writes them after `co.`."""

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from inspect import getsource, getsourcefile
from pathlib import Path
from typing import Any

from comity.values.errors import NotSupported

FLOORS_UNSAID = ("values", "engine", "frameworks")
"""Packages whose names a user does not write: `co.SGD`, not `co.values.SGD`."""


def public_name(kind: type) -> str | None:
    """The name of one of comity's classes; None for anybody else's.

    >>> from comity.strategies.fedavg import FedAvg
    >>> public_name(FedAvg)
    'strategies.FedAvg'
    """
    parts = kind.__module__.split(".")
    if parts[0] != "comity":
        return None
    inner = parts[2:] if parts[1] in FLOORS_UNSAID else parts[1:]
    package = inner[0] if parts[1] in ("frameworks", "strategies", "metrics", "privacy", "compression") else ""
    return f"{package}.{kind.__name__}" if package else kind.__name__


def reference(function: Callable[..., Any]) -> dict[str, str]:
    """What a named top-level function or class is known by.

    Of an installed library: distribution, version and name. Of a user's own module, also one that is
    installed in place: its name and the SHA-256 of its source, so that another version is another
    experiment; what it imports in turn is not looked at. Raises NotSupported for lambdas, closures and
    whatever was defined in `__main__`.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not module or "<" in name or _lookup(module, name) is not function:
        raise NotSupported(
            f"{name or function!r} cannot be named from outside; write it as a top-level def in a module of its own"
        )
    if module == "__main__":
        raise NotSupported(f"{name} is defined in the script itself; move it to a module beside it and import it")
    known = {"callable": f"{module}:{name}"}
    package = module.partition(".")[0]
    if package == "comity":
        return known
    if library := _library(package):
        return {**known, "distribution": library}
    try:
        source = getsourcefile(sys.modules[module])
    except TypeError:  # a module of the interpreter itself
        source = None
    if source is None:
        raise NotSupported(f"{module}:{name} has no source that could be read; wrap it in a def of your own")
    return {**known, "source": f"sha256:{sha256(Path(source).read_bytes()).hexdigest()}"}


def local_reference(function: Callable[..., Any]) -> dict[str, str]:
    """What any callable is known by on this machine: a lambda or a closure by its own source, without what it holds."""
    try:
        return reference(function)
    except NotSupported:
        name = getattr(function, "__qualname__", type(function).__name__)
        try:
            source = getsource(function)
        except (OSError, TypeError):
            source = name
        return {"callable": name, "source": f"sha256:{sha256(source.encode()).hexdigest()}"}


def installed(module: str) -> bool:
    """Whether a module came with Python, comity or a library, and so is no source of the user's own.

    >>> installed("json"), installed("comity")
    (True, True)
    """
    package = module.partition(".")[0]
    return package in sys.stdlib_module_names or package == "comity" or _library(package) is not None


def remember() -> None:
    """Read the file lists of everything installed now: for a process that forks others, each of which would."""
    _files()


@cache
def _library(package: str) -> str | None:
    """Name and version of the distribution that this package was installed by; None when its source lies elsewhere."""
    home = _home(package)
    if home is None or not any(map(_has_distributions, Path(home).parents)):
        return None
    owners = list(_owners(package))
    if not owners:
        _files.cache_clear()  # it may have been installed meanwhile
        owners = list(_owners(package))
    for found in owners:
        if Path(home).is_relative_to(str(found.locate_file(""))):
            return f"{found.name} {found.version}"
    return None


def _owners(package: str) -> Iterator[Distribution]:
    """The distributions that have installed a package, or say so."""
    # As `importlib.metadata.packages_distributions`, which takes ten times as long: it parses every line of every list.
    module = re.compile(rf"^{re.escape(package)}(/|\.([^/\n]*\.)?(py|pyc|so|pyd)(,|$))", re.MULTILINE)
    for found, declared, files in _files():
        if package in declared if declared else module.search(files):
            yield found


@cache
def _files() -> tuple[tuple[Distribution, frozenset[str], str], ...]:
    """Each distribution, the packages that it says it has, and its list of files, as it was written."""
    return tuple(
        (
            found,
            frozenset((found.read_text("top_level.txt") or "").split()),
            found.read_text("RECORD") or found.read_text("installed-files.txt") or "",
        )
        for found in distributions()
    )


def _has_distributions(folder: Path) -> bool:
    return next(iter(distributions(path=[str(folder)])), None) is not None


def _home(package: str) -> str | None:
    """The file of a top-level package, imported or not, or the first of its folders where it has none."""
    if home := getattr(sys.modules.get(package), "__file__", None):
        return home
    try:
        spec = find_spec(package)
    except ValueError:  # made by hand
        return None
    return None if spec is None else next(iter(spec.submodule_search_locations or ()), spec.origin)


def _lookup(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
