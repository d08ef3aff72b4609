"""Blobs between nodes that do not trust each other, nor the hub: only what is due is taken, and only from its owner."""

import asyncio
import secrets

import pytest
from msgspec.structs import replace

from comity.domain.events import (
    FunctionApproved,
    FunctionBuilding,
    FunctionInput,
    FunctionOutput,
    FunctionReady,
    FunctionRegistered,
    OrganizationRemoved,
    OutputMade,
    OutputsReleased,
    PlanRegistered,
    TaskAdded,
    TaskCancelled,
    TaskDone,
    TaskInput,
    TaskOutput,
    TaskStarted,
)
from comity.domain.letter import Denied, Sent, Wanted
from comity.domain.words import Permission
from comity.hub.app import expire
from comity.node import exchange as module
from comity.node.exchange import Exchange
from comity.node.releasing import Releasing
from comity.ports.blobs import BlobsInMemory
from comity.values.digest import digest
from comity.values.errors import Forbidden, NotFound, Unavailable
from comity.values.keys import to_base64
from comity.values.stream import KEY, seal_chunks, sealed_size

DATA = b"an archive" * 100
BLOB = digest(DATA)
OTHER = digest(b"another")
PUBLIC = Permission(public=True)


class Site:
    """A node with a store."""

    def __init__(self, network, name):
        self.node = network.node(name)
        self.blobs = BlobsInMemory()
        self.exchange = Exchange(self.node.following, self.blobs)

    def has(self, blob, owner):
        return self.node.link.network.run(self.exchange.has(blob, owner=owner))


@pytest.fixture
def sites(network, monkeypatch):
    """The nodes of a, b and c, where b has registered the function f, whose archive it holds."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    made = FunctionRegistered(
        key=network.key("f"),
        name=network.NAME,
        archive=BLOB,
        description=OTHER,
        inputs={"models": FunctionInput(kind="ASSET_MODEL", multiple=True, optional=True)},
        outputs={"model": FunctionOutput(kind="ASSET_MODEL")},
        permission=PUBLIC,
    )
    network.say("b", made)
    made = {name: Site(network, name) for name in "abc"}
    made["b"].blobs.put([DATA])
    network.settle(made)
    yield made
    for site in made.values():
        network.run(site.exchange.close())


def have(site, owner="b", blob=BLOB, asset="f"):
    return site.exchange.have(blob, owner=owner, holds="archive", asset=site.node.link.network.key(asset))


def parcel(network, sender, recipients, data, *, key=bytes(KEY)):
    """A parcel of some bytes at the hub; its name."""
    name = secrets.token_hex(16)
    body = b"".join(bytes(each) for each in seal_chunks(key, [data]))
    link = network.link(sender)
    announced = f'{{"size":{len(body)},"recipients":["{recipients}"]}}'.encode()
    assert network.request(link, "POST", f"/parcels/{name}", announced).status == 200
    assert network.request(link, "PUT", f"/parcels/{name}/bytes", body).status == 200
    return name


def letter(name, data=DATA, **fields):
    return replace(Sent(blob=digest(data), parcel=name, size=len(data), key=to_base64(bytes(KEY))), **fields)


def is_at_hub(network, owner, name):
    return network.request(network.link(owner), "GET", f"/parcels/{name}").status == 200


def test_a_blob_comes_from_its_owner(network, sites):
    assert not sites["a"].has(BLOB, "b")
    network.settle(sites, have(sites["a"]))
    assert b"".join(sites["a"].blobs.open(BLOB)) == DATA
    assert sites["a"].has(BLOB, "b")
    network.settle(sites)
    assert list((network.folder / "spool").iterdir()) == []


def test_naming_a_digest_gives_nobody_the_bytes(network, sites):
    """They may lie here for another owner or channel; who names them has to send them."""
    sites["a"].blobs.put([DATA])
    assert sites["a"].has(BLOB, "a")
    assert not sites["a"].has(BLOB, "b")
    network.settle(sites, have(sites["a"]))
    assert sites["a"].has(BLOB, "b")
    assert not sites["a"].has(BLOB, "c")


def test_it_is_known_after_a_restart(network, sites):
    network.settle(sites, have(sites["a"]))
    again = Exchange(sites["a"].node.following, sites["a"].blobs)
    assert network.run(again.has(BLOB, owner="b"))
    network.run(again.close())


def test_what_nobody_asked_for_is_not_taken(network, sites):
    name = parcel(network, "c", "a", b"spam")
    network.run(sites["c"].exchange.post("a", letter(name, b"spam")))
    network.settle(sites)
    assert list(sites["a"].blobs.digests()) == []
    assert not is_at_hub(network, "c", name)


def test_what_was_asked_of_another_is_not_taken(network, sites):
    """c sends b's blob, before b does: a waits for b's."""
    work = sites["a"].exchange.have(BLOB, owner="b", holds="archive", asset=network.key("f"))
    name = parcel(network, "c", "a", DATA)
    network.run(sites["c"].exchange.post("a", letter(name)))
    network.run(sites["c"].exchange.post("a", Denied(blob=BLOB, reason="no")))
    network.settle(sites, work)
    assert sites["a"].has(BLOB, "b")
    assert not sites["a"].has(BLOB, "c")


def test_only_the_owner_gives(network, sites):
    """c has f's archive too, but is not asked for it."""
    network.settle(sites, have(sites["c"]))
    told = []
    sites["a"].exchange._arrived = lambda *each: told.append(each)
    network.run(sites["a"].exchange.post("c", Wanted(blob=BLOB, holds="archive", asset=network.key("f"))))
    network.settle(sites)
    assert [(owner, blob) for owner, blob, _ in told] == [("c", BLOB)]
    assert "is b's; ask there" in str(told[0][2])


