"""A hub that lies: each lie is refused and named by the node, and nothing of it stays but the evidence."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from comity.adapters.sql.log import Delivery, Log
from comity.domain.entry import Seen, read_leaf, read_statement, sign
from comity.domain.events import OrganizationAdmitted, Redacted, RulesRaised, RulesSupported
from comity.domain.records import Organization, Plan
from comity.node.news import Member, apply_news, evidence, read_news
from comity.values.errors import ComityError, NotSupported, Unavailable
from comity.values.keys import to_base64


@pytest.fixture
def follower(network):
    """The node of a, which has everything up to here; b then writes two plans, and c one."""
    node = network.node("a")
    node.catch_up()
    for author, word in (("b", 1), ("b", 2), ("c", 3)):
        network.write(author, word)
    return node


def changed(delivery, **fields):
    leaf = replace(read_leaf(bytes(delivery.leaf)), **fields)
    return Delivery(leaf=msgspec.Raw(msgspec.json.encode(leaf, order="sorted")), texts=delivery.texts)


def altered(network, start, honest):
    other = bytes(read_leaf(bytes(honest[0].leaf)).statement).replace(
        network.key(1).encode(), network.key("other").encode()
    )
    return network.news(start, [changed(honest[0], statement=msgspec.Raw(other)), *honest[1:]])


def dropped(network, start, honest):
    return network.news(start, honest[1:])


def reordered(network, start, honest):
    return network.news(start, [honest[1], honest[0], honest[2]])


def duplicated(network, start, honest):
    return network.news(start, [honest[0], honest[0], *honest[1:]])


def replayed(network, start, honest):
    return network.news(start, [*honest, honest[0]])


def forged(network, start, honest):
    event, texts = network.plan("forged")
    entry = sign(network.statement("b", event), network.identity("hub"), texts)
    return network.news(start, [*honest, network.leaf(entry)])


def of_another_channel(network, start, honest):
    network.write("a", "elsewhere", channel="other")
    return network.news(start, [*honest, network.deliveries(channel="other")[-1]])


def the_other_channel_itself(network, start, honest):
    return network.news(start, network.deliveries(channel="other"))


def self_invited(network, start, honest):
    """The hub admits somebody, in the founder's name, whose key it does not have."""
    event = OrganizationAdmitted(organization="mallory", keys=network.identity("mallory").public)
    entry = sign(network.statement("hub", event), network.identity("mallory"), {})
    return network.news(start, [*honest, network.leaf(entry)])


def uninvited(network, start, honest):
    """Somebody who is no member admits itself."""
    event = OrganizationAdmitted(organization="mallory", keys=network.identity("mallory").public)
    statement = replace(network.statement("b", event), author="mallory", sequence=0, previous="")
    return network.news(start, [*honest, network.leaf(sign(statement, network.identity("mallory"), {}))])


def admitted_by_a_member(network, start, honest):
    event = OrganizationAdmitted(organization="mallory", keys=network.identity("mallory").public)
    entry = sign(network.statement("b", event), network.identity("b"), {})
    return network.news(start, [*honest, network.leaf(entry)])


def keys_swapped(network, start, honest):
    network.join("main", "d")
    admission = network.deliveries()[-1]
    keys, others = network.identity("d").public, network.identity("mallory").public
    other = bytes(read_leaf(bytes(admission.leaf)).statement)
    other = other.replace(keys.signing.encode(), others.signing.encode()).replace(
        keys.sealing.encode(), others.sealing.encode()
    )
    between = network.deliveries(start + 3)[:-1]
    return network.news(start, [*honest, *between, changed(admission, statement=msgspec.Raw(other))])


def clock_run_back(network, start, honest):
    return network.news(start, [honest[0], changed(honest[1], ordered_at=1), honest[2]])


def text_altered(network, start, honest):
    texts = {name: (salt, "another plan") for name, (salt, _) in honest[0].texts.items()}
    return network.news(start, [Delivery(leaf=honest[0].leaf, texts=texts), *honest[1:]])


