"""Who may ask a hub for what: every route, and everybody who is not a member of the channel."""

from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from comity.adapters.clock import now
from comity.domain.events import OrganizationRemoved
from comity.domain.joining import Token, write_join
from comity.domain.request import TOLERANCE, authorization
from comity.hub.app import app
from comity.values.digest import digest

PARCEL = "0" * 31 + "1"

OPEN = {
    *{("GET", "/live"), ("GET", "/ready"), ("GET", "/openapi.json"), ("GET", "/docs"), ("POST", "/join")},
    ("GET", "/metrics"),
}
"""Routes that anyone may call, and that of who operates the hub."""

ROUTES = sorted(
    (method, route.path.replace("{parcel}", PARCEL))
    for route in app(None, lambda: None).routes  # type: ignore[arg-type]
    if isinstance(route, Route)
    for method in route.methods
    if (method, route.path) not in OPEN
)

BODY = {"POST": b"{}", "PUT": b"bytes"}

each_route = pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda each: each.replace(PARCEL, "P"))


def ask(network, link, method, path, /, **fields):
    return network.request(link, method, path, BODY.get(method, b""), **fields)


def refused(answer, status, why):
    assert answer.status == status, answer.content
    assert why in answer.json["detail"]


def test_there_are_routes():
    assert len(ROUTES) == 10


@each_route
@pytest.mark.parametrize("header", ["", "Bearer x", "Comity ", "Comity e30=", "Comity é"])
def test_an_unsigned_request_is_refused(network, method, path, header):
    headers = {"authorization": header} if header else {}
    answer = network.run(network.call(method, path, BODY.get(method, b""), **headers))
    assert (answer.status, answer.json["error"]) == (400, "DecodeError")


@each_route
def test_outsiders_all_get_the_same_answer(network, method, path):
    """Wrong keys, another channel's member, somebody removed, and anyone at a channel that is not here."""
    network.say("hub", OrganizationRemoved(organization="c"))
    wrong = network.link("a")
    wrong.identity = network.identity("mallory")
    nowhere = network.link("a")
    nowhere.channel = digest(b"nowhere")
    told = set()
    for link in (wrong, network.link("z"), network.link("c"), network.link("nobody"), nowhere):
        answer = ask(network, link, method, path)
        refused(answer, 403, "is not, by these keys, a member of a channel")
        said = answer.json["detail"].replace(link.channel, "CHANNEL")
        assert said.startswith(f"{link.organization} is not")
        told.add(said.removeprefix(link.organization))
    assert len(told) == 1
    assert {name for _, name in network.hub.presence} <= {"a", "b", "c", "z"}


@each_route
def test_a_request_counts_once(network, method, path):
    link = network.link("a")
    first = ask(network, link, method, path, nonce="n" * 16)
    assert "sent before" not in str(first.content)
    refused(ask(network, link, method, path, nonce="n" * 16), 403, "this request was sent before")
    other = ask(network, network.link("a", "other"), method, path, nonce="n" * 16)
    assert "sent before" not in str(other.content)


@each_route
def test_a_request_is_of_now(network, method, path):
    link = network.link("a")
    for time in (now() - TOLERANCE - 1000, now() + TOLERANCE + 1000):
        refused(ask(network, link, method, path, time=time), 403, "set the clock right")
    refused(ask(network, link, method, path, time=network.hub.started - 1), 503, "sign it anew")


@each_route
def test_a_signature_is_of_one_request(network, method, path):
    link = network.link("a")
    refused(ask(network, link, method, path, target=path + "?x=1"), 403, "not of this request")
    refused(ask(network, link, method, path, method="PATCH"), 403, "not of this request")
    refused(ask(network, link, method, path, body=digest(b"another")), 403, "the signature is of")


def test_the_host_header_does_not_move_a_request(network):
    """Starlette makes the URL with it."""
    link = network.link("a")
    header = authorization(link.sent("GET", "/presence"), link.identity)
    answer = network.run(network.call("GET", "/news", authorization=header, host="hub/presence?"))
    refused(answer, 403, "not of this request")


