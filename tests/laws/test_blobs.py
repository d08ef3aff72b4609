"""Laws of Blobs, for the fake and for the adapters. A new one is one row."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path
from stat import S_ISDIR
from threading import Barrier, Thread

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from obstore.store import MemoryStore, S3Store

from comity.adapters.blob_files import BlobFiles
from comity.adapters.blobs_obstore import PART, BlobsObstore
from comity.ports.blobs import Blobs, BlobsInMemory
from comity.values.digest import Digest, digest
from comity.values.errors import DecodeError, InvalidInput, NotFound
from comity.values.stream import CHUNK

MISSING = digest(b"never stored")
PREFIXES = count()
KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "a"}


def files(folder: Path, server: str) -> Blobs:
    return BlobFiles(folder)


def s3(folder: Path, server: str) -> Blobs:
    options = {"bucket": "blobs", "endpoint": server, "region": "us-east-1", "client_options": {"allow_http": True}}
    return BlobsObstore(S3Store(**options, **KEYS, prefix=f"p{next(PREFIXES)}"), folder)


BLOBS: dict[str, Callable[[Path, str], Blobs]] = {
    "fake": lambda folder, server: BlobsInMemory(),
    "files": files,
    "obstore memory": lambda folder, server: BlobsObstore(MemoryStore(), folder),
    "s3": s3,
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    try:
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", **KEYS)
        client.create_bucket(Bucket="blobs")
        client.close()
        yield f"http://{host}:{port}"
    finally:
        running.stop()


@pytest.fixture(params=BLOBS.values(), ids=BLOBS)
def blobs(request, tmp_path, server) -> Blobs:
    return request.param(tmp_path, server)


def read(blobs: Blobs, name: Digest, offset: int = 0) -> bytes:
    return b"".join(blobs.open(name, offset))


def under_way(folder: Path) -> list[Path]:
    """The files that are neither blobs nor folders."""
    return [path for path in folder.rglob("*") if path.is_file() and len(path.name) != 64]


SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, PART, PART + 1, 2 * PART + CHUNK + 5]


@pytest.mark.parametrize("size", SIZES)
def test_a_blob_comes_back_whole_and_in_chunks(blobs, size):
    data = os.urandom(size)
    name = blobs.put([data])
    assert name == "sha256:" + sha256(data).hexdigest()
    assert blobs.size(name) == size
    chunks = list(blobs.open(name))
    assert b"".join(chunks) == data
    assert all(len(chunk) == CHUNK for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= CHUNK for chunk in chunks[-1:])
    assert list(blobs.digests()) == [name]


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_reading_goes_on_at_any_offset(blobs, data):
    content = bytes(range(256)) * (CHUNK // 128)
    name = blobs.put([content])
    offset = data.draw(st.integers(0, len(content)) | st.sampled_from([0, 1, CHUNK - 1, CHUNK, len(content)]))
    assert read(blobs, name, offset) == content[offset:]


def test_the_pieces_in_which_a_blob_comes_make_no_difference(blobs):
    buffer = bytearray(b"heart")

    def reused():
        yield memoryview(buffer)
        buffer[:] = b" beat"
        yield b""
        yield buffer

    name = blobs.put(reused())
    assert name == digest(b"heart beat") == blobs.put([b"heart beat"])
    assert read(blobs, name) == b"heart beat"
    assert list(blobs.digests()) == [name]


def test_a_digest_that_was_expected_is_accepted(blobs):
    assert blobs.put([b"heart"], digest(b"heart")) == digest(b"heart")


def test_another_digest_than_expected_leaves_nothing(blobs, tmp_path):
    with pytest.raises(DecodeError, match=f"not {MISSING} as announced"):
        blobs.put([b"heart", bytes(PART)], MISSING)
    assert list(blobs.digests()) == []
    assert blobs.size(MISSING) is None
    assert under_way(tmp_path) == []


def test_a_source_that_fails_leaves_nothing(blobs, tmp_path):
    def broken():
        yield bytes(CHUNK)
        raise ConnectionResetError("the peer went away")

    with pytest.raises(ConnectionResetError, match="the peer went away"):
        blobs.put(broken())
    assert list(blobs.digests()) == []
    assert under_way(tmp_path) == []


def test_nothing_is_visible_before_the_end(blobs):
    content = bytes(CHUNK) + b"heart"

    def watching():
        yield content[:CHUNK]
        assert list(blobs.digests()) == []
        assert blobs.size(digest(content)) is None
        yield content[CHUNK:]

    assert blobs.size(blobs.put(watching())) == len(content)


def test_the_same_content_put_at_once_is_one_blob(blobs, tmp_path):
    content, writers = os.urandom(2 * CHUNK), 4
    barrier, names = Barrier(writers), []

    def meeting():
        yield content[:CHUNK]
        barrier.wait(timeout=60)
        yield content[CHUNK:]

    threads = [Thread(target=lambda: names.append(blobs.put(meeting()))) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == [digest(content)] * writers
    assert list(blobs.digests()) == [digest(content)]
    assert read(blobs, digest(content)) == content
    assert under_way(tmp_path) == []


def test_a_deleted_blob_is_gone_and_can_come_back(blobs):
    kept, name = blobs.put([b"kept"]), blobs.put([b"heart"])
    assert set(blobs.digests()) == {kept, name}
    blobs.delete(name)
    blobs.delete(name)
    assert blobs.size(name) is None
    assert list(blobs.digests()) == [kept]
    assert blobs.put([b"heart"]) == name
    assert read(blobs, name) == b"heart"


def test_a_blob_deleted_while_it_is_read_is_whole_or_an_error(blobs):
    content = os.urandom(PART + CHUNK)
    name = blobs.put([content])
    reading = blobs.open(name)
    found = next(reading)
    blobs.delete(name)
    try:
        found += b"".join(reading)
    except OSError:
        return
    assert found == content


def test_a_blob_that_is_not_there_is_refused_at_once(blobs):
    assert blobs.size(MISSING) is None
    with pytest.raises(NotFound, match=f"no blob {MISSING}"):
        blobs.open(MISSING)


@pytest.mark.parametrize("offset", [-1, 6, 2**63])
def test_an_offset_outside_the_blob_is_refused_at_once(blobs, offset):
    name = blobs.put([b"heart"])
    with pytest.raises(InvalidInput, match="has 5 bytes"):
        blobs.open(name, offset)


@pytest.mark.parametrize(
    "name",
    ["", "sha256:", "incoming", "../secret", "sha256:../../secret", "sha256:" + "A" * 64, MISSING + "\n", MISSING[7:]],
)
def test_what_is_no_digest_names_nothing(blobs, name):
    for use in (blobs.open, blobs.size, blobs.delete):
        with pytest.raises(InvalidInput, match="is no digest"):
            use(name)


# What survives a crash, and what does not

KILLED = """
import sys
from pathlib import Path
from comity.adapters.blob_files import BlobFiles