def text_of_nothing(network, start, honest):
    return network.news(
        start, [Delivery(leaf=honest[0].leaf, texts={**honest[0].texts, **honest[1].texts}), *honest[1:]]
    )


def not_signed(network, start, honest):
    """Leaves with the checkpoint of before: the hub could deny them later."""
    return network.news(start, honest, note=network.note([bytes(each.leaf) for each in network.deliveries()[:start]]))


def signed_later(network, start, honest):
    """Leaves with a checkpoint that covers more than they are, and so cannot be compared."""
    whole = [bytes(each.leaf) for each in network.deliveries()]
    return network.news(start, honest[:2], size=len(whole), note=network.note(whole))


def of_a_smaller_log(network, start, honest):
    """Leaves, and a size that denies them."""
    return network.news(start, honest, size=start, note=network.note([bytes(e.leaf) for e in network.deliveries()]))


def another_root(network, start, honest):
    whole = [bytes(each.leaf) for each in network.deliveries()]
    return network.news(start, honest, note=network.note([*whole[:-1], b"another"]))


def another_key(network, start, honest):
    whole = [bytes(each.leaf) for each in network.deliveries()]
    return network.news(start, honest, note=network.note(whole, signer=network.identity("mallory")))


def another_origin(network, start, honest):
    whole = [bytes(each.leaf) for each in network.deliveries()]
    return network.news(start, honest, note=network.note(whole, origin=network.channels["other"].digest))


def no_checkpoint(network, start, honest):
    return network.news(start, honest, note="")


def another_past(network, start, honest):
    """A shorter log than this node has, and not even a part of it."""
    past = [bytes(each.leaf) for each in network.deliveries()[: start - 2]]
    return network.news(start, [], size=start - 1, note=network.note([*past, b"another"]))


def forked_in_silence(network, start, honest):
    """As many leaves as this node has, but others."""
    past = [bytes(each.leaf) for each in network.deliveries()[: start - 1]]
    return network.news(start, [], note=network.note([*past, b"another"]))


