"""A log in a file: whatever is changed in it, verification says so."""

import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from comity.domain.entry import Seen, Statement, canonical, leaf_bytes, read_leaf, sign, statement_digest
from comity.domain.events import ChannelCreated, OrganizationAdmitted, PlanRegistered, RulesSupported
from comity.domain.words import written
from comity.faces import log_file
from comity.faces.verified import verify
from comity.ledger.checkpoint import Checkpoint, sign_checkpoint
from comity.ledger.merkle import HashesInMemory, Tree, leaf_hash
from comity.values.errors import DecodeError
from comity.values.keys import Identity, to_base64

HUB = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = "0c9f0d4e-0000-4000-8000-00000000000{}"


class Author:
    """Who signs one statement after another."""

    def __init__(self, name, number):
        self.name, self.identity = name, Identity.from_bytes(bytes([number]) * 64)
        self.sequence, self.previous = 0, ""

    def says(self, tree, channel, event, texts):
        statement = Statement(
            channel=channel,
            author=self.name,
            sequence=self.sequence,
            previous=self.previous,
            id=KEY.format(self.sequence),
            seen=Seen(tree.size, to_base64(tree.root())),
            events=(event,),
        )
        entry = sign(statement, self.identity, texts)
        self.sequence, self.previous = self.sequence + 1, statement_digest(entry.statement)
        return entry


@pytest.fixture(scope="module")
def log():
    """(lines of a log file: a checkpoint and six entries)."""
    founder, member = Author("hub", 1), Author("a", 2)
    tree, channel, lines = Tree(HashesInMemory(), 0), "", []
    hub_key = to_base64(HUB.public_key().public_bytes_raw())
    name, texts = written("a plan", bytes(16))
    said = [
        (founder, ChannelCreated(keys=founder.identity.public, hub=hub_key, name=name, nonce="n"), texts),
        (founder, OrganizationAdmitted(organization="a", keys=member.identity.public), {}),
        (member, RulesSupported(version=1), {}),
        (member, PlanRegistered(key=KEY.format(8), name=name), texts),
        (member, PlanRegistered(key=KEY.format(9), name=name), texts),
        (founder, RulesSupported(version=1), {}),
    ]
    for author, event, beside in said:
        entry = author.says(tree, channel, event, beside)
        channel = channel or statement_digest(entry.statement)
        data = leaf_bytes(entry, 1000 + tree.size)
        tree.append(leaf_hash(data))
        lines.append(canonical({"leaf": msgspec.Raw(data), "texts": beside}))
    note = sign_checkpoint(Checkpoint(channel, tree.size, tree.root()), channel, HUB)
    return [json.dumps({"checkpoint": note}).encode(), *lines]


@pytest.fixture
def verified(tmp_path):
    def made(lines):
        path = tmp_path / "log.txt"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        with log_file.opened(path) as (note, leaves):
            return verify(leaves, note)

    return made


def test_a_log_in_order_is_found_in_order(log, verified):
    found = verified(log)
    assert (found.size, found.authors, found.redacted) == (6, {"hub": 3, "a": 3}, 0)
    assert found.channel == statement_digest(read_leaf(bytes(msgspec.json.decode(log[1], type=Line).leaf)).statement)


class Line(msgspec.Struct):
    leaf: msgspec.Raw


def test_texts_may_be_gone_but_not_be_others(log, verified):
    without = [
        line.replace(line[line.index(b'"texts":{"') :], b'"texts":{}}') if b'"texts":{"' in line else line
        for line in log
    ]
    assert verified(without).redacted == 3
    with pytest.raises(DecodeError, match="is another than the one committed to"):
        verified([line.replace(b"a plan", b"a plot") for line in log])


@pytest.mark.parametrize(
    "change",
    [
        lambda log: [log[0], *log[2:]],
        lambda log: log[:-1],
        lambda log: [*log[:4], *log[5:]],
        lambda log: [*log, log[-1]],
        lambda log: [*log[:4], log[5], log[4], log[6]],
        lambda log: log[:1],
        lambda log: [log[0].replace(b"6\\n", b"5\\n"), *log[1:-1]],
    ],
    ids=["no beginning", "shortened", "one left out", "one twice", "two in another order", "empty", "another size"],
)
def test_a_log_that_was_changed_is_refused(log, verified, change):
    with pytest.raises(DecodeError):
        verified(change(log))


def test_another_hub_cannot_sign_it(log, verified):
    channel = verified(log).channel
    root = bytes.fromhex(verified(log).root)
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    note = sign_checkpoint(Checkpoint(channel, 6, root), channel, other)
    with pytest.raises(DecodeError):
        verified([json.dumps({"checkpoint": note}).encode(), *log[1:]])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(line=st.integers(0, 6), at=st.integers(0, 10_000), byte=st.integers(0, 255))
@example(line=0, at=0, byte=0)
def test_no_byte_can_be_changed(log, verified, line, at, byte):
    at %= len(log[line])
    changed = log[line][:at] + bytes([byte]) + log[line][at + 1 :]
    try:
        found = verified([*log[:line], changed, *log[line + 1 :]])
    except DecodeError:
        return
    # what still verifies says the same: a byte of a name outside what was signed, or the same byte
    assert (found.size, found.root, found.channel) == (6, verified(log).root, verified(log).channel)


DEEP = b'{"z":' + b"[" * 5000 + b"]" * 5000 + b"}"
ANY = st.binary(max_size=60) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["checkpoint", "leaf", "texts"]), inner)
    ),
).map(lambda document: json.dumps(document).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, derandomize=True)
@given(head=ANY, leaf=ANY, true=st.booleans())
@example(head=DEEP, leaf=b"{}", true=False)
@example(head=b"", leaf=DEEP, true=True)
def test_any_bytes_are_refused(log, verified, head, leaf, true):
    for lines in ([head, leaf], [log[0], leaf], [log[0] if true else head, *log[1:], leaf]):
        with pytest.raises(DecodeError):
            verified(lines)
