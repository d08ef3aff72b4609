"""An opener: a Python file with one class that has `get_data(folders)` and `fake_data(n_samples)`.

Substra asks for a subclass of `substratools.Opener`; that is one such class, and no other is asked for here.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Protocol

from comity.values.errors import InvalidInput

MODULE = "user_opener"


class Opener(Protocol):
    """What turns data samples into what a function takes."""

    def get_data(self, folders: list[str]) -> Any: ...
    def fake_data(self, n_samples: int) -> Any: ...


def load(path: Path) -> Opener:
    """The opener in a file; raises what the file raises, and InvalidInput unless it defines exactly one."""
    spec = spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"the opener {path.name!r} is no Python file; name it opener.py")
    module = module_from_spec(spec)
    sys.modules[MODULE] = module
    spec.loader.exec_module(module)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == MODULE  # what it imports, substratools.Opener too, is not its own
        and all(callable(getattr(value, name, None)) for name in ("get_data", "fake_data"))
    ]
    if len(set(found)) != 1:
        names = ", ".join(sorted(each.__name__ for each in found)) or "none"
        raise InvalidInput(f"an opener file defines exactly one class with get_data and fake_data, not: {names}")
    return found[0]()
