"""Archives, honest and hostile. Those read here are made by tarfile and zipfile, or byte by byte."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.adapters.execution import archive
from comity.adapters.execution.archive import Limits, unpack
from comity.values.errors import Conflict, DecodeError

SMALL = Limits(members=20, bytes=100_000)
CONTENT = {"Dockerfile": b"FROM scratch", "model.py": b"x = 1\n" * 1000, "deep/er/data.bin": bytes(600), "empty": b""}
COMPRESSIONS = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


def tar(*members: tarfile.TarInfo | tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
    return made.getvalue()


def tar_info(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.filterwarnings("ignore:Duplicate name")
def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return made.getvalue()


def zip_info(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def unpacked(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path):
    """Unpack these bytes into a new folder; whatever fails leaves nothing."""
    numbers = count()

    def at(content: bytes, limits: Limits = SMALL) -> dict[str, bytes]:
        (tmp_path / "archive").write_bytes(content)
        into = tmp_path / f"into{next(numbers)}"
        try:
            unpack(tmp_path / "archive", into, limits)
        except DecodeError:
            assert not into.exists()
            raise
        finally:
            assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
        return unpacked(into)

    return at


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_files(place, compression, form):
    assert place(COMPRESSIONS[compression](tar(*CONTENT.items(), form=form))) == CONTENT


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_files(place, compression):
    assert place(zipped(*CONTENT.items(), compression=compression)) == CONTENT
    assert place(zipped()) == {}


def test_folders_long_names_and_a_leading_dot(place):
    long = "folder/" * 20 + "é" * 100
    folder = tar_info("./deep", tarfile.DIRTYPE)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        made = tar(tar_info(".", tarfile.DIRTYPE), folder, ("./deep/a", b"1"), folder, (long, b"2"), form=form)
        assert place(made) == {"deep/a": b"1", long: b"2"}
    assert place(zipped(("deep/", b""), ("deep/a", b"1"), (long, b"2"))) == {"deep/a": b"1", long: b"2"}


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,9}(\.[a-z]{1,3})?", fullmatch=True), st.binary(max_size=3000), max_size=9)
)
def test_what_was_packed_is_unpacked(content):
    for pack in (tar, zipped):
        with TemporaryDirectory() as folder:
            Path(folder, "archive").write_bytes(pack(*content.items()))
            unpack(Path(folder, "archive"), Path(folder, "into"), SMALL)
            assert unpacked(Path(folder, "into")) == content


@pytest.mark.parametrize(
    "name",
    ["../up", "a/../../up", "/absolute", "a/..", "back\\slash", "line\nbreak", "a" * 256, "d/" * 40 + "a"],
)
@pytest.mark.parametrize("pack", [tar, zipped])
def test_names_that_lead_elsewhere(place, pack, name):
    with pytest.raises(DecodeError, match=r"member '.*has a name"):
        place(pack(("good", b"1"), (name, b"2")))


def named(pack: Callable[..., bytes], name: bytes) -> bytes:
    """An archive with one member, whose name has these three bytes; a zip file calls them UTF-8."""
    packed = bytearray(pack(("OLD", b"1")).replace(b"OLD", name))
    if pack is zipped:
        packed[7] |= 8
        packed[packed.index(b"PK\1\2") + 9] |= 8
    else:
        packed[148:156] = b"%06o\0 " % (sum(packed[:148]) + 8 * 32 + sum(packed[156:512]))
    return bytes(packed)


@pytest.mark.parametrize("name", [b"a\xffb", b"\xc0\xaf.", b"\xed\xa0\x80", b"a\x7fb", "\u202e".encode()])
@pytest.mark.parametrize("pack", [tar, zipped])
def test_names_in_odd_encodings(place, pack, name):
    """Not UTF-8, a slash that is overlong, a surrogate, and signs that change how a name is shown."""
    with pytest.raises(DecodeError, match=r"name|codec"):
        place(named(pack, name))
    assert place(named(pack, b"a\0b")) == {"a": b"1"}  # the name ends there


@pytest.mark.parametrize(
    "content",
    [
        tar(("a", b"1"), ("./a", b"2")),
        tar(("a", b"1"), ("a/b", b"2")),
        tar(("a/b", b"1"), ("a", b"2")),
        tar(("a", b"1"), tar_info("a", tarfile.DIRTYPE)),
        tar(("", b"1")),
        zipped(("a", b"1"), ("./a", b"2")),
        zipped(("a/b", b"1"), ("a", b"2")),
    ],
)
def test_names_twice(place, content):
    with pytest.raises(DecodeError, match=r"member '(\./)?a?(/b)?' is there twice"):
        place(content)


@pytest.mark.parametrize(
    "content",
    [
        *(
            tar(tar_info("odd", kind, "/etc/passwd"))
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z")
        ),
        zipped((zip_info("odd", stat.S_IFLNK | 0o777), b"/etc/passwd")),
        zipped((zip_info("odd", stat.S_IFIFO | 0o777), b"")),
        zipped(("odd", b"1"), compression=zipfile.ZIP_LZMA),
    ],
)
def test_anything_but_folders_and_plain_files(place, content):
    with pytest.raises(DecodeError, match="member 'odd' is"):
        place(content)


def test_sparse_files(place):
    info = tarfile.TarInfo("odd")
    info.size, info.pax_headers = 0, {"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000000"}
    with pytest.raises(DecodeError, match="'odd' is a link or a device"):
        place(tar(info))


@pytest.mark.parametrize("pack", [tar, zipped])
def test_more_than_the_limits(place, pack):
    full = [(f"{number}", b"") for number in range(20)]
    assert len(place(pack(*full))) == 20
    with pytest.raises(DecodeError, match="limit of 20"):
        place(pack(*full, ("one more", b"")))
    assert place(pack(("a", bytes(100_000))))
    with pytest.raises(DecodeError, match="'b' goes beyond the limit of 100000 bytes"):
        place(pack(("a", bytes(99_999)), ("b", bytes(2))))


@pytest.mark.parametrize("compress", list(COMPRESSIONS.values())[1:])
def test_bombs(place, compress):
    bomb = compress(tar(("bomb", bytes(10_000_000))))
    assert len(bomb) < 20_000
    with pytest.raises(DecodeError, match="'bomb' goes beyond"):
        place(bomb)


def test_a_header_that_asks_for_much_memory(place):
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE):
        info = tar_info("long", kind)
        info.size = 2**32
        with pytest.raises(DecodeError, match="header of 4294967296 bytes"):
            place(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)))


def test_a_header_that_leads_backwards(place):
    info = tarfile.TarInfo("odd")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 10 + struct.pack(">h", -1024)  # base 256, negative
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(DecodeError):
        place(tar(("a", b"1"))[:1024] + bytes(block) + bytes(1024))


def test_a_zip_file_with_a_table_of_contents_too_large_to_read(place):
    made = bytearray(zipped(("a", b"1")))
    made[-12:-10] = struct.pack("<H", 21)
    with pytest.raises(DecodeError, match="21 members"):
        place(bytes(made))
    made[-12:-6] = struct.pack("<HL", 1, 2**31)
    with pytest.raises(DecodeError, match="more than the limit"):
        place(bytes(made))
    with pytest.raises(DecodeError, match="64-bit"):
        place(bytes(made[:-22]) + archive.END_OF_ZIP64 + bytes(16) + bytes(made[-22:]))


def test_a_zip_file_that_understates_a_size(place):
    made = zipped(("a", bytes(5000)))
    size = struct.pack("<L", 5000)
    assert made.count(size) == 2
    with pytest.raises(DecodeError):
        place(made.replace(size, struct.pack("<L", 10)))


def test_a_zip_file_whose_table_of_contents_lies_elsewhere(place):
    made = bytearray(zipped(("a", b"1")))
    made[-6:-2] = struct.pack("<L", len(made))
    with pytest.raises(DecodeError):
        place(bytes(made))


def test_what_breaks_off(place):
    whole = tar(*CONTENT.items())[: -tarfile.RECORDSIZE + 2048]
    for length in range(0, len(whole.rstrip(b"\0")), 256):
        with pytest.raises(DecodeError):
            place(whole[:length])
    for compress in list(COMPRESSIONS.values())[1:]:
        with pytest.raises(DecodeError):
            place(compress(whole)[:-40])


VALID = [tar(*CONTENT.items()), gzip.compress(tar(*CONTENT.items())), zipped(*CONTENT.items())]


@given(
    st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=4)), max_size=6)
)
def test_damaged_archives_are_refused_or_stay_in_their_folder(content, damage):
    made = bytearray(content)
    for place, patch in damage:
        start = place % len(made)
        made[start : start + len(patch)] = patch
    contained(bytes(made))


@given(st.sampled_from([b"", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"PK\3\4", b"PK\5\6"]), st.binary(max_size=2000))
def test_random_bytes_are_no_archive(start, rest):
    contained(start + rest)


def contained(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        Path(folder, "archive").write_bytes(content)
        try:
            unpack(Path(folder, "archive"), Path(folder, "into"), SMALL)
        except DecodeError:
            assert [path.name for path in Path(folder).iterdir()] == ["archive"]
        else:
            assert {path.name for path in Path(folder).iterdir()} == {"archive", "into"}
            assert all(path.is_dir() or path.is_file() for path in Path(folder, "into").rglob("*"))
            assert not any(path.is_symlink() for path in Path(folder, "into").rglob("*"))


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "archive").write_bytes(zipped(("a", b"1")))
    for make in (Path.mkdir, Path.touch):
        into = tmp_path / make.__name__
        make(into)
        if into.is_dir():
            (into / "mine").touch()
        with pytest.raises(Conflict, match="is there already"):
            unpack(tmp_path / "archive", into)
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "nowhere", tmp_path / "into")