def test_a_parcel_that_is_not_its_blob_is_sealed_anew(network, sites):
    """The hub alters what it spools."""
    task = network.loop.create_task(have(sites["a"]))
    spool, altered = network.folder / "spool", []

    async def run():
        for _ in range(3000):
            await sites["b"].node.following.catch_up(sites["b"].exchange.deal)
            await asyncio.sleep(0.001)
            found = [each for each in spool.iterdir() if each.stat().st_size == sealed_size(len(DATA))]
            if found and not sites["b"].exchange._tasks:
                altered.extend(found)
                found[0].write_bytes(bytes(sealed_size(len(DATA))))
                return
        raise AssertionError("nothing was sent")

    network.run(run())
    arrival = sites["a"].exchange._arriving["b", BLOB]
    arrival.patience = 0
    network.settle(sites, task)
    assert arrival.refused == altered[0].name.partition("-")[2]
    assert b"".join(sites["a"].blobs.open(BLOB)) == DATA
    network.settle(sites)
    assert list(spool.iterdir()) == []


def test_what_comes_twice_at_once_is_acknowledged_twice(network, sites):
    """It was asked for again while it came: the hub must not keep the second parcel."""
    task = network.loop.create_task(have(sites["a"]))
    network.run(asyncio.sleep(0))
    exchange, held = sites["a"].exchange, asyncio.Event()
    receive = exchange.receiving.receive

    async def slow(*given):
        await held.wait()
        return await receive(*given)

    exchange.receiving.receive = slow
    for _ in range(2):
        name = parcel(network, "b", "a", DATA)
        network.run(sites["b"].exchange.post("a", letter(name)))
        network.run(sites["a"].node.following.catch_up(exchange.deal))
    held.set()
    network.settle(sites, task)
    network.settle(sites)
    assert list((network.folder / "spool").iterdir()) == []


def test_who_waits_is_told_of_a_blob_that_is_damaged_at_home(network, sites):
    sites["b"].blobs._blobs[BLOB] = bytes(len(DATA))
    task = network.loop.create_task(have(sites["a"]))
    network.run(asyncio.sleep(0))
    with pytest.raises(Forbidden, match=f"b does not give {BLOB}: it is damaged at b"):
        network.settle(sites, impatient(sites["a"], task))
    assert list(sites["a"].blobs.digests()) == []


async def impatient(site, task):
    """As the task, asking again at once."""
    while not task.done():
        for arrival in site.exchange._arriving.values():
            arrival.patience = 0
        await asyncio.sleep(0)
    return task.result()


@pytest.mark.parametrize("change", [{"size": 1}, {"key": "AAAA"}, {"key": to_base64(b"k" * KEY)}, {"size": 2**53 - 1}])
def test_a_letter_that_lies_is_not_taken(network, sites, change):
    """What b announces is not what it sends."""
    network.loop.create_task(have(sites["a"]))
    network.run(asyncio.sleep(0))
    sites["b"].exchange.deal = nothing
    name = parcel(network, "b", "a", DATA)
    network.run(sites["b"].exchange.post("a", letter(name, **change)))
    network.settle(sites)
    assert list(sites["a"].blobs.digests()) == []
    assert not is_at_hub(network, "b", name)


async def nothing(mail):
    return None


