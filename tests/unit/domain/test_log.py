"""What a dishonest or confused author or hub may try: each is refused and named, and changes nothing."""

import msgspec
import pytest
from msgspec.structs import replace

from comity.domain.entry import RULES, Entry, Leaf, Seen, canonical, check_texts, read_leaf, sign, statement_digest
from comity.domain.events import (
    ChannelClosed,
    ChannelCreated,
    KeyRotated,
    OrganizationRemoved,
    PlanRegistered,
    RulesSupported,
)
from comity.domain.log import admit
from comity.domain.membership import CHANNEL, rotation
from comity.domain.records import Channel, Organization, Plan, RecordsInMemory
from comity.domain.words import commitment
from comity.ledger.merkle import HashesInMemory, Tree
from comity.values.errors import Conflict, DecodeError, Forbidden, NotSupported
from comity.values.keys import to_base64


def plan(log, word="p"):
    return PlanRegistered(key=log.key(word), name=log.NAME)


def changed(log, author, **fields):
    """A well-signed leaf of the author's whose statement is not what it should be."""
    return log.leaf(replace(log.statement(author, plan(log)), **fields))


def test_entries_follow_each_other(three):
    before = three.tree.size
    three.write("a", plan(three, 1))
    three.write("b", plan(three, 2))
    three.write("a", plan(three, 3), plan(three, 4))
    assert three.tree.size == before + 3
    author = three.get(Organization, "a")
    assert (author.sequence, author.seen) == (5, before + 2)
    assert three.get(Channel, CHANNEL).ordered_at == three.now


def test_the_first_entry_names_the_channel(log):
    made = log("a")
    raw = sign(made.statement("a", plan(made)), made.identities["a"], {})
    assert msgspec.json.decode(raw.statement)["channel"] == made.get(Channel, CHANNEL).digest
    assert log("a").get(Channel, CHANNEL).digest == made.get(Channel, CHANNEL).digest
    assert log("b").get(Channel, CHANNEL).digest != made.get(Channel, CHANNEL).digest


# A dishonest hub.


def test_an_altered_entry_is_refused(three):
    leaf = three.leaf(three.statement("b", plan(three, "q")))
    body = bytes(leaf.statement).replace(three.key("q").encode(), three.key("z").encode())
    assert body != bytes(leaf.statement)
    with pytest.raises(DecodeError, match="the signature of this entry is not that of the key"):
        three.put(replace(leaf, statement=msgspec.Raw(body)))


def test_a_forged_entry_is_refused(three):
    with pytest.raises(DecodeError, match="the signature of this entry is not that of the key"):
        three.put(three.leaf(three.statement("b", plan(three)), signer=three.identity("the hub")))


def test_a_signature_of_another_purpose_is_refused(three):
    leaf = three.leaf(three.statement("b", plan(three)))
    mail = to_base64(three.identities["b"].sign("mail", bytes(leaf.statement)))
    with pytest.raises(DecodeError, match="the signature of this entry"):
        three.put(replace(leaf, signature=mail))


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64", "A" * 87 + "="])
def test_a_broken_signature_is_refused(three, signature):
    leaf = three.leaf(three.statement("b", plan(three)))
    with pytest.raises(DecodeError):
        three.put(replace(leaf, signature=signature))


def test_a_dropped_entry_shows_at_the_authors_next(three):
    first = three.statement("b", plan(three, 1))
    entry = sign(first, three.identities["b"], {})
    dropped = replace(
        first, sequence=first.sequence + 1, previous=_digest(entry), events=(plan(three, 2),), id=three.key("next")
    )
    with pytest.raises(Conflict, match=r"b's number 1 after sha256:\w+; number 0 after none is next"):
        three.put(three.leaf(dropped))


def test_reordered_entries_are_refused(three):
    first = three.statement("b", plan(three, 1))
    second = replace(
        first,
        sequence=1,
        previous=_digest(sign(first, three.identities["b"], {})),
        events=(plan(three, 2),),
    )
    with pytest.raises(Conflict, match="is next"):
        three.put(three.leaf(second))
    three.put(three.leaf(first))
    three.put(three.leaf(second))


def test_a_duplicated_or_replayed_entry_is_refused(three):
    leaf = three.leaf(three.statement("b", plan(three, 1)))
    three.put(leaf)
    with pytest.raises(Conflict, match=r"b's number 0 after none; number 1 after sha256:\w+ is next"):
        three.put(leaf)
    three.write("b", plan(three, 2))
    with pytest.raises(Conflict, match="number 2 after"):
        three.put(replace(leaf, ordered_at=three.now + 1))


