"""Forms with files, of any make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.node.rest import bodies, uploads
from comity.node.rest.bodies import decoded, form
from comity.values.errors import DecodeError, InvalidInput

BOUNDARY = "b0undary"
KIND = f"multipart/form-data; boundary={BOUNDARY}"


def encoded(parts: Sequence[tuple[str, bytes, bool]]) -> bytes:
    """(name, content, whether it is a file) of each part."""
    body = b""
    for name, content, is_file in parts:
        filename = '; filename="f"' if is_file else ""
        header = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'
        body += header.encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def read(body: bytes, folder: Path, *, kind: str = KIND, size: int = 7) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The fields and files of a form that comes in pieces; nothing is left of it."""

    async def stream() -> AsyncIterator[bytes]:
        for at in range(0, len(body), size):
            yield body[at : at + size]

    async def run() -> tuple[dict[str, bytes], dict[str, bytes]]:
        async with uploads.received(kind, stream(), folder) as upload:
            return upload.fields, {name: path.read_bytes() for name, path in upload.files.items()}

    try:
        return asyncio.run(run())
    finally:
        assert not folder.exists() or list(folder.iterdir()) == []


names = st.text("abcdefgh/.", min_size=1, max_size=8)
parts = st.lists(st.tuples(names, st.binary(max_size=200), st.booleans()), max_size=5, unique_by=lambda each: each[0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts, st.integers(1, 300))
def test_what_was_sent_arrives(tmp_path, sent, size):
    fields, files = read(encoded(sent), tmp_path / "uploads", size=size)
    assert fields == {name: content for name, content, is_file in sent if not is_file}
    assert files == {name: content for name, content, is_file in sent if is_file}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts, st.data())
def test_what_breaks_off_is_refused(tmp_path, sent, data):
    whole = encoded(sent)
    cut = data.draw(st.integers(0, len(whole) - len("--\r\n") - 1))
    with pytest.raises(DecodeError):
        read(whole[:cut], tmp_path / "uploads", size=50)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=400), st.one_of(st.just(KIND), st.text(st.characters(max_codepoint=255), max_size=80)))
def test_anything_else_is_refused(tmp_path, body, kind):
    """Headers come as Latin-1."""
    try:
        read(body, tmp_path / "uploads", kind=kind)
    except InvalidInput:
        return
    assert kind == KIND


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts, st.data())
def test_a_changed_form_is_read_or_refused(tmp_path, sent, data):
    body = bytearray(encoded(sent))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(InvalidInput):
        read(bytes(body), tmp_path / "uploads", size=100)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([("a", b"", False)] * 2, "two parts"),
        ([("a", b"", True), ("a", b"", False)], "two parts"),
        ([(f"{number}", b"", True) for number in range(1001)], "1000 parts"),
        ([("a", bytes(3 << 20), False), ("b", bytes(3 << 20), False)], "no files"),
    ],
    ids=["twice", "file and field", "many", "large"],
)
def test_what_is_too_much(tmp_path, sent, said):
    with pytest.raises(InvalidInput, match=said):
        read(encoded(sent), tmp_path / "uploads", size=1 << 20)


def test_a_form_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "LARGEST", 1000)
    with pytest.raises(InvalidInput, match="more than 1000 bytes"):
        read(encoded([("a", bytes(1000), True)]), tmp_path / "uploads", size=100)


def test_a_name_leads_nowhere(tmp_path):
    _, files = read(encoded([("../../etc/passwd", b"x", True)]), tmp_path / "uploads")
    assert files == {"../../etc/passwd": b"x"}


KINDS = [bodies.NewDataset, bodies.NewSamples, bodies.NewFunction, bodies.NewPlan, bodies.NewTasks, bodies.NewToken]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["key", "name", "tasks", "inputs", "path", "permissions"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.sampled_from(KINDS), st.binary(max_size=100))
def test_bytes_are_a_body_or_refused(kind, body):
    with suppress(DecodeError):
        assert isinstance(decoded(body, kind), kind)


@given(st.sampled_from(KINDS), json_values)
def test_json_is_a_body_or_refused(kind, value):
    with suppress(DecodeError):
        assert isinstance(decoded(bodies.msgspec.json.encode(value), kind), kind)


@given(st.binary(max_size=200))
def test_bytes_are_a_form_or_refused(body):
    with suppress(DecodeError):
        form(body)
