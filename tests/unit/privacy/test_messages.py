"""One encoding for each message; anything else is refused, and nothing else is raised."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.privacy import messages
from comity.privacy.messages import Advertise, Opening, decode, encode
from comity.values.errors import DecodeError

SESSION = "sha256:" + "a" * 64


@pytest.fixture(scope="module")
def every(parties):
    """A message of each type."""
    seen = {}

    def way(name, message):
        seen[type(message)] = message
        return message

    parties(4, way=way).run({"site03": 2})
    assert len(seen) == 9
    return list(seen.values())


def test_every_message_is_read_as_it_was_written(every):
    for message in every:
        assert decode(encode(message)) == message


def test_another_encoding_of_the_same_is_refused(every):
    for message in every:
        data = encode(message)
        for other in (data + b" ", b" " + data, data.replace(b",", b", ", 1), msgspec.json.encode(message)):
            if other != data:
                with pytest.raises(DecodeError, match="not in its canonical form"):
                    decode(other)


def test_what_is_too_long_is_refused_unread():
    with pytest.raises(DecodeError, match="at most 2097152 bytes, not 2097153"):
        decode(b"{" * (messages.LONGEST + 1))


def test_unknown_fields_types_and_depths_are_refused(every):
    odd = [b"", b"[]", b"null", b"[" * 100_000, b'{"type":"Advertise"}', b'{"type":"Nothing"}', b"\xff", b'"\\ud800"']
    odd += [encode(message).replace(b'"type"', b'"typ"', 1) for message in every]
    odd += [encode(message).replace(b"{", b'{"a":1,', 1) for message in every]
    for data in odd:
        with pytest.raises(DecodeError):
            decode(data)


def test_names_keys_and_lists_are_bounded():
    fine = Advertise(session=SESSION, sender="A", sealing=bytes(32), masking=bytes(32), seed=SESSION)
    for field, odd in {
        "sender": "",
        "session": "sha256:" + "A" * 64,
        "sealing": bytes(31),
        "masking": bytes(33),
        "signature": bytes(65),
        "seed": SESSION + "\n",
    }.items():
        with pytest.raises(DecodeError):
            decode(encode(msgspec.structs.replace(fine, **{field: odd})))
    many = {f"s{number}": bytes(32) for number in range(41)}
    with pytest.raises(DecodeError):
        decode(encode(Opening(session=SESSION, sender="A", seeds=many, keys={})))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_that_are_changed_are_refused_or_another_message(every, data):
    """Nothing but DecodeError comes of foreign bytes, and what is read is written as it came."""
    whole = bytearray(encode(data.draw(st.sampled_from(every))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(whole[: data.draw(st.integers(0, len(whole)))]) if data.draw(st.booleans()) else bytes(whole)
    try:
        read = decode(changed)
    except DecodeError:
        return
    assert encode(read) == changed


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_foreign_bytes_are_refused(data):
    with pytest.raises(DecodeError):
        decode(data)
