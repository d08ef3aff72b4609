"""A hub refuses rather than dies: what one organization may ask of it, and what it forgets."""

import asyncio
import dataclasses
from dataclasses import replace

import msgspec
import pytest

from comity.adapters import arriving
from comity.domain.entry import canonical, sign
from comity.hub.app import expire
from comity.hub.limits import MINUTE, Limits
from comity.hub.spool import HELD, PIECE, SMALL, Spool
from comity.values.errors import Unavailable


def announce(network, sender, name, size=5, recipient="b"):
    body = msgspec.json.encode({"size": size, "recipients": [recipient]})
    return network.request(network.link(sender), "POST", f"/parcels/{name:032x}", body)


def post(network, sender, recipient, body="sealed"):
    said = msgspec.json.encode({"recipient": recipient, "body": body})
    return network.request(network.link(sender), "POST", "/mail", said)


def refused(answer, status, why):
    assert answer.status == status, answer.content
    assert why in answer.json["detail"]


def test_the_limits_fit_an_honest_node():
    most = Limits()
    assert most.parcel_bytes > 20 << 30  # a blob of 20 GB is possible
    assert most.body_bytes > 2 << 20  # an entry of 1 MiB and its texts


def test_letters_wait_up_to_a_number(build):
    network = build(letters=2)
    for _ in range(2):
        assert post(network, "a", "b").status == 200
    refused(post(network, "a", "b"), 503, "2 letters of a wait for b; try later")
    assert post(network, "a", "c").status == 200
    assert post(network, "c", "b").status == 200


def test_a_letter_is_short(build):
    network = build(letter_bytes=10)
    assert post(network, "a", "b", "é" * 5).status == 200
    refused(post(network, "a", "b", "é" * 5 + "x"), 400, "a letter has more than 10 bytes")


def test_parcels_wait_up_to_a_number(build):
    network = build(parcels=2)
    assert announce(network, "a", 1).status == announce(network, "a", 2).status == 200
    refused(announce(network, "a", 3), 503, "2 parcels of a with 10 bytes are on their way")
    assert announce(network, "a", 1, recipient="c").status == 200
    assert announce(network, "c", 4).status == 200


def test_parcels_wait_up_to_a_size(build):
    network = build(parcel_bytes=10)
    refused(announce(network, "a", 1, size=11), 400, "a parcel of 11 bytes never fits; 10 is the most")
    assert announce(network, "a", 1, size=6).status == 200
    refused(announce(network, "a", 2, size=5), 503, "wait until they are fetched")
    network.request(network.link("b"), "DELETE", f"/parcels/{1:032x}")
    assert announce(network, "a", 2, size=5).status == 200


def test_a_parcel_is_no_longer_than_announced(network):
    announce(network, "a", 1)
    here = f"/parcels/{1:032x}"
    refused(network.request(network.link("a"), "PUT", here + "/bytes", b"too many"), 400, "announced with 5 bytes")
    assert network.request(network.link("a"), "GET", here).json["received"] <= 5
    assert network.request(network.link("a"), "PUT", here + "/bytes?offset=0", b"bytes").json == {"received": 5}
    refused(network.request(network.link("a"), "PUT", here + "/bytes?offset=3", b"es"), 409, "go on from there")


def test_a_full_disk_is_left_alone(build):
    network = build()
    assert announce(network, "a", 1).status == 200
    network.hub.limits = replace(network.hub.limits, free_bytes=1 << 60)
    refused(network.request(network.link("a"), "PUT", f"/parcels/{1:032x}/bytes", b"bytes"), 503, "no room")
    said = b'{"size":5,"recipients":["b"],"letters":{"b":"it comes"}}'
    refused(network.request(network.link("a"), "POST", f"/parcels/{2:032x}", said), 503, "no room for 5 more bytes")
    assert network.request(network.link("b"), "GET", "/news?from=100&mail=0").json["mail"] == []
    assert network.request(network.link("a"), "GET", f"/parcels/{2:032x}").status == 404


def test_who_has_too_many_letters_waiting_asks_for_a_parcel(build):
    """And the others get their letters all the same."""
    network = build(letters=1)
    for name, number in (("b", 1), ("c", 2)):
        said = f'{{"size":5,"recipients":["b","c"],"letters":{{"b":"for b","{name}":"for {name}"}}}}'.encode()
        assert network.request(network.link("a"), "POST", f"/parcels/{number:032x}", said).status == 200
    for name in "bc":
        mail = network.request(network.link(name), "GET", "/news?from=100&mail=0").json["mail"]
        assert [each["body"] for each in mail] == [f"for {name}"]