LIES = {
    altered: "the signature of this entry is not that of the key",
    dropped: r"the entry is b's number 1 after sha256:\w+; number 0 after none is next",
    reordered: "number 0 after none is next",
    duplicated: r"the entry is b's number 0 after none; number 1 after sha256:\w+ is next",
    replayed: r"the entry is b's number 0 after none; number 2 after sha256:\w+ is next",
    forged: "the signature of this entry is not that of the key",
    of_another_channel: r"the entry is of the channel sha256:\w+, this is sha256",
    the_other_channel_itself: "a channel's log begins|the entry is of the channel none|the channel exists already",
    self_invited: "the signature of this entry is not that of the key",
    uninvited: "mallory is not a member of this channel",
    admitted_by_a_member: "only hub, who founded the channel, decides this",
    keys_swapped: "the signature of this entry is not that of the key",
    clock_run_back: "the entry is ordered at 1, before the one in front of it",
    text_altered: r"the text beside sha256:\w+ is another than the one committed to",
    text_of_nothing: "the entry's texts are not those that its events commit to",
    not_signed: r"the hub's checkpoint is of \d+ entries of sha256:\w+; what it sent are",
    signed_later: r"the hub's checkpoint is of \d+ entries of sha256:\w+; what it sent are",
    of_a_smaller_log: r"the hub's checkpoint is of \d+ entries of sha256:\w+; what it sent are",
    another_root: "the hub signed two histories",
    another_key: r"the note has 0 signatures of sha256:\w+ with this key",
    another_origin: r"the note has 0 signatures of sha256:\w+ with this key",
    no_checkpoint: "a note is a text, an empty line and signature lines",
    another_past: "the hub signed two histories",
    forked_in_silence: "the hub signed two histories",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_lie_is_refused_and_named_and_kept_as_evidence(network, follower, lie):
    start = len(follower.leaves)
    before = follower.leaves
    told = lie(network, start, network.deliveries(start)[:3])
    follower.link.change = lambda _: told
    follower.catch_up()
    assert follower.following.broken
    assert re.search(LIES[lie], follower.following.broken)
    assert follower.following.broken == follower.following.trouble
    assert not follower.following.connected
    assert follower.leaves == before
    assert follower.read(lambda log: log.records.get(Plan, network.key(1))) is None
    with follower.database.read() as connection:
        kept = evidence(connection, 1)
    assert kept is not None
    assert (kept.reason, kept.answer) == (follower.following.broken, told)
    with pytest.raises(Unavailable, match="has stopped following"):
        network.run(follower.following.write([network.plan("mine")[0]], {}))


def test_it_stays_broken_after_a_restart(network, follower):
    told = forged(network, len(follower.leaves), network.deliveries(len(follower.leaves)))
    follower.link.change = lambda _: told
    follower.catch_up()
    reason = follower.following.broken
    follower.link.change = lambda body: body
    follower.restart()
    network.run(follower.following._follow(lambda _: None))
    assert follower.following.broken == follower.following.trouble == reason


def test_the_truth_is_taken(network, follower):
    follower.catch_up()
    assert follower.following.connected
    assert (follower.following.broken, follower.following.trouble) == ("", "")
    assert follower.leaves == [bytes(each.leaf) for each in network.deliveries()]
    assert follower.read(lambda log: log.texts([network.plan(1)[0].name])) == {network.plan(1)[0].name: "plan 1"}


def test_the_truth_may_come_in_parts(build):
    network = build(news_bytes=1)
    node = network.node("a")
    network.write("b", 1)
    whole = [bytes(each.leaf) for each in network.deliveries()]
    for size in range(1, len(whole)):
        node.catch_up()
        assert (len(node.leaves), node.following.connected) == (size, False)
        assert node.following.trouble == f"{len(whole) - size} entries are still to come"
    node.catch_up()
    assert (node.leaves, node.following.connected) == (whole, True)


# What is no lie yet: the node waits, and says for what.


def test_a_withheld_text_is_waited_for(network, follower):
    start = len(follower.leaves)
    honest = network.deliveries(start)
    follower.link.change = lambda _: network.news(start, [Delivery(leaf=honest[0].leaf, texts={}), *honest[1:]])
    with pytest.raises(Unavailable, match=f"the hub withholds the text {network.plan(1)[0].name}"):
        follower.catch_up()
    assert len(follower.leaves) == start
    assert not follower.following.broken
    follower.link.change = lambda body: body
    follower.catch_up()
    assert follower.following.connected


def test_a_deleted_text_is_not_withheld(network, follower):
    name = network.plan(1)[0].name
    network.say("b", Redacted(texts=(name,)))
    assert network.deliveries()[-4].texts == {}
    follower.catch_up()
    assert follower.following.connected
    assert follower.read(lambda log: (log.texts([name]), log.withheld())) == ({}, "")


def test_only_its_author_or_the_founder_excuses_a_missing_text(network, follower):
    start, name = len(follower.leaves), network.plan(1)[0].name
    network.say("c", Redacted(texts=(name,)))
    honest = network.deliveries(start)
    assert name in honest[0].texts
    follower.link.change = lambda _: network.news(start, [Delivery(leaf=honest[0].leaf, texts={}), *honest[1:]])
    with pytest.raises(Unavailable, match=f"the hub withholds the text {name}"):
        follower.catch_up()


def test_a_shortened_history_is_not_believed(network, follower):
    follower.catch_up()
    whole = follower.leaves
    past = whole[:-2]
    follower.link.change = lambda _: network.news(len(past), [], note=network.note(past))
    with pytest.raises(
        Unavailable, match="the hub shows 8 entries of the 10 that it signed, and does not take them back"
    ):
        follower.catch_up()
    assert follower.leaves == whole
    assert not follower.following.connected
    assert not follower.following.broken


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>Sign in to the hospital's network</html>",
        b"[]",
        b'{"deliveries":[],"size":-1,"checkpoint":"","mail":[]}',
        b'{"deliveries":[],"size":1e99,"checkpoint":"","mail":[]}',
        b'{"deliveries":[],"size":0,"checkpoint":"","mail":[{"id":99999999999999999999,"sender":"b","body":""}]}',
        b'{"deliveries":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"\xff",
    ],
)
def test_what_is_no_news_is_no_evidence(network, follower, answer):
    follower.link.change = lambda _: answer
    with pytest.raises(Unavailable, match="cannot be read"):
        follower.catch_up()
    assert not follower.following.broken
    follower.link.change = lambda body: body
    follower.catch_up()
    assert follower.following.connected


