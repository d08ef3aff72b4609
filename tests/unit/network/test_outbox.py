"""What an organization has to say is divided into entries that a hub takes."""

import asyncio

import pytest

from comity.domain.entry import canonical, read_statement
from comity.domain.events import PlanRegistered
from comity.domain.words import LONGEST_TEXT, written
from comity.hub.limits import Limits
from comity.node.outbox import Outbox, portions
from comity.values.errors import Forbidden, InvalidInput


def plans(network, count, text):
    events, texts = [], {}
    for number in range(count):
        name, beside = written(text, number.to_bytes(16, "big"))
        events.append(PlanRegistered(key=network.key(number), name=name))
        texts |= beside
    return events, texts


def test_long_texts_are_divided_too(network):
    events, texts = plans(network, 20, "é" * (LONGEST_TEXT // 2))
    made = portions(events, texts)
    assert [each for portion in made for each in portion] == events
    assert [len(portion) for portion in made] == [3] * 6 + [2]


@pytest.mark.parametrize("text", ["x" * LONGEST_TEXT, "\x01" * LONGEST_TEXT])
def test_what_is_said_row_by_row_fits_a_request(network, text):
    """Rows of one event each, as the scheduler says them, go together only as far as a hub takes them."""
    node = network.node("a")
    node.catch_up()
    outbox, following = Outbox(1), node.following
    events, texts = plans(network, 20, text)

    def keep(connection):
        for number, event in enumerate(events):
            outbox.put(connection, str(number), [event], {event.name: texts[event.name]})

    node.database.write(keep)
    said = []
    while len(said) < len(events):
        entry = node.database.write(lambda connection: following._sign(connection))
        body = canonical([entry])
        assert len(body) < Limits().body_bytes
        outcome = network.request(node.link, "POST", "/entries", body)
        assert "place" in outcome.json[0]
        said += list(entry.texts)
        node.catch_up()
    assert sorted(said) == sorted(texts)


def test_one_event_too_large_is_refused(network):
    event = PlanRegistered(key=network.key("p"), name="x" * 900_000)
    with pytest.raises(InvalidInput, match="one PlanRegistered has"):
        portions([event], {})


def put(node, rows):
    """Rows of one event each into the outbox; the entry that is signed of what is there."""
    outbox = node.following._outbox
    node.database.write(
        lambda connection: [outbox.put(connection, each.key, [each], texts) for each, texts in rows],
    )
    return node.database.write(node.following._sign)


def rows(network, count, first=0):
    made = [written("a plan", number.to_bytes(16, "big")) for number in range(first, first + count)]
    return [(PlanRegistered(key=network.key(name), name=name), texts) for name, texts in made]


def test_what_is_said_while_a_refusal_is_written_is_not_said_with_what_was_refused(network):
    node = network.node("a")
    node.catch_up()
    following = node.following
    entry = put(node, rows(network, 2))
    ((event, texts),) = rows(network, 1, 2)
    signed = []

    def also(connection):
        following.connected = True
        following.say(connection, [event], texts)
        signed.append(following._outbox.look(connection)[0])

    async def refused():
        # Both go to the writer together: what takes the entry back, and what another task says.
        refusal = asyncio.ensure_future(following._refused(entry, Forbidden("one of them is")))
        await asyncio.sleep(0)
        return await asyncio.gather(refusal, following.database.awrite(also))

    assert network.run(refused())[0] == 1
    assert signed == [None]
    after = node.database.write(following._sign)
    assert [len(read_statement(each.statement).events) for each in (entry, after)] == [2, 1]


def test_a_refusal_gives_up_nothing_but_what_was_refused(network):
    """What lay in the outbox came by another entry meanwhile, and something else was signed in its place."""
    node = network.node("a")
    node.catch_up()
    outbox = node.following._outbox
    entry = put(node, rows(network, 1))
    node.database.write(lambda connection: outbox._forget(connection))
    another = put(node, rows(network, 1, 1))
    refused = read_statement(entry.statement).id
    assert node.database.write(lambda connection: outbox.refused(connection, refused, final=True)) == []
    with node.database.read() as connection:
        assert outbox.look(connection) == (another, True)
