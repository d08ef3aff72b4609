"""Logs that keep their end."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.adapters.execution import log
from comity.adapters.execution.log import Tail, add_line


@given(pieces=st.lists(st.binary(max_size=40), max_size=30))
def test_the_end_is_kept_and_the_file_never_grows_beyond_twice_that(tmp_path_factory, pieces):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "KEPT", 50)
        path = tmp_path_factory.mktemp("log") / "log"
        tail = Tail(path)
        for piece in pieces:
            tail.write(piece)
            assert path.stat().st_size <= 2 * 50
        tail.close()
    written = b"".join(pieces)
    kept = path.read_bytes()
    if kept != written:
        left_out = len(written) - 50
        assert kept == f"[the first {left_out} bytes are left out]\n".encode() + written[left_out:]
    else:
        assert len(written) <= 50


def test_a_log_is_begun_anew_and_gets_a_last_line(tmp_path):
    path = tmp_path / "log"
    path.write_text("of the first attempt")
    tail = Tail(path)
    tail.write(b"text\n")
    tail.close()
    add_line(path, "ValueError")
    assert path.read_text() == "text\nValueError\n"


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "log").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic links"):
        Tail(tmp_path / "log")
    add_line(tmp_path / "log", "line")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_full_disk_loses_text_only():
    tail = Tail(Path("/dev/full"))
    tail.write(b"text")
    tail.close()
