"""How long `comity up` takes until every node has had a write accepted, and what its daemons hold when idle.

Usage: python -m bench.start [STARTS]: 5 fresh networks of 4 organizations unless given, one after the other. The floor
is a process that imports what hub and node are made of, and nothing else. Memory is the proportional set size (PSS).
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.chaos.network import started

IDLE = 10.0

IMPORTS = "import comity.hub.server, comity.node.server"


def main(starts: int) -> None:
    """Print the figures."""
    taken: list[float] = []
    floors: list[float] = []
    for number in range(starts):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", IMPORTS], check=True)
        floors.append(time.monotonic() - began)
        with TemporaryDirectory() as folder:
            began = time.monotonic()
            with started(Path(folder) / "network", 4) as network:
                taken.append(time.monotonic() - began)
                if number == starts - 1:
                    time.sleep(IDLE)
                    held = [_pss(pid) for kind in ("hub", "node") for pid in network.processes(kind)]
    ratio = median(taken) / median(floors)
    print(f"ready, and logged in at 4 nodes: median {median(taken):.2f} s of {starts}; imports {median(floors):.2f} s,")
    print(f"ratio {ratio:.2f}; PSS of hub and nodes after {IDLE:.0f} s, MB: {held}")


def _pss(pid: int) -> int:
    found = re.search(r"Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())
    return int(found[1]) // 1000 if found else 0


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
