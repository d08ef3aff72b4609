"""Unpacked functions and their images, when there is no room for all of them."""

import asyncio
import io
import os
import tarfile
from types import SimpleNamespace

import pytest

from comity.adapters.environments import own
from comity.adapters.execution.limits import Limits
from comity.domain.records import Function
from comity.domain.words import Permission
from comity.node import shelf
from comity.node.bundles import GONE, Bundles
from comity.ports.blobs import BlobsInMemory
from comity.ports.environments import EnvironmentsInMemory
from comity.values.digest import digest

DOCKERFILE = b"""FROM python:3.11-slim
COPY function.py data .
ENTRYPOINT ["python3", "function.py"]
"""
SIZE = 256 << 10


def packed():
    """An archive of a function of that size."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name, data in (("Dockerfile", DOCKERFILE), ("function.py", b""), ("data", os.urandom(SIZE))):
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return written.getvalue()


@pytest.fixture
def functions():
    """(three functions, the store of their archives)."""
    blobs, made = BlobsInMemory(), []
    for number in range(3):
        data = packed()
        blobs.put(iter([data]), digest(data))
        made.append(
            Function(
                key=str(number),
                owner="a",
                name="",
                archive=digest(data),
                description=digest(b""),
                inputs={},
                outputs={},
                permission=Permission(),
                created_at=number,
            )
        )
    return made, blobs


@pytest.fixture
def exchange():
    async def have(blob, **_):
        pass

    return SimpleNamespace(have=have, shown=lambda blob, owner: True)


def there(folder):
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_what_was_used_longest_ago_goes_and_is_made_again(tmp_path, monkeypatch, functions, exchange):
    monkeypatch.setattr(shelf, "GRACE", 0.0)
    (first, second, third), blobs = functions
    pool = SimpleNamespace(limits=Limits(), isolation=None)

    def bundles():
        environments = EnvironmentsInMemory(own.environment(()))
        return Bundles(tmp_path / "bundles", blobs, environments, pool, most=5 * SIZE)

    async def main():
        made = bundles()
        with made.held(first):
            one = await made.have(exchange, first)
            two = await made.have(exchange, second)
            three = await made.have(exchange, third)
            assert (one / "files" / "data").is_file(), "a task runs with it"
            assert not two.exists()
            assert made.at_hand(exchange, second) is None
            assert made.at_hand(exchange, third) == three
        assert await made.have(exchange, second) == two
        assert (two / "files" / "data").stat().st_size == SIZE
        assert not three.exists(), "the task has ended since"
        return one, two

    one, two = asyncio.run(main())
    (tmp_path / "bundles" / f"{two.name}{GONE}").mkdir()  # a crash in mid deletion

    async def again():
        made = bundles()
        await made.have(exchange, third)
        assert not one.exists(), "of what lay there from before, this was used longest ago"

    asyncio.run(again())
    assert not any(name.endswith(GONE) for name in there(tmp_path / "bundles"))
