"""The programs that distributions bring, so that a shell finds them: an installer puts none where Python lies."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_][\w.-]{0,99}")
_VALUE = re.compile(r"[A-Za-z_][\w.]*")
_PYTHON = re.compile(r"python[\d.]*|activate.*")

MOST = 10_000
"""Of one environment."""

TEXT = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys
from {module} import {top}
sys.exit({attr}())
"""
"""A shell's line begins it, since the kernel takes no long path there, nor one with a blank; Python reads a text."""


def write(packages: Path, folder: Path) -> None:
    """Write console scripts of the distributions that lie in `packages` beside the Python in `folder`.

    Nothing is run. A name that is no program's, or Python's own, is passed over, and so is what is there already.
    """
    python = folder / "python"
    found = [
        entry
        for distribution in metadata.distributions(path=[str(packages)])
        for entry in distribution.entry_points
        if entry.group == "console_scripts"
    ]
    for entry in found[:MOST]:
        module, _, attr = entry.value.partition("[")[0].strip().partition(":")
        known = _NAME.fullmatch(entry.name) and _VALUE.fullmatch(module) and _VALUE.fullmatch(attr)
        if not known or _PYTHON.fullmatch(entry.name) or (folder / entry.name).exists():
            continue
        text = TEXT.format(python=python, module=module, top=attr.partition(".")[0], attr=attr)
        (folder / entry.name).write_text(text)
        (folder / entry.name).chmod(0o755)
