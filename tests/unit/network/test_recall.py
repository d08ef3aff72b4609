"""What a hub recalls between requests holds: every write that makes it untrue has it forgotten at once."""

import asyncio
import threading

import msgspec
import pytest
from sqlalchemy import select

from comity.domain.entry import canonical, sign
from comity.domain.events import KeyRotated, OrganizationRemoved, Redacted, texts_of
from comity.domain.membership import rotation
from comity.hub import ordering, recall, schema
from comity.hub.app import app
from comity.hub.hub import hub
from comity.hub.recall import SPOTS, Page, Recall
from comity.values.digest import digest
from comity.values.keys import to_base64


class Counted:
    """How often something is called."""

    def __init__(self, call):
        self.call, self.times = call, 0

    def __call__(self, *positional, **named):
        self.times += 1
        return self.call(*positional, **named)


@pytest.fixture
def reads(network, monkeypatch):
    """How often the database is read."""
    counted = Counted(network.database.aread)
    monkeypatch.setattr(network.database, "aread", counted)
    return counted


@pytest.fixture
def signings(monkeypatch):
    """How often a checkpoint is signed."""
    counted = Counted(ordering.sign_checkpoint)
    monkeypatch.setattr(ordering, "sign_checkpoint", counted)
    return counted


def news(network, who, start, **query):
    target = "".join(f"&{name}={value}" for name, value in query.items())
    answer = network.request(network.link(who), "GET", f"/news?from={start}{target}")
    assert answer.status == 200, answer.content
    return answer.json


def size(network):
    return network.log(lambda log: log.size)


def post(network, sender, recipient, body="sealed"):
    said = msgspec.json.encode({"recipient": recipient, "body": body})
    return network.ask(network.link(sender), "POST", "/mail", said)


def entry(network, author, *events, signer=None):
    """A request that orders events without texts, as a node makes it."""
    keys = signer or network.identity(author)
    link = network.link(author)
    link.identity = keys
    return network.ask(link, "POST", "/entries", canonical([sign(network.statement(author, *events), keys, {})]))


def ordered(network, author, *events, signer=None):
    answer = network.run(entry(network, author, *events, signer=signer))
    assert "place" in answer.json[0], answer.content


def remove(network, organization):
    ordered(network, "hub", OrganizationRemoved(organization=organization), signer=network.identity("founder"))


async def waiting(network, *members, start):
    """Requests for news that the hub holds."""
    asked = [
        asyncio.ensure_future(network.ask(network.link(each), "GET", f"/news?from={start}&wait=20000"))
        for each in members
    ]
    await asyncio.sleep(0.1)
    assert not any(each.done() for each in asked)
    return asked


# What is new


def test_many_nodes_cost_one_read_and_one_signature(network, reads, signings):
    start = size(network)
    event, texts = network.plan("new")
    body = canonical([sign(network.statement("a", event), network.identity("a"), texts)])

    async def story():
        for each in "abc":
            assert (await network.ask(network.link(each), "GET", f"/news?from={start}")).json["deliveries"] == []
        asked = await waiting(network, *"abc", start=start)
        reads.times = signings.times = 0
        await network.ask(network.link("a"), "POST", "/entries", body)
        found = [each.json for each in await asyncio.wait_for(asyncio.gather(*asked), 5)]
        for each in "abc":
            assert (await network.ask(network.link(each), "GET", f"/news?from={start + 1}")).json["size"] == start + 1
        return found

    found = network.run(story())
    assert found[0] == found[1] == found[2]
    assert msgspec.json.encode(found[0]["deliveries"]) == msgspec.json.encode(network.deliveries(start))
    assert (reads.times, signings.times) == (1, 1)


def test_who_asks_from_the_end_learns_the_whole_logs_checkpoint(network):
    end = size(network)
    fresh = news(network, "a", end)
    network.hub.recall.forget_log(network.channels["main"].number)
    news(network, "a", end - 1)
    recalled = news(network, "a", end)
    assert recalled == fresh
    leaves = [bytes(each.leaf) for each in network.deliveries()]
    assert recalled["checkpoint"] == network.note(leaves)


def test_what_was_redacted_is_not_recalled(network):
    start = size(network)
    network.write("a", "secret")
    for who in "bc":
        assert b"plan secret" in msgspec.json.encode(news(network, who, start))
    ordered(network, "a", Redacted(texts=tuple(texts_of(network.plan("secret")[0]))))
    for who in "bc":
        assert b"plan secret" not in msgspec.json.encode(news(network, who, start))


