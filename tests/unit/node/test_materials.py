"""Who is given the store's own file, and who a copy."""

import uuid

import numpy as np
import pytest
from msgspec.structs import replace

from comity.adapters.blob_files import BlobFiles
from comity.domain.events import Aggregate, FunctionOutput, TaskOutput
from comity.domain.records import Task
from comity.domain.sums import sum_function
from comity.node import materials
from comity.ports.blobs import BlobsInMemory
from comity.values import codec
from comity.values.digest import digest
from comity.values.errors import DecodeError, InvalidInput, NotFound

FUNCTION = sum_function("founder", 0)


def task(**outputs):
    key = str(uuid.UUID(int=1))
    waiting = "STATUS_WAITING_FOR_PARENT_TASKS"
    return Task(
        key=key, plan=key, function=FUNCTION.key, owner="a", worker="a", outputs=outputs, status=waiting, created_at=0
    )


TASK = task(total=TaskOutput(), model=TaskOutput())


def test_what_is_given_is_a_copy_and_what_is_lent_the_stores_own(tmp_path):
    blobs = BlobFiles(tmp_path / "blobs")
    name = blobs.put([b"heart"])
    materials.lend(blobs, name, tmp_path / "inputs" / "lent")
    materials.give(blobs, name, tmp_path / "inputs" / "given")
    (tmp_path / "inputs" / "given").write_bytes(b"changed")
    assert b"".join(blobs.open(name)) == b"heart"
    (own,) = (path for path in (tmp_path / "blobs").iterdir() if path.is_file())
    assert (tmp_path / "inputs" / "lent").samefile(own)


def test_what_cannot_be_lent_is_copied(tmp_path, monkeypatch):
    memory = BlobsInMemory()
    name = memory.put([b"heart"])
    materials.lend(memory, name, tmp_path / "lent")
    assert (tmp_path / "lent").read_bytes() == b"heart"

    def refused(self, name, at):
        raise OSError("another file system")

    files = BlobFiles(tmp_path / "blobs")
    files.put([b"heart"])
    monkeypatch.setattr(BlobFiles, "link", refused)
    materials.lend(files, name, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"heart"


@pytest.mark.parametrize("lay", [materials.lend, materials.give])
def test_a_blob_that_is_gone_is_named(tmp_path, lay):
    gone = digest(b"gone")
    with pytest.raises(NotFound, match=gone):
        lay(BlobFiles(tmp_path / "blobs"), gone, tmp_path / "at")


def test_a_tree_is_kept_only_when_it_is_one(tmp_path):
    blobs, path = BlobsInMemory(), tmp_path / "total"
    path.write_bytes(codec.encode({"w": np.ones(3)}))
    made = materials.keep(blobs, FUNCTION, TASK, {"total": path})["total"]
    assert (made.blob, made.size) == (digest(path.read_bytes()), path.stat().st_size)
    assert b"".join(blobs.open(made.blob)) == path.read_bytes()
    path.write_bytes(codec.encode({"w": np.ones(3)})[:-8] + np.float64(np.nan).tobytes())
    with pytest.raises(DecodeError, match="not finite"):
        materials.keep(blobs, FUNCTION, TASK, {"total": path})
    assert list(blobs.digests()) == [made.blob]


def test_what_is_opaque_is_kept_as_it_is(tmp_path):
    function = replace(FUNCTION, outputs={"model": FunctionOutput(kind="ASSET_MODEL")})
    blobs, path = BlobsInMemory(), tmp_path / "model"
    path.write_bytes(b"anything")
    assert materials.keep(blobs, function, TASK, {"model": path})["model"].blob == digest(b"anything")


def test_a_sum_that_fails_leaves_nothing(tmp_path):
    blobs = BlobsInMemory()
    for number, value in enumerate([{"w": np.ones(2)}, {"w": np.ones(3)}]):
        (tmp_path / str(number)).write_bytes(codec.encode(value))
    parts = [(f"site{number}", tmp_path / str(number)) for number in range(2)]
    with pytest.raises(InvalidInput, match="does not fit"):
        materials.keep_sum(blobs, TASK.key, parts)
    assert list(blobs.digests()) == []
    made = materials.keep_sum(blobs, TASK.key, parts[:1])["total"]
    assert codec.decode(b"".join(blobs.open(made.blob)))["w"].tolist() == [1, 1]


def test_the_digest_of_what_is_to_be_masked_tells_nobody_what_it_is(tmp_path):
    blobs, path = BlobsInMemory(), tmp_path / "total"
    counts = {"total": {"sick": np.array(17)}, "weight": np.array(40.0)}
    path.write_bytes(codec.encode(counts))
    masked = task(total=TaskOutput(aggregate=Aggregate(organizations=("a",), protocol="SA-1", least=3)))
    first, second = (materials.keep(blobs, FUNCTION, masked, {"total": path})["total"] for _ in range(2))
    assert len({first.blob, second.blob, codec.digest(counts)}) == 3
    held = codec.decode(b"".join(blobs.open(first.blob)))
    assert (held["total"]["sick"], held["weight"]) == (17, 40)
    path.write_bytes(codec.encode({"~salt": np.zeros(3)}))
    with pytest.raises(DecodeError, match="as is what the node adds"):
        materials.keep(blobs, FUNCTION, masked, {"total": path})
