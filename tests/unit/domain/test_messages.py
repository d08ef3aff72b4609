"""Tokens, requests to join, signed requests and letters: what they carry comes back, all else is a DecodeError."""

import json
from base64 import urlsafe_b64encode
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from comity.domain.joining import PREFIX, Token, read_join, read_token, write_join, write_token
from comity.domain.letter import Denied, LogDenied, LogSent, LogWanted, Sent, Wanted, context, open_letter, seal
from comity.domain.request import (
    SCHEME,
    TOLERANCE,
    SignedRequest,
    authorization,
    check_time,
    read_authorization,
    verify,
)
from comity.values.errors import DecodeError, Forbidden, Unavailable
from comity.values.keys import Identity

ME, OTHER = (Identity.from_bytes(bytes([n]) * 64) for n in (1, 2))
CHANNEL, BLOB = "sha256:" + "0" * 64, "sha256:" + "1" * 64
KEY = "00000000-0000-0000-0000-000000000001"
TOKEN = Token(url="https://hub", hub="k", channel=CHANNEL, organization="b", secret="s", expires=1)
REQUEST = SignedRequest(organization="b", channel=CHANNEL, method="GET", target="/news?from=1", time=5, nonce="n" * 16)
WAY = context(CHANNEL, "a", "b")
DEEP = b'{"z":' + b"[" * 2000 + b"]" * 2000 + b"}"


def test_what_a_token_says_comes_back():
    word = write_token(TOKEN)
    assert word.startswith(PREFIX)
    assert read_token(f" {word}\n") == TOKEN
    for damaged in (word[:-2], word[len(PREFIX) :], word.upper(), "", PREFIX, PREFIX + "é", "x" * 5000):
        with pytest.raises(DecodeError, match="token"):
            read_token(damaged)


def test_a_request_to_join_is_signed_by_the_new_keys():
    data = write_join(TOKEN, ME)
    join = read_join(data)
    assert (join.organization, join.channel, join.secret, join.keys) == ("b", CHANNEL, "s", ME.public)
    for field, value in (("organization", "c"), ("secret", "t"), ("channel", BLOB)):
        with pytest.raises(DecodeError, match="the signature of this join"):
            read_join(json.dumps({**json.loads(data), field: value}).encode())
    keys = {"signing": OTHER.public.signing, "sealing": ME.public.sealing}
    with pytest.raises(DecodeError, match="the signature of this join"):
        read_join(json.dumps({**json.loads(data), "keys": keys}).encode())


def test_a_request_is_signed_whole():
    request, signature = read_authorization(authorization(REQUEST, ME))
    assert request == REQUEST
    verify(request, signature, ME.public)
    for changed in (
        replace(REQUEST, method="PUT"),
        replace(REQUEST, target="/news?from=2"),
        replace(REQUEST, body=BLOB),
        replace(REQUEST, time=6),
        replace(REQUEST, nonce="m" * 16),
        replace(REQUEST, channel=BLOB),
        replace(REQUEST, organization="c"),
    ):
        with pytest.raises(DecodeError, match="the signature of this request"):
            verify(changed, signature, ME.public)
    with pytest.raises(DecodeError, match="must begin with"):
        read_authorization("Bearer x")


def test_a_request_is_of_now_and_of_this_start_of_the_hub():
    for time in (1_000_000, 1_000_000 - TOLERANCE, 1_000_000 + TOLERANCE):
        check_time(time, now=1_000_000, since=0)
    for time, how in ((1_000_000 - TOLERANCE - 1, "300 s behind"), (1_000_000 + TOLERANCE + 1, "300 s ahead")):
        with pytest.raises(Forbidden, match=f"{how}; set the clock right, e.g. by NTP, 300 s"):
            check_time(time, now=1_000_000, since=0)
    with pytest.raises(Unavailable, match="before the hub started"):
        check_time(999_999, now=1_000_000, since=1_000_000)


@pytest.mark.parametrize(
    "letter",
    [
        Wanted(blob=BLOB, holds="model", asset=KEY),
        Sent(blob=BLOB, parcel="0" * 32, size=3, key="k"),
        Denied(blob=BLOB, reason="not to be had"),
        LogWanted(task=KEY),
        LogSent(task=KEY, parcel="0" * 32, size=3, key="k"),
        LogDenied(task=KEY, reason="gone", missing=True),
    ],
)
def test_a_letter_is_opened_by_its_recipient_only(letter):
    body = seal(letter, ME, OTHER.public, WAY)
    assert open_letter(body, OTHER, ME.public, WAY) == letter
    for recipient, sender, way in (
        (ME, ME.public, WAY),
        (OTHER, OTHER.public, WAY),
        (OTHER, ME.public, context(CHANNEL, "a", "c")),
        (OTHER, ME.public, context(BLOB, "a", "b")),
    ):
        with pytest.raises(DecodeError):
            open_letter(body, recipient, sender, way)


READERS = {
    "token": lambda data: read_token(PREFIX + urlsafe_b64encode(data).decode()),
    "raw token": lambda data: read_token(data.decode("latin-1")),
    "join": read_join,
    "authorization": lambda data: read_authorization(SCHEME + urlsafe_b64encode(data).decode()),
    "raw authorization": lambda data: read_authorization(SCHEME + data.decode("latin-1")),
    "envelope": lambda data: open_letter(data.decode("latin-1"), OTHER, ME.public, WAY),
}

ANY = st.one_of(
    st.binary(max_size=100),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ).map(lambda document: json.dumps(document).encode()),
)

VALID = {
    "join": write_join(TOKEN, ME),
    "envelope": seal(Denied(blob=BLOB, reason=""), ME, OTHER.public, WAY).encode(),
    "raw token": write_token(TOKEN).encode(),
    "raw authorization": authorization(REQUEST, ME)[len(SCHEME) :].encode(),
}

steady = partial(settings, deadline=None, derandomize=True)


@pytest.mark.parametrize("reader", READERS)
@given(ANY)
@example(DEEP)
@steady()
def test_any_bytes_are_read_or_refused(reader, data):
    attempt(reader, data)


@pytest.mark.parametrize("reader", VALID)
@given(st.integers(0), st.integers(0, 3), st.binary(max_size=3))
@steady()
def test_any_change_is_read_or_refused(reader, place, cut, more):
    valid = VALID[reader]
    place %= len(valid)
    attempt(reader, valid[:place] + more + valid[place + cut :])


def attempt(reader, data):
    try:
        READERS[reader](data)
    except DecodeError:
        return
