"""Who belongs to a channel, by which keys, and who decides it."""

import pytest

from comity.domain.events import (
    ChannelClosed,
    HubReplaced,
    KeyRotated,
    OrganizationAdmitted,
    OrganizationInvited,
    OrganizationReadmitted,
    OrganizationRemoved,
    Redacted,
    RulesRaised,
    RulesSupported,
)
from comity.domain.membership import CHANNEL, rotation
from comity.domain.records import Channel, Invitation, Organization
from comity.values.errors import Conflict, DecodeError, Forbidden, InvalidInput, NotFound
from comity.values.keys import to_base64

TOKEN = "sha256:" + "7" * 64


def admission(log, name, word=None):
    return OrganizationAdmitted(organization=name, keys=log.identity(word or name).public)


def rotated(log, name, new, **changed):
    """The event, with the proof that `rotation` of these facts makes."""
    facts = {"channel": log.get(Channel, CHANNEL).digest, "organization": name, "epoch": 1, **changed}
    return KeyRotated(keys=new.public, proof=to_base64(new.sign("rotation", rotation(**facts))))


def test_what_a_channel_begins_with(log):
    made = log("a")
    channel, founder = made.get(Channel, CHANNEL), made.get(Organization, "a")
    assert (channel.founder, channel.hub, channel.rules, channel.closed) == ("a", made.HUB, 1, False)
    assert channel.created_at == channel.ordered_at == made.now
    assert (founder.status, founder.epoch, founder.sequence, founder.seen) == ("member", 0, 1, 0)
    assert founder.previous == channel.digest


# By the founder alone.


def test_the_founder_invites_and_admits(log):
    made = log("a")
    made.write("a", OrganizationInvited(organization="b", token=TOKEN, expires=1))
    assert not made.get(Invitation, TOKEN).used
    made.write("a", admission(made, "b"))
    assert made.get(Invitation, TOKEN).used
    found = made.get(Organization, "b")
    assert (found.status, found.keys, found.created_at) == ("member", made.identity("b").public, made.now)


@pytest.mark.parametrize(
    "event",
    [
        OrganizationInvited(organization="d", token=TOKEN, expires=1),
        OrganizationRemoved(organization="c"),
        RulesRaised(version=2),
        ChannelClosed(),
        HubReplaced(hub=to_base64(bytes(32))),
    ],
    ids=lambda event: type(event).__name__,
)
def test_nobody_else_decides(three, event):
    with pytest.raises(Forbidden, match="only a, who founded the channel, decides this"):
        three.write("b", event)


def test_nobody_else_admits(three):
    for event in (
        admission(three, "d"),
        OrganizationReadmitted(organization="c", keys=three.identity("c2").public),
    ):
        with pytest.raises(Forbidden, match="only a, who founded"):
            three.write("b", event)


def test_who_is_there_is_neither_invited_nor_admitted(three):
    with pytest.raises(Conflict, match="b is a member already"):
        three.write("a", OrganizationInvited(organization="b", token=TOKEN, expires=1))
    with pytest.raises(Conflict, match="b is a member already"):
        three.write("a", admission(three, "b", "other keys"))


def test_who_was_removed_may_be_invited_again(three):
    three.write("a", OrganizationRemoved(organization="b"))
    three.write("a", OrganizationInvited(organization="b", token=TOKEN, expires=1))
    assert three.get(Invitation, TOKEN).organization == "b"


def test_a_token_is_given_out_once(three):
    three.write("a", OrganizationInvited(organization="d", token=TOKEN, expires=1))
    with pytest.raises(Conflict, match="this token was given out before"):
        three.write("a", OrganizationInvited(organization="e", token=TOKEN, expires=1))


def test_every_organization_has_keys_of_its_own(three):
    with pytest.raises(Conflict, match="these keys are those of b"):
        three.write("a", admission(three, "d", "b"))
    three.write("a", OrganizationRemoved(organization="b"))
    with pytest.raises(Conflict, match="these keys are those of b"):
        three.write("a", admission(three, "d", "b"))


def test_a_hubs_key_is_a_key(three):
    three.write("a", HubReplaced(hub=to_base64(bytes(range(1, 33)))))
    assert three.get(Channel, CHANNEL).hub == to_base64(bytes(range(1, 33)))
    with pytest.raises(DecodeError, match="canonical"):
        three.write("a", HubReplaced(hub="A" * 42 + "B="))


# Who goes, and comes again.


def test_a_member_leaves_or_is_removed(three):
    three.write("b", OrganizationRemoved(organization="b"))
    three.write("a", OrganizationRemoved(organization="c"))
    for name in "bc":
        assert three.get(Organization, name).status == "removed"
        with pytest.raises(Forbidden, match=f"{name} is not a member of this channel"):
            three.write(name, RulesSupported(version=1))
    for name in ("c", "nobody"):
        with pytest.raises(NotFound, match=f"there is no member {name}"):
            three.write("a", OrganizationRemoved(organization=name))


def test_the_founder_stays(three):
    for author in "ab":
        with pytest.raises(Forbidden):
            three.write(author, OrganizationRemoved(organization="a"))


def test_who_was_removed_comes_again_with_new_keys_and_its_own_history(three):
    three.write("b", RulesSupported(version=1))
    before = three.get(Organization, "b")
    three.write("a", OrganizationRemoved(organization="b"))
    with pytest.raises(NotFound):
        three.write("a", OrganizationReadmitted(organization="b", keys=three.identity("b2").public))
    three.write("a", admission(three, "b", "b2"))
    found = three.get(Organization, "b")
    assert (found.epoch, found.sequence, found.previous) == (1, before.sequence, before.previous)
    with pytest.raises(DecodeError, match="the signature of this entry"):
        three.write("b", RulesSupported(version=1))
    three.identities["b"] = three.identity("b2")
    three.write("b", RulesSupported(version=1))


