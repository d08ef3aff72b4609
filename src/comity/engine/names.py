"""How the parts of an experiment are called in documents: as a user writes them after `co.`."""

import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import packages_distributions, version
from inspect import getsourcefile
from pathlib import Path
from typing import Any

from comity.values.errors import NotSupported

FLOORS_UNSAID = ("values", "engine", "frameworks")
"""Packages whose names a user does not write: `co.SGD`, not `co.values.SGD`."""


def public_name(kind: type) -> str:
    """The name of one of comity's classes, `module:name` for anybody else's.

    >>> from comity.strategies.fedavg import FedAvg
    >>> public_name(FedAvg)
    'strategies.FedAvg'
    """
    parts = kind.__module__.split(".")
    if parts[0] != "comity":
        return f"{kind.__module__}:{kind.__qualname__}"
    inner = parts[2:] if parts[1] in FLOORS_UNSAID else parts[1:]
    package = inner[0] if parts[1] in ("frameworks", "strategies", "metrics") else ""
    return f"{package}.{kind.__name__}" if package else kind.__name__


def reference(function: Callable[..., Any]) -> dict[str, str]:
    """What a named top-level function or class is known by.

    Of an installed library: distribution, version and name. Of a user's own module: its name and the
    SHA-256 of the module's source, so that another version is another experiment. Raises
    NotSupported for lambdas, closures and whatever was defined in `__main__`.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not module or "<" in name or _lookup(module, name) is not function:
        raise NotSupported(
            f"{name or function!r} cannot be named from outside; write it as a top-level def in a module of its own"
        )
    if module == "__main__":
        raise NotSupported(f"{name} is defined in the script itself; move it to a module beside it and import it")
    package = module.partition(".")[0]
    if package == "comity":
        return {"callable": f"{module}:{name}"}
    distributions = packages_distributions().get(package)
    if distributions:
        return {"callable": f"{module}:{name}", "distribution": f"{distributions[0]} {version(distributions[0])}"}
    source = getsourcefile(sys.modules[module])
    if source is None:
        raise NotSupported(f"{module}:{name} has no source to be read; give functions that have one")
    return {"callable": f"{module}:{name}", "source": f"sha256:{sha256(Path(source).read_bytes()).hexdigest()}"}


def _lookup(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
