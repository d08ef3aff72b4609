"""A network of `comity up` as a child of this process, which ends with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from comity.values.errors import Unavailable

PATIENCE = 30.0
"""Seconds that it has to end."""


@final
@dataclass(frozen=True)
class Started:
    """The process, and what it printed when it was ready."""

    process: subprocess.Popen[str]
    said: Mapping[str, Any]

    def end(self) -> None:
        """End it, and wait for it; nothing once it has ended."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        if self.process.poll() is None:
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def start(names: Sequence[str], directory: Path) -> Started:
    """The network, once every node has had a write accepted; raises Unavailable when it does not start."""
    command = [sys.executable, "-m", "comity", "up", "--names", ",".join(names), "--dir", str(directory), "--json"]
    process = subprocess.Popen([*command, "--attached"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        return Started(process, json.loads(line))
    except ValueError as error:
        if line:
            process.kill()
        status = process.wait()
        Started(process, {}).end()
        why = f"it said {line[:200]!r}" if line else f"(status {status}); what it printed says why"
        raise Unavailable(f"the network in {directory} did not start {why}") from error