@pytest.mark.parametrize("path", ["/mail", "/entries", "/lost", f"/parcels/{PARCEL}"])
def test_a_long_body_is_refused(build, path):
    network = build(body_bytes=1000, lost_bytes=1000)
    refused(network.request(network.link("a"), "POST", path, b" " * 1001), 400, "more than 1000 bytes")


def test_an_unsigned_body_is_not_read(network):
    assert network.run(network.call("POST", "/mail", b"x" * 1000)).status == 400
    assert network.pieces == [b"x" * 1000]
    stranger = network.link("a")
    stranger.identity = network.identity("mallory")
    assert network.request(stranger, "POST", "/mail", b"x" * 1000).status == 403
    assert network.pieces == [b"x" * 1000]


def test_joining_is_for_the_invited_only(network):
    refused(network.run(network.call("POST", "/join", b"x" * 5000)), 400, "more than 4096 bytes")
    refused(network.run(network.call("POST", "/join", b"{}")), 400, "this is no request to join")
    for channel in (network.channels["main"].digest, digest(b"nowhere")):
        token = Token(url="", hub="", channel=channel, organization="m", secret="guessed", expires=0)
        answer = network.run(network.call("POST", "/join", write_join(token, network.identity("m"))))
        refused(answer, 403, "this token invites nobody called m; ask for a new one")


# One channel shows nothing of another.


def test_a_parcel_is_seen_by_its_sender_and_its_recipients_only(network):
    a, b, c = (network.link(each) for each in "abc")
    elsewhere = network.link("a", "other")
    here, data = f"/parcels/{PARCEL}", f"/parcels/{PARCEL}/bytes"
    announce = b'{"size":5,"recipients":["b"]}'
    assert network.request(a, "POST", here, announce).json == {"received": 0}
    assert network.request(a, "PUT", data + "?offset=0", b"bytes").json == {"received": 5}
    for link in (a, b):
        assert network.request(link, "GET", here).json == {"size": 5, "received": 5}
    assert network.request(b, "GET", data).content == b"bytes"
    for link in (c, elsewhere, network.link("z", "other")):
        for method, path in (("GET", here), ("GET", data), ("PUT", data)):
            there, nowhere = (
                network.request(link, method, each, BODY.get(method, b""))
                for each in (path, path.replace(PARCEL, "f" * 32))
            )
            assert there.status == 404
            assert there.content.replace(PARCEL.encode(), b"f" * 32) == nowhere.content
        assert network.request(link, "DELETE", here).json == {}
        assert network.request(b, "GET", here).status == 200
    assert network.request(b, "PUT", data, b"bytes").status == 404
    assert network.request(elsewhere, "POST", here, b'{"size":7,"recipients":["z"]}').json == {"received": 0}
    refused(network.request(c, "POST", here, announce), 409, "there is another parcel")
    assert network.request(b, "DELETE", here).json == {}
    assert network.request(b, "GET", here).status == 404


def test_its_sender_may_give_a_parcel_up(network):
    here = f"/parcels/{PARCEL}"
    network.request(network.link("a"), "POST", here, b'{"size":5,"recipients":["b","c"]}')
    assert network.request(network.link("a"), "DELETE", here).json == {}
    assert network.request(network.link("b"), "GET", here).status == 404


def letters(network, link, after=0):
    return network.request(link, "GET", f"/news?from=100&mail={after}").json["mail"]


def post(network, sender, recipient, body="sealed", channel="main"):
    said = msgspec.json.encode({"recipient": recipient, "body": body})
    return network.request(network.link(sender, channel), "POST", "/mail", said)


def test_mail_is_seen_by_its_recipient_only(network):
    assert post(network, "a", "b").json == {}
    assert [each["body"] for each in letters(network, network.link("b"))] == ["sealed"]
    for link in (network.link("a"), network.link("c"), network.link("a", "other"), network.link("z", "other")):
        assert letters(network, link) == []
    refused(post(network, "a", "z"), 403, "z is not a member of this channel")
    refused(post(network, "a", "b", channel="other"), 403, "b is not a member of this channel")
    refused(post(network, "a", "nobody"), 403, "nobody is not a member of this channel")