def test_lost_keys_are_replaced(three):
    three.write("a", OrganizationReadmitted(organization="b", keys=three.identity("b2").public))
    assert three.get(Organization, "b").epoch == 1
    three.identities["b"] = three.identity("b2")
    three.write("b", RulesSupported(version=1))
    with pytest.raises(Conflict, match="these keys are those of c"):
        three.write("a", OrganizationReadmitted(organization="b", keys=three.identity("c").public))


def test_a_rotation_is_signed_by_both_keys(three):
    new = three.identity("b2")
    three.write("b", rotated(three, "b", new))
    assert (three.get(Organization, "b").epoch, three.get(Organization, "b").keys) == (1, new.public)
    three.identities["b"] = new
    three.write("b", rotated(three, "b", three.identity("b3"), epoch=2))
    assert three.get(Organization, "b").epoch == 2


@pytest.mark.parametrize("facts", [{"organization": "c"}, {"epoch": 0}, {"epoch": 2}, {"channel": TOKEN}])
def test_a_rotation_proves_this_channel_organization_and_epoch(three, facts):
    with pytest.raises(DecodeError, match="the signature of this rotation"):
        three.write("b", rotated(three, "b", three.identity("b2"), **facts))


def test_a_rotation_takes_nobodys_keys(three):
    with pytest.raises(Conflict, match="these keys are those of c"):
        three.write("b", rotated(three, "b", three.identity("c")))
    with pytest.raises(DecodeError):
        three.write("b", KeyRotated(keys=three.identity("c2").public, proof="AAAA"))


# By several of the members.


def test_two_of_the_members_admit(log):
    made = log("a", "b", "c", members_admit=2)
    made.write("b", admission(made, "d"))
    assert made.records.get(Organization, "d") is None
    made.write("b", admission(made, "d"))
    assert made.records.get(Organization, "d") is None, "a member's word counts once"
    made.write("a", admission(made, "d", "other keys"))
    assert made.records.get(Organization, "d") is None, "the words must be for the same keys"
    made.write("c", admission(made, "d"))
    assert made.get(Organization, "d").keys == made.identity("d").public


def test_reasons_do_not_split_the_words_for_one_thing(log):
    made = log("a", "b", "c", members_admit=2)
    made.write("a", OrganizationRemoved(organization="c", reason="sha256:" + "1" * 64))
    assert made.get(Organization, "c").status == "member"
    made.write("b", OrganizationRemoved(organization="c", reason="sha256:" + "2" * 64))
    assert made.get(Organization, "c").status == "removed"


def test_words_that_have_counted_do_not_count_again(log):
    made = log("a", "b", "c", members_admit=2)
    for author in "ab":
        made.write(author, OrganizationRemoved(organization="c"))
    for author in "ab":
        made.write(author, admission(made, "c", "c2"))
    made.write("a", OrganizationRemoved(organization="c"))
    assert made.get(Organization, "c").status == "member"
    made.write("b", OrganizationRemoved(organization="c"))
    assert made.get(Organization, "c").status == "removed"


def test_the_word_of_a_lost_key_does_not_count(log):
    made = log("a", "b", "c", "d", members_admit=2)
    made.write("c", OrganizationRemoved(organization="d"))
    for author in "ab":
        made.write(author, OrganizationReadmitted(organization="c", keys=made.identity("c2").public))
    made.write("b", OrganizationRemoved(organization="d"))
    assert made.get(Organization, "d").status == "member"
    made.write("a", OrganizationRemoved(organization="d"))
    assert made.get(Organization, "d").status == "removed"


def test_the_word_of_who_has_left_does_not_count(log):
    made = log("a", "b", "c", "d", members_admit=2)
    made.write("c", HubReplaced(hub=to_base64(bytes(32))))
    made.write("c", OrganizationRemoved(organization="c"))
    made.write("b", HubReplaced(hub=to_base64(bytes(32))))
    assert made.get(Channel, CHANNEL).hub == made.HUB
    made.write("a", HubReplaced(hub=to_base64(bytes(32))))
    assert made.get(Channel, CHANNEL).hub == to_base64(bytes(32))


def test_a_channel_of_fewer_members_needs_them_all(log):
    made = log("a", members_admit=2)
    made.write("a", admission(made, "b"))
    made.identities["b"] = made.identity("b")
    made.write("a", ChannelClosed())
    assert not made.get(Channel, CHANNEL).closed
    made.write("b", ChannelClosed())
    assert made.get(Channel, CHANNEL).closed


# The rules' version.


def test_rules_are_raised_once_every_member_knows_them(three):
    for name in "ab":
        three.write(name, RulesSupported(version=3))
    with pytest.raises(Conflict, match="c knows the rules up to version 1 only; upgrade its node first"):
        three.write("a", RulesRaised(version=2))
    three.write("c", RulesSupported(version=2))
    with pytest.raises(InvalidInput, match="the channel's rules are of version 1 already"):
        three.write("a", RulesRaised(version=1))
    three.write("a", RulesRaised(version=2))
    assert three.get(Channel, CHANNEL).rules == 2


def test_who_has_left_need_not_know_them(three):
    for name in "ab":
        three.write(name, RulesSupported(version=2))
    three.write("c", OrganizationRemoved(organization="c"))
    three.write("a", RulesRaised(version=2))


def test_any_member_may_have_texts_deleted(three):
    before = {kind: dict(held) for kind, held in three.records.held.items() if kind not in (Organization, Channel)}
    three.write("c", Redacted(texts=(three.NAME,)))
    assert all(three.records.held[kind] == held for kind, held in before.items()), "no record follows from a text"