def test_entries_come_up_to_a_number_in_a_minute(build):
    network = build(entries=2)
    time = network.hub.started // MINUTE * MINUTE + MINUTE
    network.hub.clock = lambda: time
    for word in (1, 2):
        network.write("a", word)
    event, texts = network.plan(3)
    body = canonical([sign(network.statement("a", event), network.identity("a"), texts)])
    outcome = network.request(network.link("a"), "POST", "/entries", body).json
    assert outcome[0]["error"] == "Unavailable"
    assert "a has sent 2 entries" in outcome[0]["detail"]
    network.write("b", 4)
    time += MINUTE
    network.write("a", 5)


def test_entries_come_up_to_a_size_in_a_minute(build):
    network = build(entry_bytes=700)
    network.write("a", 1)
    with pytest.raises(AssertionError, match="Unavailable"):
        network.write("a", 2)


def test_an_answer_holds_a_few_of_many_letters(build):
    network = build(news_bytes=10)
    for _ in range(4):
        post(network, "a", "b", "123456")
    found = network.request(network.link("b"), "GET", "/news?from=100").json["mail"]
    assert len(found) == 2
    later = network.request(network.link("b"), "GET", f"/news?from=100&mail={found[-1]['id']}").json["mail"]
    assert len(later) == 2


def test_what_nobody_fetches_is_forgotten(network):
    spool = network.folder / "spool"
    announce(network, "a", 1)
    network.request(network.link("a"), "PUT", f"/parcels/{1:032x}/bytes", b"bytes")
    post(network, "a", "b")
    (spool / "1-stray").write_bytes(b"x")
    started = network.hub.clock()

    expire(network.hub)
    assert [each.name for each in spool.iterdir()] == [f"1-{1:032x}"]

    network.hub.clock = lambda: started + network.hub.limits.parcel_age + 60_000
    expire(network.hub)
    assert list(spool.iterdir()) == []
    network.hub.clock = lambda: started
    assert network.request(network.link("b"), "GET", f"/parcels/{1:032x}").status == 404
    assert len(network.request(network.link("b"), "GET", "/news?from=100").json["mail"]) == 1

    network.hub.clock = lambda: started + network.hub.limits.letter_age + 60_000
    expire(network.hub)
    network.hub.clock = lambda: started
    assert network.request(network.link("b"), "GET", "/news?from=100").json["mail"] == []


def test_room_is_counted(tmp_path):
    spool = Spool(tmp_path)
    spool.check_room(1, 0)
    with pytest.raises(Unavailable, match="no room for"):
        spool.check_room(1 << 60, 0)


def test_limits_are_values():
    assert dataclasses.replace(Limits(), letters=1) == Limits(letters=1)


@pytest.mark.parametrize("route", ["POST /join", "POST /mail", f"PUT /parcels/{1:032x}/bytes"])
def test_who_falls_silent_is_not_waited_for(network, monkeypatch, route):
    announce(network, "a", 1)
    monkeypatch.setattr(arriving, "SILENCE", 0.0)
    monkeypatch.setattr(network, "app", lambda scope, _, send, app=network.app: app(scope, asyncio.Event().wait, send))
    refused(network.request(network.link("a"), *route.split()), 400, "nothing of the body has come")


def test_memory_does_not_grow_with_parcels_that_are_on_their_way_at_once(tmp_path):
    spool = Spool(tmp_path)

    async def read_by(readers):
        """Bytes that each of so many readers holds, once all have begun and gone on."""
        reading = [spool.read("parcel", 0, 3 * PIECE, 0.0) for _ in range(readers)]
        given = [len(await anext(each)) for each in reading]
        for number, each in enumerate(reading):
            while given[number] <= PIECE:
                given[number] += len(await anext(each))
        held = [each.ag_frame.f_locals["piece"].nbytes for each in reading]
        for each in reading:
            await each.aclose()
        return held

    (tmp_path / "parcel").write_bytes(bytes(3 * PIECE))
    assert asyncio.run(read_by(1)) == [PIECE]
    assert sum(asyncio.run(read_by(32))) <= 2 * HELD
    assert asyncio.run(read_by(500))[-1] == SMALL
    assert asyncio.run(read_by(1)) == [PIECE]  # those before have gone
