"""A function that is a program of its own, as Substra runs them: a script that reads its arguments from a file.

`substratools`' command line is what such a script understands; `comity` itself is nothing to it. The file `image.json`
says where the script is in the folder `files` beside it. Python 3.10 can run this.
"""

import json
import os
import runpy
import sys
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, final

import msgspec

from comity.adapters.execution.messages import Start
from comity.values.errors import DecodeError

NAME = "image.json"
FILES = "files"
"""The folder of the image's files."""

ARGUMENTS = "arguments.txt"

CWD = "cwd"
"""Where a script runs: it may write there, and finds links to the files of the image's own folder."""

KEPT = ("OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "VECLIB_", "RAYON_", "CUDA_", "LD_", "PYTHON")
"""How variables begin that are this node's to set."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What `image.json` says; paths are within `files`."""

    script: str
    module: str
    arguments: tuple[str, ...]
    folder: str
    variables: dict[str, str]


@final
class Script:
    """A script that is read, and not yet run."""

    def __init__(self, folder: Path) -> None:
        self._said = said = read(folder)
        self._files = folder / FILES
        self._path = self._files / said.script
        self._code: CodeType | None = None
        if said.script:
            self._code = compile(self._path.read_bytes(), str(self._path), "exec", dont_inherit=True)

    def run(self, start: Start) -> None:
        """Run it as the main program of this process; raises what it raises, and SystemExit unless it ends well."""
        said, home = self._said, self._files / self._said.folder
        self._settle(home, start)
        try:
            if self._code is None:
                sys.argv = [said.module, *said.arguments, f"@{start.scratch}/{ARGUMENTS}"]
                sys.path.insert(0, str(home))
                runpy.run_module(said.module, run_name="__main__", alter_sys=True)
            else:
                sys.argv = [str(self._path), *said.arguments, f"@{start.scratch}/{ARGUMENTS}"]
                sys.path.insert(0, str(self._path.parent))
                self._before = sys.modules["__main__"]  # kept: what is deleted loses its names
                sys.modules["__main__"] = main = ModuleType("__main__")
                main.__file__ = str(self._path)
                exec(self._code, vars(main))
        except SystemExit as ended:
            if ended.code not in (None, 0):
                raise

    def _settle(self, home: Path, start: Start) -> None:
        set_here = {name: value for name, value in self._said.variables.items() if not name.startswith(KEPT)}
        os.environ.update(set_here)
        for each in reversed(self._said.variables.get("PYTHONPATH", "").split(":")):
            if each:
                sys.path.insert(0, str(self._files.joinpath(*Path(each).parts[each.startswith("/") :])))
        Path(start.scratch, ARGUMENTS).write_text("".join(f"{line}\n" for line in arguments(start)))
        cwd = Path(start.scratch, CWD)
        cwd.mkdir()
        for each in home.iterdir():
            (cwd / each.name).symlink_to(each)
        os.chdir(cwd)


def read(folder: Path) -> Said:
    """What the image in this folder says about itself; raises DecodeError when it has no valid `image.json`."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Said)
    except (OSError, msgspec.DecodeError) as error:
        raise DecodeError(f"the image has no readable {NAME} at its root: {error}") from error


def arguments(start: Start) -> list[str]:
    """The command line of substratools for a task, an argument a line."""
    inputs: list[dict[str, Any]] = []
    if start.opener is not None:
        inputs.append(_item("opener", start.opener, multiple=False))
        inputs += [_item("datasamples", each, multiple=True) for each in start.samples]
    for name, given in start.inputs.items():
        if isinstance(given, str):
            inputs.append(_item(name, given, multiple=False))
        else:
            inputs += [_item(name, each, multiple=True) for each in given]
    outputs = [_item(name, path, multiple=False) for name, path in start.outputs.items()]
    return [
        "--task-properties",
        json.dumps({"rank": start.rank}),
        "--inputs",
        json.dumps(inputs),
        "--outputs",
        json.dumps(outputs),
    ]


def _item(name: str, path: str, *, multiple: bool) -> "dict[str, Any]":
    return {"id": name, "value": path, "multiple": multiple}