def test_another_channels_entry_is_refused(log):
    here, there = log("a", "b"), log("c", "b")
    with pytest.raises(DecodeError, match="the entry is of the channel sha256:"):
        here.put(there.leaf(there.statement("b", plan(there))))
    with pytest.raises(DecodeError, match="the entry is of the channel none, this is sha256:"):
        here.put(changed(here, "b", channel=""))


def test_a_fork_shows_at_the_next_entry_of_the_other_side(log):
    one, other = log("a", "b"), log("a", "b")
    one.write("a", plan(one, "shown to one"))
    other.write("a", plan(other, "shown to the other"))
    leaf = other.leaf(other.statement("b", plan(other)))
    with pytest.raises(Conflict, match="b saw another log: its first 3 entries are not those of this one"):
        one.put(leaf)


def test_a_shortened_history_is_refused(log):
    short, long = log("a", "b"), log("a", "b")
    long.write("a", plan(long))
    leaf = long.leaf(long.statement("b", plan(long, 2)))
    with pytest.raises(Conflict, match="b says it saw 3 entries; it said 0 before, there are 2"):
        short.put(leaf)


def test_a_clock_that_runs_back_is_refused(three):
    three.write("a", plan(three, 1))
    leaf = three.leaf(three.statement("b", plan(three, 2)))
    with pytest.raises(Conflict, match=f"ordered at {three.now - 1}, before the one in front of it"):
        three.put(replace(leaf, ordered_at=three.now - 1))
    three.put(replace(leaf, ordered_at=three.now))


def test_swapped_keys_and_self_invited_members_are_refused(three):
    stranger = three.identity("mallory")
    with pytest.raises(Forbidden, match="mallory is not a member of this channel"):
        three.put(three.leaf(three.statement("mallory", plan(three)), signer=stranger))
    with pytest.raises(DecodeError, match="the signature of this entry"):
        three.put(three.leaf(three.statement("c", plan(three)), signer=three.identities["b"]))


# A log that does not begin as it should.


def test_a_log_begins_with_its_creation(three):
    nothing = RecordsInMemory(), Tree(HashesInMemory(), 0)
    for leaf in (
        three.leaf(three.statement("a", plan(three))),
        three.leaf(three.statement("a", _creation(three), plan(three))),
    ):
        with pytest.raises(DecodeError, match="a channel's log begins with one event that creates it"):
            admit(nothing[0], leaf, 0, nothing[1].root)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channel": "sha256:" + "0" * 64}, "follows nothing"),
        ({"sequence": 1}, "follows nothing"),
        ({"previous": "sha256:" + "0" * 64}, "follows nothing"),
        ({"epoch": 1}, "follows nothing"),
        ({"seen": Seen(1, to_base64(bytes(32)))}, "follows nothing"),
        ({"seen": Seen(0, to_base64(bytes(32)))}, "a saw another log"),
    ],
)
def test_the_first_entry_follows_nothing(three, fields, message):
    empty = Tree(HashesInMemory(), 0)
    statement = replace(_first(three), **fields)
    with pytest.raises((DecodeError, Conflict), match=message):
        admit(RecordsInMemory(), three.leaf(statement), 0, empty.root)


def test_the_first_entry_is_signed_by_the_keys_that_it_gives(three):
    leaf = three.leaf(_first(three), signer=three.identities["b"])
    with pytest.raises(DecodeError, match="the signature of this entry"):
        admit(RecordsInMemory(), leaf, 0, Tree(HashesInMemory(), 0).root)


def test_time_zero_is_no_time(three):
    leaf = three.leaf(_first(three))
    with pytest.raises(DecodeError, match="ordered at 1 at least"):
        admit(RecordsInMemory(), replace(leaf, ordered_at=0), 0, Tree(HashesInMemory(), 0).root)
    with pytest.raises(DecodeError):
        read_leaf(canonical(replace(leaf, ordered_at=0)))


def test_a_channel_is_created_once(three):
    with pytest.raises(Conflict, match="the channel exists already"):
        three.write("a", _creation(three))


# A confused or dishonest author.


def test_seen_may_not_run_back(three):
    old = Seen(three.tree.size, to_base64(three.tree.root()))
    three.write("a", plan(three, 1))
    three.write("b", plan(three, 2))
    with pytest.raises(Conflict, match="b says it saw 3 entries; it said 4 before, there are 5"):
        three.put(changed(three, "b", seen=old))


def test_seen_may_lag_behind(three):
    old = Seen(three.tree.size, to_base64(three.tree.root()))
    three.write("a", plan(three, 1))
    three.put(changed(three, "b", seen=old))
    assert three.get(Organization, "b").seen == old.size


