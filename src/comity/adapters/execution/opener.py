"""An opener: a Python file with one class that has `get_data(folders)` and `fake_data(n_samples)`.

Substra asks for a subclass of `substratools.Opener`; that is one such class, and no other is asked for here.
"""

import ast
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Protocol

from comity.values.errors import InvalidInput

MODULE = "user_opener"

METHODS = frozenset(("get_data", "fake_data"))

LARGEST = 1 << 18
"""Bytes of a text that is parsed: a longer one takes much memory, and is found out at its first task."""

_MAKERS = frozenset(("type", "exec", "eval", "globals", "setattr", "import_module", "__import__"))
"""Names by which a class may come about that no text shows."""


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


def check(text: bytes) -> None:
    """Raise InvalidInput for what cannot be an opener, as far as its text shows; nothing of it is run."""
    if len(text) > LARGEST:
        return
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise InvalidInput(f"the opener is no {version}: {error.msg}, at line {error.lineno}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise InvalidInput(f"the opener cannot be read as {version}: {error}") from error
    nodes = list(ast.walk(tree))
    classes = [each for each in nodes if isinstance(each, ast.ClassDef)]
    if not any(each.bases or _methods(each) >= METHODS for each in classes) and not any(map(_may_bring, nodes)):
        raise InvalidInput(
            "the opener defines no class with get_data and fake_data; make it a subclass of substratools.Opener"
        )
    whole = [each for each in tree.body if isinstance(each, ast.ClassDef) and _is_opener(each)]
    if len(whole) > 1:
        names = ", ".join(each.name for each in whole)
        raise InvalidInput(f"an opener file defines exactly one opener, not: {names}; leave the others out")


def _methods(found: ast.ClassDef) -> set[str]:
    return {each.name for each in found.body if isinstance(each, ast.FunctionDef)}


def _is_opener(found: ast.ClassDef) -> bool:
    """Whether it is one for certain, to Substra and here."""
    named = (each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in found.bases)
    return "Opener" in named and _methods(found) >= METHODS


def _may_bring(node: ast.AST) -> bool:
    """Whether a class may come by this that is defined elsewhere."""
    if isinstance(node, ast.ImportFrom):
        root = (node.module or "").partition(".")[0]
        return node.level > 0 or (root != "substratools" and root not in sys.stdlib_module_names)
    return isinstance(node, ast.Name | ast.Attribute) and getattr(node, "id", getattr(node, "attr", "")) in _MAKERS