def half():
    yield bytes(2**21)
    print("half", flush=True)
    sys.stdin.read()

BlobFiles(Path(sys.argv[1])).put(half())
"""


def test_a_put_killed_in_the_middle_leaves_nothing(tmp_path):
    kept = BlobFiles(tmp_path).put([b"kept"])
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout.readline() == b"half\n"
        assert [path.stat().st_size for path in under_way(tmp_path)] == [2 * CHUNK]
        blobs = BlobFiles(tmp_path)  # another process's put is under way: its file stays
        assert len(under_way(tmp_path)) == 1
        writer.send_signal(signal.SIGKILL)
    assert list(blobs.digests()) == [kept]
    assert list(BlobFiles(tmp_path).digests()) == [kept]
    assert under_way(tmp_path) == []
    assert read(blobs, kept) == b"kept"


def test_a_second_user_of_a_folder_leaves_what_is_under_way_alone(tmp_path):
    def interrupted():
        yield b"he"
        BlobFiles(tmp_path)
        yield b"art"

    assert BlobFiles(tmp_path).put(interrupted()) == digest(b"heart")


def test_a_file_is_on_the_disk_before_its_name_and_its_name_before_put_returns(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(file):
        calls.append("folder" if S_ISDIR(os.fstat(file).st_mode) else "file")
        fsync(file)

    def noting_replace(path, target):
        calls.append("name")
        return replace(path, target)

    blobs = BlobFiles(tmp_path)
    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    blobs.put([b"heart"])
    assert calls == ["file", "name", "folder"]


def test_a_damaged_file_is_healed_by_the_next_put(tmp_path):
    blobs = BlobFiles(tmp_path)
    name = blobs.put([b"heart"])
    next(path for path in tmp_path.iterdir() if path.is_file()).write_bytes(b"heard")
    assert blobs.put([b"heart"]) == name
    assert read(blobs, name) == b"heart"


def test_a_linked_file_stays_when_its_blob_is_deleted_or_put_again(tmp_path):
    blobs = BlobFiles(tmp_path / "blobs")
    name = blobs.put([b"heart"])
    blobs.link(name, tmp_path / "link")
    blobs.put([b"heart"])
    blobs.delete(name)
    assert (tmp_path / "link").read_bytes() == b"heart"
    with pytest.raises(NotFound, match=f"no blob {name}"):
        blobs.link(name, tmp_path / "another")


def test_an_object_store_that_cannot_be_reached_raises_os_error(tmp_path):
    options = {"bucket": "blobs", "region": "us-east-1", "client_options": {"allow_http": True}, **KEYS}
    store = S3Store(endpoint="http://127.0.0.1:1", retry_config={"max_retries": 0}, **options)
    blobs = BlobsObstore(store, tmp_path)
    for use in (
        lambda: blobs.put([b"heart"]),
        lambda: blobs.size(MISSING),
        lambda: blobs.delete(MISSING),
        lambda: list(blobs.digests()),
    ):
        with pytest.raises(OSError, match="the object store failed"):
            use()
    assert under_way(tmp_path) == []


# Memory

# The kernel's own peak, reset first: getrusage would begin with that of the process that started this one.
MEASURED = """
import re
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_blobs import BLOBS, CHUNK

def kibibytes(kind):
    return int(re.search(kind + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

blobs = BLOBS[sys.argv[2]](Path(sys.argv[3]), sys.argv[4])
blobs.put([b"warm"])
Path("/proc/self/clear_refs").write_text("5")
before = kibibytes("VmRSS")
name = blobs.put(bytes([i]) * CHUNK for i in range(64))
assert sum(len(chunk) for chunk in blobs.open(name)) == 64 * CHUNK
print((kibibytes("VmHWM") - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from Linux's /proc")
@pytest.mark.parametrize(("kind", "mebibytes"), [("files", 8), ("s3", 40)])
def test_64_mebibytes_pass_in_a_few_chunks_of_memory(kind, mebibytes, tmp_path, server):
    command = [sys.executable, "-c", MEASURED, str(Path(__file__).parent), kind, str(tmp_path), server]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < mebibytes, f"grew by {grown} MiB"
