"""An input may be the store's own file, since a sandbox cannot write to it, in whichever way it tries."""

import asyncio
import os

import pytest

from comity.adapters.execution.isolation import Level
from comity.adapters.execution.job import Status
from comity.adapters.execution.pool import Pool

HOSTILE = """
import ctypes, mmap, os

path = inputs["model"]

def opened(flags):
    os.close(os.open(path, flags))

def opened_anew():
    file = os.open(path, os.O_RDONLY)
    os.write(os.open(f"/proc/self/fd/{file}", os.O_WRONLY), b"changed")

def mapped():
    file = os.open(path, os.O_RDONLY)
    mmap.mmap(file, 0, prot=mmap.PROT_WRITE, flags=mmap.MAP_SHARED)[:1] = b"c"

def protected():
    file = os.open(path, os.O_RDONLY)
    os.fchmod(file, 0o666)

def linked():
    os.link(path, os.path.join(os.getcwd(), "link"))

tried = {
    "write": lambda: opened(os.O_WRONLY),
    "truncate": lambda: opened(os.O_WRONLY | os.O_TRUNC),
    "append": lambda: opened(os.O_RDWR | os.O_APPEND),
    "by descriptor": opened_anew,
    "map": mapped,
    "chmod": lambda: os.chmod(path, 0o666),
    "fchmod": protected,
    "chown": lambda: os.chown(path, os.getuid(), os.getgid()),
    "link": linked,
    "rename": lambda: os.rename(path, path + "2"),
    "unlink": lambda: os.unlink(path),
    "times": lambda: os.utime(path),
    "attribute": lambda: os.setxattr(path, "user.a", b"b"),
}
done = []
for name, attempt in tried.items():
    try:
        attempt()
    except OSError:
        continue
    done.append(name)
with open(outputs["done"], "w") as file:
    file.write(",".join(done) or open(path).read())
"""


def test_nothing_that_a_sandboxed_task_tries_changes_its_input(tmp_path, bundle, job, own):
    store = tmp_path / "store"
    store.write_bytes(b"heart")
    lent = tmp_path / "lent"
    os.link(store, lent)
    before = store.stat()

    async def run():
        pool = Pool(1, tmp_path / "sandboxes")
        await pool.start()
        try:
            if pool.isolation.level is Level.PLAIN:
                pytest.skip(f"no sandbox here: {pool.isolation.reason}")
            hostile = job(bundle(HOSTILE), ("done",), inputs={"model": lent})
            return hostile, await pool.run(own, hostile)
        finally:
            await pool.close()

    hostile, outcome = asyncio.run(run())
    assert outcome.status is Status.DONE, hostile.log.read_text()
    assert hostile.outputs["done"].read_text() == "heart"
    assert store.read_bytes() == b"heart"
    assert (store.stat().st_uid, store.stat().st_mtime_ns) == (before.st_uid, before.st_mtime_ns)
    assert store.stat().st_mode & 0o022 == 0
