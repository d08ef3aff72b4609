"""What every environment gets from the node: comity itself, and what running a task with it needs.

A folder of links to the node's own installation, last on the path of a built environment: so a task speaks the
node's own language, nothing of it is downloaded, and whatever the environment locks comes first.
"""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

from comity.adapters.environments.own import PACKAGE
from comity.values.requirements import SELF

NEEDS = ("msgspec", "numpy", "packaging", "rfc8785", "scipy", "threadpoolctl")
"""Of comity's requirements those that its code imports within a task."""


PROTOCOL = "msgspec"
"""What is needed by the process that runs scripts of another Python: it has a part for each."""


def linked_beside(folder: Path) -> tuple[Path, ...]:
    """Link comity alone into a folder where another Python has what it needs; where the link leads."""
    (folder / PACKAGE.name).symlink_to(PACKAGE)
    return (PACKAGE,)


def link(folder: Path) -> tuple[Path, ...]:
    """Make the folder anew; where its links lead."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    targets = {PACKAGE}
    for name in (SELF, *NEEDS):
        distribution = metadata.distribution(name)
        tops = {path.parts[0] for path in distribution.files or () if path.suffix != ".pth"} - {"..", "__pycache__"}
        targets |= {Path(str(distribution.locate_file(top))).resolve() for top in tops}
    for target in targets:
        (folder / target.name).symlink_to(target)
    return tuple(sorted(targets))