def test_a_parcel_longer_than_its_letter_is_cut(network, sites):
    network.loop.create_task(have(sites["a"]))
    network.run(asyncio.sleep(0))
    sites["b"].exchange.deal = nothing
    name = parcel(network, "b", "a", bytes(5_000_000))
    network.run(sites["b"].exchange.post("a", letter(name)))
    network.settle(sites)
    assert list(sites["a"].blobs.digests()) == []


def test_who_has_left_gets_nothing(network, sites):
    """The hub goes on relaying its letters."""
    network.run(sites["c"].exchange.post("b", Wanted(blob=BLOB, holds="archive", asset=network.key("f"))))
    network.say("hub", OrganizationRemoved(organization="c"))
    del sites["c"]
    network.settle(sites)
    assert list((network.folder / "spool").iterdir()) == []


# An output is sent before the log tells of it.


@pytest.fixture
def planned(network, sites):
    """b works on the task "first", whose model c's task "then" takes."""
    for author in "ac":
        network.say(author, FunctionApproved(archive=BLOB, by="u"))
    network.say("b", FunctionBuilding(key=network.key("f")))
    network.say("b", FunctionReady(key=network.key("f"), durations={}))
    outputs = {"model": TaskOutput(permission=PUBLIC)}
    plan = network.key("plan")
    network.say("a", PlanRegistered(key=plan, name=network.NAME))
    first = TaskAdded(key=network.key("first"), plan=plan, function=network.key("f"), worker="b", outputs=outputs)
    given = (TaskInput(identifier="models", parent=first.key, output="model"),)
    network.say("a", first, replace(first, key=network.key("then"), worker="c", inputs=given))
    network.say("b", TaskStarted(key=first.key, attempt=1))
    network.settle(sites)
    return sites


def push(network, sites, data, sender="b", recipient="c", task="first"):
    name = parcel(network, sender, recipient, data)
    network.run(sites[sender].exchange.post(recipient, letter(name, data, task=network.key(task))))
    network.settle(sites)


def test_an_output_that_will_be_needed_is_taken(network, planned):
    push(network, planned, DATA)
    assert planned["c"].has(BLOB, "b")


@pytest.mark.parametrize(
    "who", [{"recipient": "a"}, {"sender": "a"}, {"task": "then"}, {"task": "nothing"}], ids=lambda who: str(who)
)
def test_an_output_that_will_not_be_needed_is_not_taken(network, planned, who):
    push(network, planned, DATA, **who)
    for name in {"a", "c"}:
        assert list(planned[name].blobs.digests()) == []


def test_no_more_outputs_are_taken_than_the_task_has(network, planned):
    for number in range(3):
        push(network, planned, b"%d" % number)
    assert list(planned["c"].blobs.digests()) == [digest(b"0")]


def test_once_the_log_tells_of_it_only_the_output_is_taken(network, planned):
    made = OutputMade(key=network.key("model"), blob=BLOB, size=len(DATA))
    network.say("b", TaskDone(key=network.key("first"), outputs={"model": made}))
    network.settle(planned)
    push(network, planned, b"another")
    assert list(planned["c"].blobs.digests()) == []
    push(network, planned, DATA)
    assert planned["c"].has(BLOB, "b")


def test_a_model_has_the_size_that_the_log_says(network, planned):
    made = OutputMade(key=network.key("model"), blob=BLOB, size=len(DATA) + 1)
    network.say("b", TaskDone(key=network.key("first"), outputs={"model": made}))
    network.settle(planned)
    task = network.loop.create_task(
        planned["c"].exchange.have(BLOB, owner="b", holds="model", asset=network.key("model"))
    )
    network.settle(planned)
    network.settle(planned)
    assert list(planned["c"].blobs.digests()) == []
    task.cancel()


def test_what_was_released_while_it_was_on_its_way_is_deleted_again(network, planned):
    """c needs it when it begins to come, and does not when it is there."""
    c, data = planned["c"], b"a model"
    c.blobs.put([data])
    network.say("a", TaskCancelled(key=network.key("then")))
    network.settle(planned)
    sent = letter("0" * 32, data, task=network.key("first"))
    assert c.node.database.write(lambda connection: c.exchange._received(connection, "b", sent)) == "released"
    network.run(Releasing(c.exchange)._deleted())
    assert (c.blobs.size(digest(data)), c.has(digest(data), "b")) == (None, False)
    assert c.node.database.write(lambda connection: c.exchange._received(connection, "b", sent)) == "gone"


