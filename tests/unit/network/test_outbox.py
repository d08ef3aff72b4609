"""What an organization has to say is divided into entries that a hub takes."""

import pytest

from comity.domain.entry import canonical
from comity.domain.events import PlanRegistered
from comity.domain.words import LONGEST_TEXT, written
from comity.hub.limits import Limits
from comity.node.outbox import Outbox, portions
from comity.values.errors import InvalidInput


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
