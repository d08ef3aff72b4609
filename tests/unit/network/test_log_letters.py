"""Logs that are read at another organization: only by whom they may be, through a hub that cannot, and kept nowhere."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from comity.domain.events import (
    DatasetRegistered,
    FunctionApproved,
    FunctionBuilding,
    FunctionFailed,
    FunctionInput,
    FunctionOutput,
    FunctionReady,
    FunctionRegistered,
    PlanRegistered,
    Sample,
    SamplesRegistered,
    TaskAdded,
    TaskFailed,
    TaskInput,
    TaskOutput,
    TaskStarted,
)
from comity.domain.letter import LogDenied, LogSent, LogWanted
from comity.domain.words import Permission
from comity.node import log_letters as module
from comity.node.exchange import Exchange
from comity.node.log_letters import LogLetters
from comity.node.logs import LARGEST, log_file
from comity.ports.blobs import BlobsInMemory
from comity.values.digest import digest
from comity.values.errors import Forbidden, NotFound
from comity.values.keys import to_base64
from comity.values.stream import KEY, seal_chunks

BLOB = digest(b"a blob")
LOG = b"Traceback: a row of a patient\n"
PUBLIC = Permission(public=True)


class Site:
    """A node with a folder of logs."""

    def __init__(self, network, name):
        self.node = network.node(name)
        self.blobs = BlobsInMemory()
        self.exchange = Exchange(self.node.following, self.blobs)
        self.folder: Path = network.folder / "logs of" / name
        self.letters = LogLetters(self.exchange, self.folder)
        self.exchange.logs = self.letters.deal

    def write(self, key, text=LOG):
        path = log_file(self.folder, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


@pytest.fixture
def sites(network, monkeypatch):
    """The nodes of a, b and c; a task of a's failed at b, on a dataset whose logs a may read, and c may not."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    key = network.key
    made = FunctionRegistered(
        key=key("f"),
        name=network.NAME,
        archive=BLOB,
        description=BLOB,
        inputs={
            "opener": FunctionInput(kind="ASSET_DATA_MANAGER"),
            "datasamples": FunctionInput(kind="ASSET_DATA_SAMPLE", multiple=True),
        },
        outputs={"model": FunctionOutput(kind="ASSET_MODEL")},
        permission=Permission(authorized=("a",)),
    )
    dataset = DatasetRegistered(
        key=key("d"),
        name=network.NAME,
        opener=BLOB,
        description=BLOB,
        permission=PUBLIC,
        logs_permission=Permission(authorized=("a",)),
    )
    network.say("b", made, replace(made, key=key("never ready")))
    network.say("b", FunctionBuilding(key=key("f")), FunctionReady(key=key("f"), durations={}))
    network.say("b", dataset, SamplesRegistered(samples=(Sample(key("s"), BLOB),), datasets=(key("d"),)))
    network.say("a", FunctionApproved(archive=BLOB, by="u"), PlanRegistered(key=key("plan"), name=network.NAME))
    inputs = (TaskInput("opener", asset=key("d")), TaskInput("datasamples", asset=key("s")))
    outputs = {"model": TaskOutput(permission=PUBLIC)}
    task = TaskAdded(
        key=key("t"), plan=key("plan"), function=key("f"), worker="b", inputs=inputs, outputs=outputs, required=False
    )
    network.say("a", task, replace(task, key=key("unbuilt"), function=key("never ready")))
    network.say("b", TaskStarted(key=key("t"), attempt=1), TaskFailed(key=key("t"), error="EXECUTION_ERROR", log=True))
    network.say("b", FunctionBuilding(key=key("never ready")), FunctionFailed(key=key("never ready")))
    made = {name: Site(network, name) for name in "abc"}
    made["b"].write(key("t"))
    made["b"].write(key("never ready"), b"no such distribution\n")
    network.settle(made)
    yield made
    for site in made.values():
        network.run(site.exchange.close())