def test_a_parcel_is_announced_along_with_the_letters_that_tell_of_it(network):
    a, here = network.link("a"), f"/parcels/{PARCEL}"
    said = {"size": 5, "recipients": ["b", "c"], "letters": {"b": "for b", "c": "for c"}}
    assert network.request(a, "POST", here, msgspec.json.encode(said)).json == {"received": 0}
    for name in "bc":
        (letter,) = letters(network, network.link(name))
        assert (letter["sender"], letter["body"]) == ("a", f"for {name}")
    for wrong, status, says in (
        ({"letters": {"z": "for z"}}, 403, "z is not a member"),
        ({"letters": {"b": "x" * 70_000}}, 400, "the letter to b has more than 65536 bytes"),
        ({"letters": {"b": 1}}, 400, "Expected `str`, got `int`"),
    ):
        there = f"/parcels/{'e' * 32}"
        refused(network.request(a, "POST", there, msgspec.json.encode(said | wrong)), status, says)
        assert network.request(a, "GET", there).status == 404
    assert len(letters(network, network.link("b"))) == 1


def test_a_letters_number_is_not_used_again(network):
    network.hub.clock = lambda: network.hub.started + 1
    for _ in range(3):
        post(network, "a", "b")
    ids = [each["id"] for each in letters(network, network.link("b"))]
    assert ids == [network.hub.started + each for each in (1, 2, 3)]
    assert letters(network, network.link("b"), ids[-1]) == []
    post(network, "c", "b", "later")
    later = letters(network, network.link("b"), ids[-1])
    assert [(each["id"], each["body"]) for each in later] == [(ids[-1] + 1, "later")]


def test_presence_is_of_one_channel(network):
    network.request(network.link("z", "other"), "GET", "/presence")
    network.request(network.link("b"), "GET", "/presence")
    assert set(network.request(network.link("a"), "GET", "/presence").json) == {"a", "b"}
    assert set(network.request(network.link("z", "other"), "GET", "/presence").json) == {"z"}


def test_entries_of_one_channel_are_not_in_the_news_of_another(network):
    network.write("b", "plan")
    main = network.request(network.link("a"), "GET", "/news?from=0").json["deliveries"]
    other = network.request(network.link("a", "other"), "GET", "/news?from=0").json["deliveries"]
    assert not {str(each) for each in main} & {str(each) for each in other}


# Anything else.

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["size", "recipients", "recipient", "body", "statement", "signature", "texts", "x"]), inner
        )
    ),
    max_leaves=8,
).map(msgspec.json.encode)


@pytest.fixture(scope="module")
def steady(open_network, tmp_path_factory):
    with open_network(tmp_path_factory.mktemp("steady")) as network:
        yield network


@pytest.mark.parametrize("path", ["/mail", "/entries", "/lost", f"/parcels/{PARCEL}"])
@given(body=DOCUMENTS | st.binary(max_size=50))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_any_body_is_taken_or_refused(steady, path, body):
    answer = steady.request(steady.link("a"), "POST", path, body)
    assert answer.status in (200, 400, 403, 404, 409)


@pytest.mark.parametrize("name", ["from", "mail", "after", "wait"])
@pytest.mark.parametrize("value", ["-1", "x", "1e3", "²", "9" * 16, "1.0", "0x1"])
def test_a_number_is_a_number(network, name, value):
    answer = network.request(network.link("a"), "GET", f"/news?{name}={quote(value)}")
    refused(answer, 400, f"{name} must be a whole number")


@pytest.mark.parametrize("name", ["x" * 32, "A" * 32, "0" * 31, "0" * 33, "..", "0" * 31 + "\n"])
def test_a_parcel_has_a_name_that_leads_nowhere_else(network, name):
    answer = network.request(network.link("a"), "POST", f"/parcels/{name}", b'{"size":1,"recipients":["b"]}')
    refused(answer, 400, "named by 32 hexadecimal digits")
