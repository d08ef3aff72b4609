"""The files of a function as its Dockerfile lays them out, and beside them what says how to run it."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from comity.adapters.disk import is_full
from comity.adapters.execution import script
from comity.adapters.substra.recipe import NAME, Copy, Program, Recipe
from comity.values.errors import DecodeError

SUBSTRAFL = "substrafl_internal"
"""The folder by which SubstraFL's archives are known."""

AS_BEFORE = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
"""SubstraFL 1.0 keeps objects of its own in its states; torch.load refuses those from 2.6 on, unless it is told to."""


def begin(folder: Path) -> None:
    """Make an image without files."""
    (folder / script.FILES).mkdir(parents=True)


def place(folder: Path, path: str) -> Path:
    """Where an absolute path of the image lies."""
    return folder.joinpath(script.FILES, *[part for part in path.split("/") if part])


def copy(step: Copy, archive: Path, folder: Path) -> None:
    """Copy files of the archive; raises DecodeError for what cannot be put where it is to be."""
    for found in step.found(archive):
        to = place(folder, step.to)
        into = to / found.name if found.is_file() and (step.to.endswith("/") or to.is_dir()) else to
        try:
            if found.is_dir():
                shutil.copytree(found, into, dirs_exist_ok=True)
            else:
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found, into)
            if step.executable is not None:
                _give(0o755 if step.executable else 0o644, found, into)
        except (OSError, shutil.Error) as error:
            if is_full(error):
                raise
            raise DecodeError(f"{found.name} of the archive cannot be put at {step.to}: {error}") from error


def _give(mode: int, found: Path, into: Path) -> None:
    """Give copies their mode; folders keep theirs, since the node itself reads them and deletes them."""
    if found.is_file():
        return into.chmod(mode)
    for each in found.rglob("*"):
        if each.is_file():
            (into / each.relative_to(found)).chmod(mode)


def end(recipe: Recipe, folder: Path) -> None:
    """Write down how it is run; raises DecodeError when its script is not there."""
    program: Program = recipe.program
    if program.script and not place(folder, program.script).is_file():
        raise DecodeError(f"the {NAME}'s ENTRYPOINT runs {program.script}, which is not in the image; COPY it")
    home = place(folder, program.folder)
    if home.exists() and not home.is_dir():
        raise DecodeError(f"the {NAME}'s WORKDIR {program.folder} is a file")
    home.mkdir(parents=True, exist_ok=True)
    said = script.Said(
        script=program.script.lstrip("/"),
        module=program.module,
        arguments=program.arguments,
        folder=program.folder.lstrip("/"),
        variables={**(AS_BEFORE if (home / SUBSTRAFL).is_dir() else {}), **program.variables},
    )
    (folder / script.NAME).write_bytes(msgspec.json.encode(said))
