"""A blob from node to hub to node over a link that cuts every connection after some megabytes, and is slow at times.

Usage: python -m bench.flaky [MEGABYTES] [CUT]: a blob of 1,000 MB, cut after about every 150 MB, unless given. Prints
how long it took, how many bytes crossed the link beyond those that had to (the blob, up and down), how often it was
cut, and the peak memory of hub and nodes. Each process is started by hand, as `docs/howto/deploy.md` has it.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.chaos.network import Node

PIECE = 1 << 16

COMITY = str(Path(sys.executable).with_name("comity"))

BIG = b"""import os
def work(inputs, outputs, task_properties):
    with open(outputs["blob"], "wb") as file:
        for _ in range(MEGABYTES):
            file.write(os.urandom(1000) * 1000)
"""

SIZE = b"""import os
def work(inputs, outputs, task_properties):
    open(outputs["size"], "w").write(str(os.path.getsize(inputs["blob"])))
"""


class Link:
    """Forwards TCP connections, counts their bytes, cuts them, and pauses now and then."""

    def __init__(self, cut: int) -> None:
        self.port = 0
        self.target = 0
        self.crossed = 0
        self.cuts = 0
        self._cut = cut
        self._chance = random.Random(1)
        self._ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._ready.wait()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await server.serve_forever()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = [self._chance.uniform(0.5, 1.5) * self._cut]
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        ways = [self._pump(reader, far_writer, left), self._pump(far_reader, writer, left)]
        await asyncio.gather(*ways, return_exceptions=True)
        for each in (writer, far_writer):
            each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[float]) -> None:
        while data := await reader.read(PIECE):
            left[0] -= len(data)
            if left[0] < 0:
                self.cuts += 1
                writer.transport.abort()
                return
            self.crossed += len(data)
            if self._chance.random() < 0.002:
                await asyncio.sleep(0.05)
            writer.write(data)
            await writer.drain()
        writer.close()


def main(megabytes: int, cut: int) -> dict[str, Any]:
    """Print the figures, and return them."""
    link = Link(cut * 1_000_000)
    with TemporaryDirectory() as folder, _network(Path(folder), link) as (nodes, processes):
        a, b = nodes
        models = {"blob": {"kind": "ASSET_MODEL", "multiple": False}}
        big = a.function(BIG.replace(b"MEGABYTES", str(megabytes).encode()), {}, models)
        size = b.function(SIZE, {"blob": {**models["blob"], "optional": False}}, {"size": models["blob"]})
        plan = a.post("/compute_plan/", {"key": str(uuid.uuid4()), "name": "big"})["key"]
        first, second = str(uuid.uuid4()), str(uuid.uuid4())
        output = {"permissions": {"public": False, "authorized_ids": ["b"]}, "transient": False}
        common = {"compute_plan_key": plan, "tag": None, "metadata": None, "rank": None}
        taken = {"identifier": "blob", "parent_task_key": first, "parent_task_output_identifier": "blob"}
        tasks = [
            {"key": first, "function_key": big, "worker": "a", "inputs": [], "outputs": {"blob": output}},
            {"key": second, "function_key": size, "worker": "b", "inputs": [taken], "outputs": {"size": output}},
        ]
        before = link.crossed
        a.post("/task/bulk_create/", {"tasks": [{**task, **common} for task in tasks]})
        while a.get(f"/task/{first}/")["status"] not in ("STATUS_DONE", "STATUS_FAILED"):
            time.sleep(0.05)
        began = time.monotonic()
        while (now := a.get(f"/compute_plan/{plan}/"))["status"] not in ("PLAN_STATUS_DONE", "PLAN_STATUS_FAILED"):
            time.sleep(0.1)
        seconds, crossed = time.monotonic() - began, link.crossed - before
        peak = {name: _peak(pid) for name, pid in processes.items()}
    needed = 2 * megabytes * 1_000_000
    made = {"status": now["status"], "cuts": link.cuts, "again": crossed / needed - 1, "peak_mib": peak}
    print(
        f"{megabytes} MB {now['status']} in {seconds:.1f} s, {link.cuts} cuts, {100 * made['again']:.1f} % of the bytes"
    )
    print(f"beyond those that had to cross; peak memory in MiB: {peak}")
    return made


@contextmanager
def _network(folder: Path, link: Link) -> Iterator[tuple[list[Node], dict[str, int]]]:
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str) -> str:
        output = (folder / f"{name}.txt").open("wb")
        running.append(subprocess.Popen([COMITY, *arguments], stdout=output, stderr=output, cwd=folder))
        while not (found := re.search(r"https?://\S+?:(\d+)", (folder / f"{name}.txt").read_text())):
            if running[-1].poll() is not None:
                raise SystemExit((folder / f"{name}.txt").read_text())
            time.sleep(0.05)
        return found[0]

    try:
        url = f"https://127.0.0.1:{link.port}"
        port = _free_port()
        link.target = port
        start("hub", "hub", "start", "--dir", "hub", "--host", "127.0.0.1", "--port", str(port), "--url", url)
        invite = [COMITY, "hub", "invite", "a", "b", "--dir", "hub", "--json"]
        tokens = json.loads(subprocess.check_output(invite, cwd=folder))
        nodes: list[Node] = []
        for name, token in tokens.items():
            said = subprocess.check_output([COMITY, "node", "join", token, "--dir", name], cwd=folder, text=True)
            password = re.search(r"password (\S+),", said)
            address = start(name, "node", "start", "--dir", name, "--port", "0")
            assert password is not None
            nodes.append(Node({"organization": name, "url": address, "user": "admin", "password": password[1]}))
        yield nodes, dict(zip(["hub", *tokens], [each.pid for each in running], strict=True))
    finally:
        for each in reversed(running):
            each.terminate()
            each.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _peak(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    main(*(given + [1000, 150][len(given) :]))
