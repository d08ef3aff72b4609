"""A node's part in the probes: runs them through a real pool, and writes down what became of them.

Usage: python host.py FOLDER LEVEL

In FOLDER lies what a hostile function is after. At level plain only those run that are harmless there.
"""

import asyncio
import json
import os
import secrets
import socket
import stat
import sys
import threading
import tomllib
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from comity.adapters.environments.own import environment
from comity.adapters.execution.isolation import Level
from comity.adapters.execution.job import Job
from comity.adapters.execution.limits import MIB, Limits
from comity.adapters.execution.pool import Pool
from comity.adapters.execution.way import Way

PROBES = [
    probe
    for name in ("reaching", "leaving")
    for probe in tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text())["probe"]
]

LIMITS = Limits(memory=256 * MIB, disk=32 * MIB, files=400, temporary=8 * MIB, processes=64, open_files=128)

BEFORE = """
import ctypes, fcntl, json, mmap, os, platform, resource, shutil, signal, socket, stat, subprocess
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
"""
BODY = """
def f(inputs, outputs, task_properties):
    with open(inputs["host"]) as file:
        host = json.load(file)
    host["canary"] = host["canary"][::-1]
    got = []
    def attempt(what, call, *arguments, **named):
        try:
            call(*arguments, **named)
        except (OSError, ValueError):
            return
        got.append(what)
    def syscall(*arguments):
        longs = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
        if libc.syscall(*longs) == -1:
            raise OSError(ctypes.get_errno())
"""
END = """
    with open(outputs["got"], "w") as file:
        json.dump(got, file, default=str)
"""
LATER = """
def parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])
for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
    if pid not in (1, os.getpid()) and parent(pid) != 1:
        got.append(pid)
"""
"""A process that is no zygote, which the first process has for a child, and not the task's own."""

VICTIM = """
kept = [open(os.path.join(folder, "row")).read() for folder in inputs["datasamples"]]
open(inputs["pipe"]).read()
"""

OPENER = """
class Rows:
    def get_data(self, folders): return folders
    def fake_data(self, n): return []
"""