def test_seen_of_another_log_is_refused(three):
    with pytest.raises(Conflict, match="b saw another log: its first 2 entries"):
        three.put(changed(three, "b", seen=Seen(2, to_base64(bytes(32)))))


def test_a_wrong_epoch_is_refused(three):
    with pytest.raises(Forbidden, match="signed in epoch 1 of b's keys, now is 0"):
        three.put(changed(three, "b", epoch=1))


def test_the_keys_before_a_rotation_are_worth_nothing_after_it(three):
    old, new = three.identities["b"], three.identity("b's new keys")
    early = three.leaf(three.statement("b", plan(three)))
    proof = to_base64(new.sign("rotation", rotation(three.get(Channel, CHANNEL).digest, "b", 1)))
    three.write("b", KeyRotated(keys=new.public, proof=proof))
    with pytest.raises(Forbidden, match="signed in epoch 0 of b's keys, now is 1"):
        three.put(early)
    with pytest.raises(DecodeError, match="the signature of this entry"):
        three.put(three.leaf(three.statement("b", plan(three)), signer=old))
    three.put(three.leaf(three.statement("b", plan(three)), signer=new))


@pytest.mark.parametrize("fields", [{"sequence": 2}, {"previous": "sha256:" + "0" * 64}])
def test_an_entry_follows_its_authors_last_by_number_and_digest(three, fields):
    three.write("b", plan(three, 1))
    with pytest.raises(Conflict, match=r"number 1 after sha256:\w+ is next"):
        three.put(changed(three, "b", **fields))


def test_another_version_of_the_rules_is_refused(three):
    with pytest.raises(Conflict, match="by version 2 of the rules, this channel is at 1"):
        three.put(changed(three, "b", rules=2))


def test_a_channel_of_later_rules_is_not_read(three):
    unknown = b'{"author":"a","events":[{"of":"the future","type":"unheard_of"}],"rules":2}'
    leaf = Leaf(ordered_at=three.now, signature="", statement=msgspec.Raw(unknown))
    with pytest.raises(NotSupported, match=f"version 2 of the rules; upgrade comity, which knows {RULES}"):
        admit(RecordsInMemory(), leaf, 0, three.tree.root)
    three.records.put(replace(three.get(Channel, CHANNEL), rules=2))
    with pytest.raises(NotSupported, match="upgrade comity"):
        three.put(leaf)


def test_an_entry_is_taken_whole_or_not_at_all(three):
    with pytest.raises(Conflict, match="there is a plan"):
        three.write("b", plan(three, 1), plan(three, 2), plan(three, 1))
    assert not three.records.held[Plan]
    three.write("b", plan(three, 1))


def test_nothing_follows_in_the_entry_that_ends_an_authors_right(three):
    with pytest.raises(Forbidden, match="b is not a member"):
        three.write("b", OrganizationRemoved(organization="b"), plan(three))
    with pytest.raises(Forbidden, match="the channel is closed"):
        three.write("a", ChannelClosed(), plan(three))


def test_nothing_follows_in_a_closed_channel(three):
    three.write("a", ChannelClosed())
    for author in ("a", "b"):
        with pytest.raises(Forbidden, match="the channel is closed"):
            three.write(author, RulesSupported(version=1))


# Texts.


def test_the_texts_beside_an_entry_are_those_it_commits_to():
    salts = [to_base64(bytes([n] * 16)) for n in range(3)]
    texts = {commitment(bytes([n] * 16), word): (salts[n], word) for n, word in enumerate(["heart", "lung", "brain"])}
    names = list(texts)
    check_texts(names, texts)
    check_texts([names[0], *names], texts)
    for committed in (names[:2], [*names, "sha256:" + "0" * 64], []):
        with pytest.raises(DecodeError, match="not those that its events commit to"):
            check_texts(committed, texts)
    for broken in ((salts[0], "hearth"), (salts[1], "heart")):
        with pytest.raises(DecodeError, match="is another than the one committed to"):
            check_texts(names, {**texts, names[0]: broken})
    for salt in ("", "AAAA", "?"):
        with pytest.raises(DecodeError):
            check_texts(names, {**texts, names[0]: (salt, "heart")})
    long = "x" * 100_001
    name = commitment(bytes(16), long)
    with pytest.raises(DecodeError, match="more than 100000 bytes"):
        check_texts([name], {name: (salts[0], long)})


def _first(log):
    return replace(
        log.statement("a", _creation(log)),
        channel="",
        sequence=0,
        previous="",
        seen=Seen(0, to_base64(Tree(HashesInMemory(), 0).root())),
    )


def _creation(log):
    return ChannelCreated(keys=log.identities["a"].public, hub=log.HUB, name=log.NAME, nonce="m")


def _digest(entry: Entry):
    return statement_digest(entry.statement)