def test_what_was_read_before_a_redaction_is_not_recalled_after_it(network, monkeypatch):
    start = size(network)
    network.write("a", "secret")
    read, held, go = network.database.aread, asyncio.Event(), asyncio.Event()

    async def slow(work):
        made = await read(work)
        if isinstance(made, tuple) and isinstance(made[0], Page):
            held.set()
            await go.wait()
        return made

    async def story():
        asked = asyncio.ensure_future(network.ask(network.link("b"), "GET", f"/news?from={start}"))
        await held.wait()
        await entry(network, "a", Redacted(texts=tuple(texts_of(network.plan("secret")[0]))))
        go.set()
        assert b"plan secret" in (await asked).content  # it had asked before
        return await network.ask(network.link("b"), "GET", f"/news?from={start}")

    network.run(network.ask(network.link("b"), "GET", "/presence"))
    monkeypatch.setattr(network.database, "aread", slow)
    found = network.run(story())
    assert found.json["size"] == start + 2
    assert b"plan secret" not in found.content


def test_a_page_that_was_read_before_a_write_is_not_kept():
    page, made = Page(deliveries=[], size=0, checkpoint=""), Recall()
    spot = made.spot(1, 0)
    made.forget_log(1)
    made.keep(1, 0, spot, page)
    assert spot.page is page
    assert made.spot(1, 0).page is None
    made.keep(1, 0, made.spot(1, 0), page)
    assert made.spot(1, 0).page == page
    made.forget_log(2)
    assert made.spot(1, 0).page == page


def test_what_is_recalled_is_bounded(network, monkeypatch):
    made = Recall()
    for start in range(3 * SPOTS):
        made.keep(1, start, made.spot(1, start), Page(deliveries=[], size=start, checkpoint=""))
    assert len(made._spots) == SPOTS

    end = size(network)
    news(network, "a", 0)
    assert network.hub.recall.spot(1, 0).page is not None
    assert network.hub.recall.spot(1, end).page is not None
    network.hub.recall.forget_log(1)
    monkeypatch.setattr(recall, "LARGEST", 100)
    news(network, "a", 0)
    assert network.hub.recall.spot(1, 0).page is None
    assert network.hub.recall.spot(1, end).page is not None


def test_a_part_of_a_log_is_not_taken_for_its_end(build):
    network = build(news_bytes=10)
    found, end = [], size(network)
    while len(found) < end:
        found += news(network, "a", len(found))["deliveries"]
        assert news(network, "a", 0)["size"] == end
    assert msgspec.json.encode(found) == msgspec.json.encode(network.deliveries())


def test_a_failed_read_is_made_again(network, monkeypatch):
    end = size(network)
    network.run(network.ask(network.link("a"), "GET", "/presence"))

    async def fails(work):
        raise RuntimeError("lost")

    with monkeypatch.context() as patch:
        patch.setattr(network.database, "aread", fails)
        with pytest.raises(RuntimeError, match="lost"):
            news(network, "a", end)
    assert news(network, "a", end)["size"] == end


# Who calls


def test_a_member_is_known_without_a_read(network, reads):
    news(network, "a", 0)
    network.write("b", "an entry")
    reads.times = 0
    for _ in range(3):
        news(network, "a", size(network) - 1)
    assert reads.times == 1  # the news


@pytest.mark.parametrize("at_once", [False, True])
def test_who_is_removed_is_refused_at_once(network, at_once):
    """Also when the entry that does it came together with others."""
    c = network.link("c")
    assert network.request(c, "GET", "/presence").status == 200
    if at_once:
        event, texts = network.plan("meanwhile")
        body = canonical([sign(network.statement("a", event), network.identity("a"), texts)])
        event = OrganizationRemoved(organization="c")

        async def both():
            other = network.ask(network.link("a"), "POST", "/entries", body)
            return await asyncio.gather(other, entry(network, "hub", event, signer=network.identity("founder")))

        assert all("place" in each.json[0] for each in network.run(both()))
    else:
        remove(network, "c")
    assert network.request(c, "GET", "/presence").status == 403
    assert network.request(network.link("a"), "GET", "/presence").status == 200


def test_a_member_that_was_read_before_its_removal_is_not_recalled_after_it(network, monkeypatch):
    read, held, go = network.database.aread, asyncio.Event(), asyncio.Event()

    async def slow(work):
        made = await read(work)
        if not held.is_set():
            held.set()
            await go.wait()
        return made

    async def story():
        asked = asyncio.ensure_future(network.ask(network.link("c"), "GET", "/presence"))
        await held.wait()
        event = OrganizationRemoved(organization="c")
        await entry(network, "hub", event, signer=network.identity("founder"))
        go.set()
        await asked
        return (await network.ask(network.link("c"), "GET", "/presence")).status

    monkeypatch.setattr(network.database, "aread", slow)
    assert network.run(story()) == 403


def test_a_write_that_is_said_to_have_failed_counts_if_it_did_not(network, monkeypatch):
    """As when the connection to the database is lost just after the commit."""
    c, start = network.link("c"), size(network)
    news(network, "c", start)
    write = network.database.awrite

    async def lost(work):
        await write(work)
        raise OSError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(network.database, "awrite", lost)
        with pytest.raises(OSError, match="lost"):
            remove(network, "c")
    assert network.request(c, "GET", "/presence").status == 403
    assert len(news(network, "a", start)["deliveries"]) == 1