def have(network, sites, word="t", who="a"):
    return network.settle(sites, sites[who].letters.have(network.key(word), "b"))


def test_a_log_comes_from_its_owner_and_is_kept_nowhere(network, sites):
    assert have(network, sites) == LOG
    network.settle(sites)
    assert not list(sites["a"].blobs.digests())
    assert not list(sites["b"].blobs.digests())
    assert not list((network.folder / "spool").iterdir())
    assert not sites["a"].letters._reading


def test_the_hub_sees_none_of_it(network, sites, monkeypatch):
    seen = []
    call = network.call

    async def watched(method, target, body=b"", **headers):
        seen.append(body)
        return await call(method, target, body, **headers)

    monkeypatch.setattr(network, "call", watched)
    assert have(network, sites) == LOG
    assert len(seen) > 3
    assert not any(b"patient" in each for each in seen)


def test_the_log_of_a_build_that_failed(network, sites):
    assert have(network, sites, "unbuilt") == b"no such distribution\n"


def test_of_a_long_log_the_end_comes(network, sites):
    sites["b"].write(network.key("t"), b"x" * 7 + b"y" * LARGEST)
    assert have(network, sites) == b"[the first 7 bytes are left out]\n" + b"y" * LARGEST


def test_its_owner_looks_who_asks(network, sites):
    with pytest.raises(Forbidden, match="b does not give the log: OE0102: c may not read the log of task"):
        have(network, sites, who="c")
    with pytest.raises(Forbidden, match="nor read the log of its build"):
        have(network, sites, "unbuilt", who="c")


def test_one_that_is_gone_is_missing(network, sites):
    log_file(sites["b"].folder, network.key("t")).unlink()
    with pytest.raises(NotFound, match="is gone from the node of b"):
        have(network, sites)


def test_several_who_wait_ask_once(network, sites):
    posted = []
    post = sites["a"].exchange.post

    async def counted(recipient, letter):
        posted.append(letter)
        await post(recipient, letter)

    sites["a"].exchange.post = counted

    async def both():
        return await asyncio.gather(*(sites["a"].letters.have(network.key("t"), "b") for _ in range(3)))

    module.PATIENCE = 1000
    assert network.settle(sites, both()) == [LOG] * 3
    assert posted == [LogWanted(task=network.key("t"))]


def test_it_is_asked_for_again_when_a_letter_was_lost(network, sites):
    call, lost = sites["b"].exchange._posting.call, []

    async def first_lost(method, target, body=None):
        if body and body.get("letters") and not lost:
            lost.append(body["letters"])
            body = {**body, "letters": {}}
        return await call(method, target, body)

    sites["b"].exchange._posting.call = first_lost
    assert have(network, sites) == LOG
    assert len(lost) == 1


def test_what_nobody_waits_for_is_dropped(network, sites):
    """Nor is what another sends in the place of the owner, or what does not open."""
    work = network.loop.create_task(sites["a"].letters.have(network.key("t"), "b"))
    module.PATIENCE = 1000
    network.run(asyncio.sleep(0))
    for sender, task, key in (("c", "t", bytes(KEY)), ("b", "other", bytes(KEY))):
        name = "0" * 31 + sender.replace("c", "1").replace("b", "2")
        body = b"".join(bytes(each) for each in seal_chunks(key, [b"a lie"]))
        link = network.link(sender)
        announced = f'{{"size":{len(body)},"recipients":["a"]}}'.encode()
        assert network.request(link, "POST", f"/parcels/{name}", announced).status == 200
        assert network.request(link, "PUT", f"/parcels/{name}/bytes", body).status == 200
        sent = LogSent(task=network.key(task), parcel=name, size=5, key=to_base64(key))
        network.run(sites[sender].exchange.post("a", sent))
    network.run(sites["c"].exchange.post("a", LogDenied(task=network.key("t"), reason="a lie")))
    assert network.settle(sites, work) == LOG
    network.settle(sites)
    assert not list((network.folder / "spool").iterdir())
