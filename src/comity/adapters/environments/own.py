"""The interpreter that the node itself runs in, and what is installed for it."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Sequence, Set
from importlib import metadata
from pathlib import Path

from comity.ports.environments import Environment
from comity.values.digest import Digest, canonical, digest
from comity.values.errors import BuildFailed
from comity.values.requirements import SELF, Locked

WARM = {
    **{"numpy": "numpy", "scipy": "scipy", "torch": "torch", "scikit-learn": "sklearn.linear_model"},
    **{"pandas": "pandas", "substratools": "substratools", "substrafl": "substrafl"},
}
"""Distributions whose import is worth being paid once, and the module to import.

That of scikit-learn is one that brings what most of its models need.
"""

PACKAGE = Path(__file__).parents[2]


def applying(requirements: Sequence[Locked]) -> tuple[Locked, ...]:
    """Those whose markers hold here, but for comity itself, which is never installed."""
    return tuple(each for each in requirements if each.name != SELF and each.applies())


def check_comity(requirements: Sequence[Locked]) -> None:
    """Raise BuildFailed when they are locked to another comity than the node's."""
    here = metadata.version(SELF)
    other = next((each for each in requirements if each.name == SELF and not each.met_by(here)), None)
    if other is not None:
        raise BuildFailed(
            f"the function is locked to comity {other.version}, and this node has {here}; register it with that version"
        )


def digest_of(requirements: Sequence[Locked]) -> Digest:
    """What names an environment: of this interpreter with those requirements."""
    interpreter = [sys.implementation.cache_tag, sysconfig.get_platform()]
    lines = [str(Locked(each.name, each.version, each.extras, "", each.hashes)) for each in requirements]
    return digest(canonical({"interpreter": interpreter, "requirements": lines}))


def lacks(requirements: Sequence[Locked]) -> str:
    """Why the node's own environment will not do for the requirements, or nothing.

    Hashes are those of files, which nobody knows of what is installed already.
    """
    for each in (each for each in requirements if each.applies()):
        try:
            found = metadata.version(each.name)
        except metadata.PackageNotFoundError:
            return f"{each.name} is not installed for the node itself"
        if not each.met_by(found):
            return f"{each.name} is {found} for the node itself, not {each.version}"
        if each.hashes and each.name != SELF:
            return f"{each.name} is to have a certain hash"
    return ""


def environment(requirements: Sequence[Locked]) -> Environment:
    """The node's own environment, for locked requirements."""
    return serving(digest_of(requirements), warm(requirements))


def serving(name: Digest, warm: tuple[str, ...], locked: tuple[str, ...] = ()) -> Environment:
    """The node's own environment, under the digest of what it serves for."""
    folders = {Path(sys.base_prefix), Path(sys.prefix), *map(Path, sysconfig.get_paths().values()), PACKAGE}
    return Environment(
        digest=name,
        python=Path(sys.executable),
        mounts=outermost(folders),
        warm=warm,
        locked=locked,
    )


def outermost(paths: set[Path]) -> tuple[Path, ...]:
    """Those that are there and lie in no other."""
    there = {path for path in paths if path.exists()}
    return tuple(sorted(path for path in there if not there.intersection(path.parents)))


def warm(requirements: Sequence[Locked]) -> tuple[str, ...]:
    """What to import before the first task, numpy always: comity's own code needs it."""
    return worth_warming({"numpy", *(each.name for each in requirements)})


def worth_warming(names: Set[str]) -> tuple[str, ...]:
    """Of these distributions what to import before the first task."""
    return tuple(module for name, module in WARM.items() if name in names)
