"""A bundle: a folder of modules and a `function.json` that says where in them the function is.

    {"entry": "module:callable", "requirements": ["numpy==2.4.6", ...]}

The requirements are locked, each to one version, and complete; `comity.values.requirements` has their form. Without
any the function runs with whatever the node itself has.

Fields that are not known here are ignored; those to come are optional. The callable has Substra's shape,
`function(inputs, outputs, task_properties)`:

- `inputs[identifier]` is the path of a file as text, a list of them for an input with many values;
  `inputs["datasamples"]` is what the opener's `get_data` made of the samples' folders;
- `outputs[identifier]` is the path to write a regular file to: a model, or a performance;
- `task_properties` has `rank`, `compute_task_key` and `compute_plan_key`.

The function has ended when it returns: threads and processes that it leaves behind are killed.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec

from comity.adapters.execution import script
from comity.adapters.execution.script import Script
from comity.values.errors import DecodeError, InvalidInput

NAME = "function.json"
LONGEST = 2**20

_DOTTED = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"

Callee: TypeAlias = Callable[[dict[str, Any], dict[str, str], dict[str, Any]], object]

Loaded: TypeAlias = Callee | Script
"""What a bundle, or an image, has to run."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """What `function.json` says."""

    entry: Annotated[str, msgspec.Meta(max_length=500, pattern=rf"\A{_DOTTED}:{_DOTTED}\Z")]
    """Module and callable: `package.module:name`."""
    requirements: tuple[str, ...] = ()
    """Lines that are not examined here: a task needs them no more."""


_decoder = msgspec.json.Decoder(Function)


def decode(text: bytes) -> Function:
    """What the text of a `function.json` says; raises DecodeError when it is not of that form.

    >>> decode(b'{"entry": "model:train"}').entry
    'model:train'
    """
    if len(text) > LONGEST:
        raise DecodeError(f"{NAME} has more than {LONGEST} bytes")
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DecodeError(f'{NAME} is not like {{"entry": "module:callable"}}: {error}') from error


def read(folder: Path) -> Function:
    """What the bundle in this folder says about itself; raises DecodeError when it has no valid `function.json`."""
    try:
        with (folder / NAME).open("rb") as file:
            return decode(file.read(LONGEST + 1))
    except OSError as error:
        raise DecodeError(f"the bundle has no readable {NAME} at its root ({error.strerror}); add one") from error


def load(folder: Path) -> Loaded:
    """Import the bundle under its own name and give its callable; this process can load no second bundle.

    An image gives its script, of which nothing has run. Raises what its modules raise; InvalidInput when the entry is
    not the bundle's or cannot be called.
    """
    if (folder / script.NAME).is_file():
        return Script(folder)
    entry = read(folder).entry
    name, _, path = entry.partition(":")
    sys.path.insert(0, str(folder))
    module = import_module(name)
    if not (module.__file__ and Path(module.__file__).is_relative_to(folder)):
        raise InvalidInput(f"{name!r} is the module {module.__file__ or 'of Python'}, not the bundle's; rename yours")
    callee = attrgetter(path)(module)
    if not callable(callee):
        raise InvalidInput(f"{entry!r} is a {type(callee).__name__}; name a function")
    return callee