class Stage:
    """The folders of a node, and its pool."""

    def __init__(self, folder: Path, level: Level) -> None:
        self.canary = os.environ["COMITY_TOKEN"]
        self.folder, self.node = folder, folder / "environment" / "node"
        # Whoever made an environment in a folder and keeps the node in it too must not show every task the node's keys.
        own = environment(())
        self.environment = replace(own, mounts=(*own.mounts, folder / "environment"))
        self.level = level
        self.pool = Pool(3, self.node / "sandboxes", Way(level=level, demanded=level, limits=LIMITS), hidden=self.node)
        for name in (
            "node.key",
            "node.db",
            "admin-password",
            "channels/1/scratch/other/inputs/model",
            "../../other/row",
        ):
            (self.node / name).parent.mkdir(parents=True, exist_ok=True)
            (self.node / name).write_text(self.canary)
            (self.node / name).chmod(0o644)
        for name in ("opener.py", "dataset/row"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(OPENER)
        self.number = 0

    def told(self, stack: ExitStack) -> dict:
        """What a probe is told about its host, whose listeners answer until the stack ends."""
        tcp, udp, abstract, local = (
            stack.enter_context(socket.socket(*kind))
            for kind in ((2, 1), (2, 2), (socket.AF_UNIX, 1), (socket.AF_UNIX, 1))
        )
        name = secrets.token_hex(8)
        for opened, address in (
            (tcp, ("", 0)),
            (udp, ("", 0)),
            (abstract, f"\0{name}"),
            (local, f"{self.node}/socket"),
        ):
            opened.bind(address)
        for opened in (tcp, abstract, local):
            opened.listen()
        threading.Thread(target=_answer, args=(tcp, udp), daemon=True).start()
        return {
            "sealed": self.level is not Level.PLAIN,
            "canary": self.canary[::-1],
            "node": str(self.node),
            "secrets": [*(str(path) for path in self.node.rglob("*") if path.is_file()), f"{self.folder}/other/"],
            "environment": [str(path) for path in self.environment.mounts],
            "seen": ["/usr", *(str(path) for path in environment(()).mounts)],
            "rows": ["/data/0/dataset/row"],
            "others": [f"{self.folder}/other/row", "/data/0/other/row", "/data/1/other/row"],
            "pid": os.getpid(),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "abstract": name,
            "local": f"{self.node}/socket",
            "address": _address(),
            **{name: getattr(LIMITS, name) for name in ("memory", "disk", "files", "temporary", "processes")},
        }

    def job(self, code: str, before: str = "", *, plan: str, sample: str = "dataset", **inputs: Path) -> Job:
        self.number += 1
        bundle, into = self.folder / f"bundle{self.number}", self.folder / f"outputs{self.number}"
        bundle.mkdir()
        into.mkdir()
        body = "".join(f"    {line}\n" for line in code.splitlines())
        (bundle / "function.json").write_text('{"entry": "work:f"}')
        (bundle / "work.py").write_text(BEFORE + before + BODY + body + END)
        return Job(
            task_key=f"task{self.number}",
            plan_key=plan,
            rank=0,
            bundle=bundle,
            inputs={"host": self.folder / "host.json", **inputs},
            opener=self.folder / "opener.py",
            samples=(self.folder / sample,),
            outputs={"got": into / "got"},
            log=self.folder / f"log{self.number}",
            seconds=300.0 if code == VICTIM else 30.0,
        )

    @asynccontextmanager
    async def waiting(self, plan: str, sample: str = "dataset") -> AsyncGenerator[None]:
        """While a task runs that has read its data."""
        pipe = self.folder / f"pipe{self.number}"
        os.mkfifo(pipe)
        job = self.job(VICTIM, plan=plan, sample=sample, pipe=pipe)
        running = asyncio.create_task(self.pool.run(self.environment, job))
        writing = await asyncio.to_thread(pipe.open, "w")  # returns when the task reads
        yield
        writing.close()
        assert (await running).status == "done"

    async def ran(self, job: Job) -> dict:
        outcome = await self.pool.run(self.environment, job)
        output = job.outputs["got"]
        left = list(output.parent.iterdir())
        done = outcome.status == "done"
        return {
            "status": outcome.status,
            "error": outcome.error,
            "got": json.loads(output.read_text() or "[]") if done else [],
            "mode": stat.S_IMODE(output.stat().st_mode) if done else 0,
            "left": [] if done else [str(path) for path in left if not path.is_symlink() and path.is_dir()],
            "log": job.log.read_text(errors="replace")[-4000:] if job.log.exists() else "",
            "log_size": job.log.stat().st_size if job.log.exists() else 0,
            "changed": [str(path) for path in (job.bundle / "work.py", *job.inputs.values()) if changed(path)],
        }

    async def probed(self, probe: dict) -> dict:
        plan = probe["name"] if probe.get("alone") else "hostile"
        async with self.waiting(plan) if probe.get("beside") else nullcontext():
            found = await self.ran(self.job(probe["code"], probe.get("before", ""), plan=plan))
        if probe.get("later"):
            later = await self.ran(self.job(LATER, plan=plan))
            found["later"] = later["got"] if later["status"] == "done" else [later["error"]]
        return found


def changed(path: Path) -> bool:
    """Whether anybody has written to a file since it was last read for the first time."""
    return path.stat().st_mtime_ns != _seen.setdefault(path, path.stat().st_mtime_ns)


_seen: dict[Path, int] = {}


def _answer(tcp: socket.socket, udp: socket.socket) -> None:
    def datagrams() -> None:
        while True:
            udp.sendto(b"reached", udp.recvfrom(99)[1])

    threading.Thread(target=datagrams, daemon=True).start()
    while True:
        with tcp.accept()[0] as opened:
            opened.send(b"reached")


def _address() -> str:
    """An address of this machine beside the loopback's, or that where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        try:
            opened.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return opened.getsockname()[0]


async def main() -> None:
    stage = Stage(Path(sys.argv[1]), Level(sys.argv[2]))
    plain = stage.level is Level.PLAIN
    chosen = [
        each for each in PROBES if (not plain or each.get("plain")) and (os.geteuid() == 0 or not each.get("root"))
    ]
    found: dict[str, object] = {}
    await stage.pool.start()
    with ExitStack() as stack:
        told = stage.told(stack)
        host = stage.folder / "host.json"
        host.write_text(json.dumps(told))
        async with stage.waiting("victim", "other"):
            (place,) = stage.pool._sandboxes._places.values()
            host.write_text(json.dumps({**told, "victim": place.beginning.result().base}))
            for probe in chosen:
                if not probe.get("alone"):
                    found[probe["name"]] = await stage.probed(probe)
            alone = [each for each in chosen if each.get("alone")]
            for probe, became in zip(alone, await asyncio.gather(*map(stage.probed, alone)), strict=True):
                found[probe["name"]] = became
        about = {"level": stage.pool.level, "reason": stage.pool.isolation.reason}
    await stage.pool.close()
    about["left"] = [str(path) for path in (stage.node / "sandboxes").iterdir()]
    (stage.folder / "found.json").write_text(json.dumps({"about": about, "probes": found}))


if __name__ == "__main__":
    asyncio.run(main())
