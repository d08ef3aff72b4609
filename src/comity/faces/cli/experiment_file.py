"""A user's Python file, and what is wrong with it in one sentence with its line."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, final

import comity
from comity.values.errors import ComityError, InvalidInput

FOREIGN = (Path(comity.__file__).parent, *(Path(each).resolve() for each in sysconfig.get_paths().values()))
"""Where lines are not the user's."""


@final
class ExperimentFile:
    """The file, run once; `module` holds what it defines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.module = _loaded(path)

    def __getitem__(self, name: str) -> Any:
        if not hasattr(self.module, name):
            hint = ", or choose --data" if name == "sites" else ""
            raise InvalidInput(f"{self.path} does not define `{name}`; write `{name} = ...` in it{hint}")
        return getattr(self.module, name)


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Errors of the user's code as `file:line: reason`."""
    try:
        yield
    except (Exception, SystemExit) as error:
        place = _place(error, path)
        if isinstance(error, ComityError) and place == str(path):
            raise
        raise InvalidInput(f"{place}: {_reason(error)}") from error


def _loaded(path: Path) -> ModuleType:
    if path.is_dir():
        raise InvalidInput(f"{path} is a directory; give the Python file in it that defines `experiment`")
    if not path.is_file():
        near = sorted(each.name for each in path.parent.glob("*.py")) if path.parent.is_dir() else []
        close = get_close_matches(path.name, near, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; in its folder: {', '.join(near[:5])}" if near else ""
        raise InvalidInput(f"there is no file {path}{hint}")
    if path.stem in sys.modules:
        raise InvalidInput(f"{path} has the name of the module {path.stem!r}, which is in use; rename the file")
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{path} is not a Python file; give one that defines `experiment`")
    module = module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[path.stem] = module
    with explained(path):
        spec.loader.exec_module(module)
    return module


def _place(error: BaseException, path: Path) -> str:
    """The last line of the user's own code that the error went through."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith("<") and not _foreign(Path(frame.filename))]
    if not own:
        return str(path)
    same = Path(own[-1].filename).resolve() == path.resolve()
    return f"{path if same else own[-1].filename}:{own[-1].lineno}"


def _foreign(file: Path) -> bool:
    return any(file.resolve().is_relative_to(place) for place in FOREIGN)


def _reason(error: BaseException) -> str:
    said = str(error.msg if isinstance(error, SyntaxError) else error)
    if isinstance(error, AttributeError) and error.obj is not None:
        close = get_close_matches(error.name or "", dir(error.obj), n=1)
        said += f"; did you mean {close[0]!r}?" if close else ""
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    kind = "" if isinstance(error, ComityError | SyntaxError) else f"{type(error).__name__}: "
    return f"{kind}{said}{notes}"