def test_a_channel_that_goes_by_newer_rules_is_not_written_to(network, follower):
    """Before anybody has said anything by them: a statement would name rules that this node does not know."""
    for author in ("hub", "a", "b", "c"):
        network.say(author, RulesSupported(version=2))
    network.say("hub", RulesRaised(version=2))
    before = follower.leaves
    with pytest.raises(NotSupported, match="version 2 of the rules; upgrade comity, which knows 1"):
        follower.catch_up()
    assert follower.leaves == before


def test_newer_rules_are_waited_for_with_a_newer_program(network, follower):
    for author in ("hub", "a", "b", "c"):
        network.say(author, RulesSupported(version=2))
    network.say("hub", RulesRaised(version=2))
    start = len(follower.leaves)
    event, texts = network.plan("later")
    later = network.leaf(sign(network.statement("b", event), network.identity("b"), texts))
    told = network.news(start, [*network.deliveries(start), later])
    follower.link.change = lambda _: told
    with pytest.raises(NotSupported, match="upgrade comity"):
        follower.catch_up()
    network.run(follower.following._follow(lambda _: None))
    assert "upgrade comity" in follower.following.broken
    with follower.database.read() as connection:
        assert evidence(connection, 1) is None
        assert connection.exec_driver_sql("SELECT broken FROM joined").scalar() == ""


# Who holds the founder's keys too.


def test_a_node_notices_that_another_was_admitted_in_its_name(network):
    """The hub's machine holds the founder's keys, and could use them."""
    network.say("hub", OrganizationAdmitted(organization="d", keys=network.identity("mallory").public))
    node = network.node("d")
    told = network.news(0, network.deliveries())
    node.link.identity = network.identity("mallory")  # so that the hub lets it in and shows it something
    node.following.link.change = lambda _: told
    node.following.identity = network.identity("d")
    node.catch_up()
    assert re.search("the log has the key .* for d, this node's is .*: another was admitted", node.following.broken)
    assert node.leaves == []


# A fork: a and b are shown different logs.


class Fork:
    """Two logs that the hub goes on with from one point, each signed, with one for a and the other for b."""

    def __init__(self, network):
        self.network = network
        self.nodes = {name: network.node(name) for name in ("a", "b")}
        for node in self.nodes.values():
            node.catch_up()
        self.base = [bytes(each.leaf) for each in network.deliveries()]
        self.shown = {"a": [], "b": []}

    def show(self, side, *deliveries):
        """The side's log goes on with these."""
        node, start = self.nodes[side], len(self.base) + len(self.shown[side])
        self.shown[side] += deliveries
        log = [*self.base, *(bytes(each.leaf) for each in self.shown[side])]
        told = self.network.news(start, list(deliveries), note=self.network.note(log), size=len(log))
        node.link.change = lambda _: told
        node.catch_up()
        return node.following

    def entry(self, author, word, side):
        """What the author says next when it has seen a side's log, as a leaf."""
        event, texts = self.network.plan(word)
        statement = self.nodes[side].read(
            lambda log: log.next_statement(author, self.network.key(("id", word)), [event])
        )
        return self.network.leaf(sign(statement, self.network.identity(author), texts))


