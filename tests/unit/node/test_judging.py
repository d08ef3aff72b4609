"""What becomes of words on functions when a node's policy becomes another."""

import asyncio
from types import SimpleNamespace

import pytest

from comity.domain.events import FunctionRefused
from comity.domain.records import Approval, Function, RecordsInMemory
from comity.domain.words import Permission
from comity.node.judging import Judging
from comity.values.errors import Unavailable

HERE, THERE = "a", "b"


def function(number, owner, status="FUNCTION_STATUS_READY"):
    return Function(
        key=f"{number}" * 8,
        owner=owner,
        name="",
        archive=f"sha256:{number:064}",
        description="sha256:" + "0" * 64,
        inputs={},
        outputs={},
        permission=Permission(public=True),
        created_at=number,
        status=status,
    )


PICKLED, READABLE, WAITS, OWN, REFUSED = (
    function(1, THERE),
    function(2, THERE),
    function(3, THERE),
    function(4, HERE),
    function(5, THERE),
)
"""Others' that a steward has approved, one of them text; one without a word; this organization's; a refused one."""


class World:
    """A node's part of a channel, as far as judging sees it."""

    def __init__(self, folder):
        self.folder, self.said, self.forgotten, self.away = folder, [], [], set()
        self.records = RecordsInMemory()
        for each in (PICKLED, READABLE, WAITS, OWN, REFUSED):
            self.records.put(each)
        for each, approved in ((PICKLED, True), (READABLE, True), (REFUSED, False)):
            self.word(each, approved, by="steward")

    def word(self, of, approved, by):
        key = f"{HERE}|{of.archive}"
        word = Approval(key=key, organization=HERE, archive=of.archive, approved=approved, by=by, reason="", at=1)
        self.records.put(word)

    async def start(self, opaque):
        """Judge until nothing more is to be said."""

        async def read(work):
            return work(SimpleNamespace(records=self.records))

        async def insist(events, texts):
            for event in events:
                self.said.append(event)
                self.word(event, not isinstance(event, FunctionRefused), event.by)

        async def unpacked(exchange, function):
            if function.archive in self.away:
                self.away.remove(function.archive)
                raise Unavailable("its owner is away")
            folder = self.folder / function.archive
            folder.mkdir(exist_ok=True)
            (folder / "f").write_bytes(b"text" if function == READABLE else b"\x80\x05")
            return folder

        async def forget(function):
            self.forgotten.append(function)

        following = SimpleNamespace(organization=HERE, read=read, insist=insist)
        bundles = SimpleNamespace(unpacked=unpacked, forget=forget)
        here = self.folder / "channel"
        judging = Judging(SimpleNamespace(following=following), bundles, approve="ask", opaque=opaque, folder=here)
        await judging._renew()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def refused(world):
    assert all(isinstance(each, FunctionRefused) and each.by == "policy" for each in world.said)
    return [each.archive for each in world.said]


def test_what_was_let_in_before_is_refused_once_policy_denies_it(world):
    asyncio.run(world.start("ask"))
    assert world.said == []
    asyncio.run(world.start("deny"))
    assert refused(world) == [PICKLED.archive, OWN.archive]
    assert world.forgotten == [PICKLED]


def test_a_steward_may_approve_of_it_again_and_knows_what_policy_says(world):
    asyncio.run(world.start("deny"))
    world.word(PICKLED, True, by="steward")
    said = len(world.said)
    asyncio.run(world.start("deny"))
    assert len(world.said) == said
    asyncio.run(world.start("ask"))
    asyncio.run(world.start("deny"))
    assert refused(world)[said:] == [PICKLED.archive]


def test_what_cannot_be_read_yet_is_read_later(world, monkeypatch):
    monkeypatch.setattr("comity.node.judging.PAUSE", 0.0)
    world.away = {PICKLED.archive}
    asyncio.run(world.start("deny"))
    assert refused(world) == [OWN.archive, PICKLED.archive]
