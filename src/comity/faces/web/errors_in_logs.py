"""Where in a log it says what went wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

LINE = re.compile(r'^\s*File "([^"]+)", line (\d+)', re.MULTILINE)


@final
@dataclass(frozen=True)
class Trouble:
    """What a traceback ends in."""

    said: str
    """Its last line: the error."""
    file: str
    line: int
    code: str
    """The line that failed."""


def trouble(log: str) -> Trouble | None:
    """What the last traceback of a log says; None where there is none.

    >>> log = "Traceback (most recent call last):\\n  File \\"m.py\\", line 3, in f\\n    x / 0\\nZeroDivisionError: no"
    >>> trouble(log)
    Trouble(said='ZeroDivisionError: no', file='m.py', line=3, code='x / 0')
    """
    lines = log.rstrip().splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if not starts:
        return None
    frames = [at for at in range(starts[-1], len(lines)) if LINE.match(lines[at])]
    said = next((line for line in lines[(frames[-1] if frames else starts[-1]) + 1 :] if line[:1].strip()), "")
    if not frames or not said:
        return None
    found = LINE.match(lines[frames[-1]])
    assert found is not None
    after = lines[frames[-1] + 1] if frames[-1] + 1 < len(lines) else ""
    return Trouble(said=said, file=found[1], line=int(found[2]), code=after.strip() if after.startswith("  ") else "")