def test_who_joins_is_known_at_once(network):
    d = network.link("d")
    assert network.request(d, "GET", "/presence").status == 403
    assert network.join("main", "d").status == 200
    assert network.request(d, "GET", "/presence").status == 200


def test_new_keys_count_at_once_and_the_old_ones_no_more(network):
    a, new = network.link("a"), network.identity("a renewed")
    assert network.request(a, "GET", "/presence").status == 200
    proof = to_base64(new.sign("rotation", rotation(a.channel, "a", 1)))
    ordered(network, "a", KeyRotated(keys=new.public, proof=proof))
    assert network.request(a, "GET", "/presence").status == 403
    a.identity = new
    assert network.request(a, "GET", "/presence").status == 200


def test_who_is_no_member_takes_no_room(network):
    news(network, "a", 0)
    known = network.hub.recall
    before = (dict(known.members), set(known._spots), set(known._boxes))
    wrong, nowhere = network.link("b"), network.link("a")
    wrong.identity, nowhere.channel = network.identity("mallory"), digest(b"nowhere")
    for link in (wrong, nowhere, network.link("z"), *(network.link(f"n{number}") for number in range(5))):
        assert network.request(link, "GET", "/news?from=0").status == 403
    assert (known.members, set(known._spots), set(known._boxes)) == before


# Mail


def ids(network, recipient):
    table = schema.mail
    with network.database.read() as connection:
        query = select(table.c.id).where(table.c.recipient == recipient).order_by(table.c.id)
        return list(connection.execute(query).scalars())


def test_a_letter_comes_to_a_request_that_waits(network):
    end = size(network)

    async def story():
        for _ in range(2):  # from what is recalled too
            assert (await network.ask(network.link("b"), "GET", f"/news?from={end}")).json["mail"] == []
        asked = await waiting(network, "b", "c", start=end)
        await post(network, "a", "b", "now")
        found = await asyncio.wait_for(asked[0], 5)
        assert not asked[1].done()
        asked[1].cancel()
        return found.json["mail"]

    assert [each["body"] for each in network.run(story())] == ["now"]


def test_a_letter_comes_also_when_its_sender_has_hung_up(network):
    end, go = size(network), threading.Event()

    async def story():
        await network.ask(network.link("a"), "GET", "/presence")
        busy = asyncio.ensure_future(network.database.awrite(lambda _: go.wait()))
        posting = asyncio.ensure_future(post(network, "a", "b", "the last words"))
        await asyncio.sleep(0.1)
        posting.cancel()
        (asked,) = await waiting(network, "b", start=end)
        go.set()
        await busy
        return (await asyncio.wait_for(asked, 5)).json["mail"]

    assert [each["body"] for each in network.run(story())] == ["the last words"]


def test_letters_are_read_when_there_may_be_some_and_forgotten_once(network, reads, monkeypatch):
    end = size(network)
    for body in ("one", "two"):
        network.run(post(network, "a", "b", body))
    first, last = news(network, "b", end)["mail"]
    assert [first["body"], last["body"]] == ["one", "two"]
    assert news(network, "b", end, after=first["id"])["mail"] == [last]
    assert news(network, "b", end)["mail"] == [first, last]

    reads.times = 0
    assert news(network, "b", end, after=last["id"])["mail"] == []
    assert news(network, "b", end, mail=last["id"])["mail"] == []
    network.database.write(lambda _: None)  # after what was put off
    assert ids(network, "b") == [last["id"]]  # which stays, so that its number is not used again
    with monkeypatch.context() as patch:
        patch.setattr(network.database, "put_off", None)
        assert news(network, "b", end, mail=last["id"])["mail"] == []
    assert reads.times == 0
    network.run(post(network, "c", "b", "three"))
    assert [each["body"] for each in news(network, "b", end, mail=last["id"])["mail"]] == ["three"]


def test_news_and_mail_are_read_together(network, reads):
    start = size(network)
    news(network, "b", start)
    network.write("a", "an entry")
    network.run(post(network, "a", "b"))
    reads.times = 0
    found = news(network, "b", start)
    assert (len(found["deliveries"]), len(found["mail"]), reads.times) == (1, 1, 1)


def test_a_hub_that_starts_again_recalls_nothing_and_knows_everything(network):
    start = size(network)
    network.write("a", "an entry")
    network.run(post(network, "a", "b"))
    before = [news(network, who, start) for who in "ab"]
    remove(network, "c")
    network.hub = hub(network.database, network.identity("hub").signing, network.founder, network.folder)
    network.app = app(network.hub, lambda: None)
    network.hub.started -= 1000
    after = [news(network, who, start) for who in "ab"]
    assert [each["mail"] for each in after] == [each["mail"] for each in before]
    assert [each["deliveries"][:1] for each in after] == [each["deliveries"] for each in before]
    assert network.request(network.link("c"), "GET", "/presence").status == 403