def test_who_has_a_released_model_deletes_it_too(network, planned):
    outputs = {"model": TaskOutput(permission=PUBLIC, transient=True)}
    data, third, fourth = b"a model", network.key("third"), network.key("fourth")
    given = (TaskInput(identifier="models", parent=third, output="model"),)
    added = TaskAdded(key=third, plan=network.key("plan"), function=network.key("f"), worker="b", outputs=outputs)
    network.say("a", added, replace(added, key=fourth, worker="c", inputs=given))
    network.say("b", TaskStarted(key=third, attempt=1))
    network.settle(planned)
    push(network, planned, data, task="third")
    made = OutputMade(key=network.key("model"), blob=digest(data), size=len(data))
    network.say("b", TaskDone(key=third, outputs={"model": made}))
    network.say("a", TaskCancelled(key=fourth))
    network.settle(planned)
    c = planned["c"]
    assert c.has(digest(data), "b")
    assert not c.node.following.releases.is_set()
    assert planned["b"].node.following.releases.is_set()  # it is due there
    network.say("b", OutputsReleased(models=(made.key,)))
    network.settle(planned)
    assert c.node.following.releases.is_set()
    network.run(Releasing(c.exchange)._deleted())
    assert (c.blobs.size(digest(data)), c.has(digest(data), "b")) == (None, False)


def test_what_its_owner_hands_on_is_asked_for_only_when_it_does_not_come(network, planned, monkeypatch):
    made = OutputMade(key=network.key("model"), blob=BLOB, size=len(DATA))
    network.say("b", TaskDone(key=network.key("first"), outputs={"model": made}))
    network.settle(planned)
    exchange, asked = planned["c"].exchange, []
    post = exchange._posting.post

    async def noting(recipient, said):
        asked.append(said)
        await post(recipient, said)

    def wait(seconds):
        return exchange.have(BLOB, owner="b", holds="model", asset=network.key("model"), unasked=seconds)

    monkeypatch.setattr(exchange._posting, "post", noting)
    waiting = network.loop.create_task(wait(60.0))
    network.settle(planned)
    assert (waiting.done(), asked) == (False, [])
    push(network, planned, DATA)
    assert (waiting.done(), asked) == (True, [])
    planned["c"].blobs.delete(BLOB)
    network.settle(planned, wait(0.01))
    assert {type(each) for each in asked} == {Wanted}


# Sending


def uploads_of(site, monkeypatch):
    """The uploads of a site's, as they begin."""
    link, begun = site.node.link, []
    upload = link.upload

    def noting(target, pieces):
        begun.append(target)
        return upload(target, pieces)

    monkeypatch.setattr(link, "upload", noting)
    return begun


def test_what_is_sent_twice_at_once_is_uploaded_once(network, sites, monkeypatch):
    begun = uploads_of(sites["b"], monkeypatch)
    send = sites["b"].exchange.send

    async def twice():
        await asyncio.gather(send(BLOB, ["a"]), send(BLOB, ["c"]), send(BLOB, ["a", "c"]))

    network.run(twice())
    assert len(begun) == 1
    works = [have(sites["a"]), have(sites["c"])]
    network.settle(sites, asyncio.wait_for(_both(*works), 60))
    network.settle(sites)
    assert sites["a"].has(BLOB, "b")
    assert sites["c"].has(BLOB, "b")
    expire(network.hub)  # it may have been uploaded once more, while the last were saying that they have it
    assert list((network.folder / "spool").iterdir()) == []


async def _both(*works):
    await asyncio.gather(*works)


def test_an_upload_that_fails_is_tried_again_by_all_who_wait_for_it(network, sites, monkeypatch):
    begun, link = uploads_of(sites["b"], monkeypatch), sites["b"].node.link
    upload = link.upload

    async def failing(target, pieces):
        if len(begun) < 2:
            begun.append(target)
            await asyncio.sleep(0.01)
            raise Unavailable("the hub is away")
        return await upload(target, pieces)

    monkeypatch.setattr(link, "upload", failing)

    async def twice():
        sites["b"].node.following.connected = True
        await asyncio.gather(*(sites["b"].exchange.send(BLOB, [each]) for each in "ac"))

    network.run(twice())
    network.settle(sites, asyncio.wait_for(_both(have(sites["a"]), have(sites["c"])), 60))


def test_who_has_left_keeps_a_blob_from_nobody_else(network, sites):
    network.say("hub", OrganizationRemoved(organization="a"))
    network.settle({name: sites[name] for name in "bc"})
    with pytest.raises(NotFound, match="has left the channel"):
        network.run(sites["b"].exchange.send(BLOB, ["a"]))
    network.run(sites["b"].exchange.send(BLOB, ["a", "c"]))
    network.settle({name: sites[name] for name in "bc"}, have(sites["c"]))
    assert sites["c"].has(BLOB, "b")
