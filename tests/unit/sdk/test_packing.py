"""The same files make the same bytes, which unpack to the same files."""

import os
from hashlib import sha256

import pytest

from comity.adapters.execution.archive import unpack
from comity.sdk.packing import pack
from comity.values.errors import InvalidInput


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "function"
    (made / "package" / "__pycache__").mkdir(parents=True)
    (made / ".git").mkdir()
    for name in ("b.py", "a.py", "package/c.py", "package/__pycache__/c.pyc", ".git/config", "ü" * 60 + ".txt"):
        (made / name).write_text(name)
    return made


def test_what_is_packed_does_not_depend_on_time_owner_or_order(folder, tmp_path):
    first = pack(folder, tmp_path / "first.tar").read_bytes()
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    (folder / "a.py").rename(folder / "z.py")
    (folder / "z.py").rename(folder / "a.py")
    assert pack(folder, tmp_path / "second.tar").read_bytes() == first


def test_the_bytes_are_the_same_on_every_machine(tmp_path):
    made = tmp_path / "function"
    made.mkdir()
    (made / "function.json").write_bytes(b'{"entry": "model:train"}')
    (made / "model.py").write_bytes(b"def train(inputs, outputs, properties): ...\n")
    packed = pack(made, tmp_path / "packed.tar").read_bytes()
    # GNU tar 1.34 with --format=ustar --owner=0 --group=0 --numeric-owner --mode=644 --mtime=@0 makes the same of both
    # files, but for zeros in the fields of devices, which Python leaves empty.
    assert sha256(packed).hexdigest() == "ae37a937ef2ab9133e5e667543eb398a1ed737a57addea613855b3b315a64f45"


def test_it_unpacks_to_what_was_there(folder, tmp_path):
    unpack(pack(folder, tmp_path / "packed.tar"), tmp_path / "unpacked")
    found = {str(path.relative_to(tmp_path / "unpacked")) for path in (tmp_path / "unpacked").rglob("*.*")}
    assert found == {"a.py", "b.py", "package/c.py", "ü" * 60 + ".txt"}
    assert (tmp_path / "unpacked" / "package" / "c.py").read_text() == "package/c.py"


def test_links_and_empty_folders_are_refused(folder, tmp_path):
    (folder / "link.py").symlink_to("a.py")
    with pytest.raises(InvalidInput, match="is a link"):
        pack(folder, tmp_path / "packed.tar")
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(InvalidInput, match="no folder with files"):
            pack(nothing, tmp_path / "packed.tar")