@pytest.mark.parametrize(("writer", "reader"), [("a", "b"), ("b", "a")])
def test_a_fork_shows_as_silence_and_ends_with_either_sides_next_entry(network, writer, reader):
    fork = Fork(network)
    both = {name: fork.nodes[name].read(lambda log: log.records.get(Organization, "a").seen) for name in "ab"}
    assert both["a"] == both["b"]
    # c's word reaches one side only; the other is shown another of c's, as if c had said that instead.
    fork.show("a", fork.entry("c", "to a", "a"))
    fork.show("b", fork.entry("c", "to b", "b"))
    assert not fork.nodes["a"].following.broken
    assert not fork.nodes["b"].following.broken
    said = fork.entry(writer, "next", writer)
    assert not fork.show(writer, said).broken
    # silence: as the reader sees it, the writer has said nothing since, and has seen nothing
    here = fork.nodes[reader].read(lambda log: log.records.get(Organization, writer))
    there = fork.nodes[writer].read(lambda log: log.records.get(Organization, writer))
    assert here.seen < there.seen
    assert here.ordered_at < there.ordered_at
    # the entry is shown
    told = fork.show(reader, said)
    assert re.search(f"{writer} saw another log: its first \\d+ entries are not those of this one", told.broken)
    with fork.nodes[reader].database.read() as connection:
        kept = evidence(connection, 1)
    assert read_statement(read_leaf(bytes(read_news(kept.answer).deliveries[0].leaf)).statement).author == writer


def test_a_fork_that_grows_together_again_is_seen(network):
    """The hub shows b a log without c's word, and later all of it."""
    fork = Fork(network)
    hidden = fork.entry("c", "hidden", "a")
    fork.show("a", hidden)
    fork.show("b", fork.entry("b", "instead", "b"))
    again = changed(hidden, ordered_at=read_leaf(bytes(hidden.leaf)).ordered_at + 1000)
    assert fork.show("b", again).broken == ""  # c's word alone does not tell where it stood
    assert "saw another log" in fork.show("b", changed(fork.entry("a", "next", "a"), ordered_at=2**50)).broken


def test_an_author_cannot_say_it_saw_what_it_did_not(network, follower):
    follower.catch_up()
    event, texts = network.plan("lie")
    statement = network.statement("b", event)
    lied = replace(statement, seen=Seen(statement.seen.size, to_base64(bytes(32))))
    start = len(follower.leaves)
    told = network.news(start, [network.leaf(sign(lied, network.identity("b"), texts))])
    follower.link.change = lambda _: told
    follower.catch_up()
    assert "b saw another log" in follower.following.broken


# Anything else.


@given(place=st.integers(0), cut=st.integers(0, 3), more=st.binary(max_size=3))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_no_change_of_the_news_gets_another_log_in(honest, place, cut, more):
    node, me, body, log = honest
    place %= len(body)
    with node.database.engine.connect() as connection, connection.begin() as transaction:
        try:
            apply_news(Log(connection, 1), me, read_news(body[:place] + more + body[place + cut :]))
            made = [bytes(each.leaf) for each in Log(connection, 1).deliveries(0, 1000)]
            assert made == log[: len(made)]
        except ComityError:
            pass
        transaction.rollback()


@pytest.fixture(scope="module")
def honest(open_network, tmp_path_factory):
    """A node, who it is, what the hub tells it, and the log that this is."""
    with open_network(tmp_path_factory.mktemp("honest")) as network:
        node = network.node("a")
        node.catch_up()
        for author, word in (("b", 1), ("c", 2)):
            network.write(author, word)
        link = node.link
        body = network.request(link, "GET", f"/news?from={len(node.leaves)}&mail=0").content
        me = Member(link.channel, "a", link.identity.public)
        yield node, me, body, [bytes(each.leaf) for each in network.deliveries()]
