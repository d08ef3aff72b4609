"""Where uv is."""

import shutil
import sys
from pathlib import Path


def uv() -> str | None:
    """The program beside this Python, or else on the path; None where there is none."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")
