"""Which files nobody can read."""

import pytest

from comity.node.opaque import unreadable


@pytest.mark.parametrize(
    ("data", "opaque"), [(b"x = 1\n", False), ("é".encode(), False), (b"\x80\x05", True), (b"a\0", True)]
)
def test_what_is_no_text_is_found(tmp_path, data, opaque):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "first.py").write_bytes(b"")
    (tmp_path / "a" / "second").write_bytes(data)
    assert unreadable(tmp_path) == ("a/second" if opaque else "")
