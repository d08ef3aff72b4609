"""Orders to a hub: the process that runs carries them out, and nobody else signs meanwhile."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.adapters import folder
from comity.adapters.sql.log import Log
from comity.domain.entry import read_leaf, read_statement
from comity.domain.joining import read_join, read_token, write_join
from comity.hub import desk
from comity.hub.desk import Close, Invite, Raise, Remove
from comity.hub.place import open_place
from comity.values.errors import Conflict, Forbidden, NotFound
from comity.values.keys import Identity

URL = "https://localhost:7070"


class Woken:
    """In the place of the hub's ordering."""

    def __init__(self):
        self.channels = []

    def wake(self, channel):
        self.channels.append(channel)


@pytest.fixture
def place(tmp_path):
    here = tmp_path / ("a folder whose name is far too long for the address of a socket " * 3)
    made = open_place(here)
    made.ready(name="main", hosts=["localhost"])
    yield made
    made.database.close()


@contextmanager
def running(place):
    """The hub at work; gives who is woken."""
    woken, loop = Woken(), asyncio.new_event_loop()
    with folder.lock(place.folder), desk.listen(place.folder) as listening:
        task = loop.create_task(desk.serve(place, woken, listening))
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield woken
        finally:
            loop.call_soon_threadsafe(task.cancel)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


def never():
    raise AssertionError("the database of a hub that runs is not opened by others")


def statements(place):
    with place.database.read() as connection:
        leaves = Log(connection, 1).deliveries(0, 1000)
    return [read_statement(read_leaf(bytes(each.leaf)).statement) for each in leaves]


def test_the_hub_that_runs_carries_it_out(place):
    with running(place) as woken:
        token = read_token(desk.have_done(place.folder, Invite("a", URL, 7), never))
        assert (token.organization, token.url) == ("a", URL)
        assert woken.channels == [1]
        join = read_join(write_join(token, Identity.generate()))
        place.database.write(lambda connection: place.founder.admit(connection, 1, join))
        with pytest.raises(Conflict, match="a is a member already"):
            desk.have_done(place.folder, Invite("a", URL, 7), never)
        desk.have_done(place.folder, Remove("a", "left"), never)
        with pytest.raises(NotFound, match="no member a"):
            desk.have_done(place.folder, Remove("a"), never)
        with pytest.raises(Conflict, match=r"version 1 of the rules, and members know: hub 1"):
            desk.have_done(place.folder, Raise(), never)
        desk.have_done(place.folder, Close(), never)
        with pytest.raises(Forbidden, match="closed"):
            desk.have_done(place.folder, Invite("b", URL, 7), never)
        assert woken.channels == [1] * 7  # whatever came of it


def test_many_at_once_make_one_history(place):
    with running(place), ThreadPoolExecutor(8) as several:
        orders = [Invite(f"hospital-{number}", URL, 7) for number in range(20)]
        list(several.map(lambda order: desk.have_done(place.folder, order, never), orders))
    assert [each.sequence for each in statements(place)] == list(range(21))


def test_without_a_hub_that_runs_it_is_done_under_its_lock(place):
    def opened():
        with pytest.raises(Conflict):
            folder.lock(place.folder)
        return open_place(place.folder)

    assert read_token(desk.have_done(place.folder, Invite("a", URL, 7), opened)).organization == "a"
    with running(place):
        pass  # its socket stays behind
    assert read_token(desk.have_done(place.folder, Invite("b", URL, 7), opened)).organization == "b"


def test_a_hub_that_is_just_beginning_is_waited_for_and_not_for_ever(place, monkeypatch):
    monkeypatch.setattr(desk, "PATIENCE", 0.0)
    with folder.lock(place.folder), pytest.raises(Conflict, match="in use"):
        desk.have_done(place.folder, Invite("a", URL, 7), never)


def test_the_desk_is_for_the_owner_alone(place):
    with running(place):
        assert (place.folder / desk.SOCKET).stat().st_mode & 0o777 == 0o600


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100) | st.sampled_from([b'{"type":"invite"}', b'{"type":"x"}', b"[" * 5000, b"x" * 70_000]))
def test_what_is_no_order_is_refused(place, sent):
    with running(place), socket.socket(socket.AF_UNIX) as asked:
        with desk._near(place.folder) as path:
            asked.connect(path)
        asked.sendall(sent.replace(b"\n", b" ") + b"\n")
        assert b"DecodeError" in asked.makefile("rb").readline()
    assert len(statements(place)) == 1
