"""Who belongs to a channel, by which keys, and who decides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from msgspec.structs import replace

from comity.domain.entry import canonical
from comity.domain.events import (
    AnyEvent,
    ChannelClosed,
    ChannelCreated,
    HubReplaced,
    KeyRotated,
    OrganizationAdmitted,
    OrganizationInvited,
    OrganizationReadmitted,
    OrganizationRemoved,
    RulesRaised,
    RulesSupported,
)
from comity.domain.records import Channel, Draft, Invitation, Organization, Vote, need
from comity.domain.sums import sum_function
from comity.values.digest import canonical as canonical_json
from comity.values.digest import digest
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound
from comity.values.keys import SIZE, PublicKeys, from_base64

CHANNEL = "channel"
"""The key of a channel's one record of itself."""


@final
@dataclass(frozen=True, slots=True)
class Act:
    """Whose event it is, and when it was ordered."""

    author: str
    at: int


def channel(records: Draft) -> Channel:
    """The channel; raises NotFound before its first entry."""
    return need(records, Channel, CHANNEL)


def member(records: Draft, name: str) -> Organization:
    """A present member; raises Forbidden for any other."""
    found = records.get(Organization, name)
    if found is None or found.status != "member":
        raise Forbidden(f"{name} is not a member of this channel")
    return found


def created(records: Draft, act: Act, event: ChannelCreated) -> None:
    """The founder's first word; its record is completed by `domain.log`, which knows the statement's digest."""
    if records.get(Channel, CHANNEL) is not None:
        raise Conflict("the channel exists already")
    from_base64(event.hub, SIZE)
    records.put(
        Channel(
            key=CHANNEL,
            digest="",
            founder=act.author,
            hub=event.hub,
            name=event.name,
            admission=event.admission,
            created_at=act.at,
            ordered_at=act.at,
        )
    )
    records.put(Organization(key=act.author, status="member", keys=event.keys, created_at=act.at))
    records.put(sum_function(act.author, act.at))


def invited(records: Draft, act: Act, event: OrganizationInvited) -> None:
    """Only who may admit may invite."""
    _may_admit(records, act)
    found = records.get(Organization, event.organization)
    if found is not None and found.status == "member":
        raise Conflict(f"{event.organization} is a member already")
    if records.get(Invitation, event.token) is not None:
        raise Conflict("this token was given out before; make another")
    records.put(Invitation(key=event.token, organization=event.organization, expires=event.expires))


def admitted(records: Draft, act: Act, event: OrganizationAdmitted) -> None:
    """An organization comes in once the admission rule is met."""
    _may_admit(records, act)
    found = records.get(Organization, event.organization)
    if found is not None and found.status == "member":
        raise Conflict(f"{event.organization} is a member already")
    _check_unused(records, event.keys)
    if not _decided(records, act, event):
        return
    for invitation in records.find(Invitation, "organization", event.organization):
        records.put(replace(invitation, used=True))
    if found is None:
        records.put(Organization(key=event.organization, status="member", keys=event.keys, created_at=act.at))
    else:
        records.put(_with_keys(replace(found, status="member"), event.keys))


def readmitted(records: Draft, act: Act, event: OrganizationReadmitted) -> None:
    """A member that lost its keys goes on with new ones; its history stays its own."""
    _may_admit(records, act)
    found = _present(records, event.organization)
    _check_unused(records, event.keys)
    if _decided(records, act, event):
        records.put(_with_keys(found, event.keys))


def removed(records: Draft, act: Act, event: OrganizationRemoved) -> None:
    """A member goes; `domain.leaving` ends what only it could have ended."""
    if event.organization != act.author:
        _may_admit(records, act)
    if event.organization == channel(records).founder:
        raise Forbidden("the founder cannot be removed; close the channel instead")
    found = _present(records, event.organization)
    if event.organization == act.author or _decided(records, act, replace(event, reason="")):
        records.put(replace(found, status="removed"))


def rotated(records: Draft, act: Act, event: KeyRotated) -> None:
    """The author's next statements are signed with new keys, which have signed this too."""
    found = member(records, act.author)
    _check_unused(records, event.keys)
    event.keys.verify(
        "rotation", rotation(channel(records).digest, act.author, found.epoch + 1), from_base64(event.proof, 64)
    )
    records.put(_with_keys(found, event.keys))


def rotation(channel: str, organization: str, epoch: int) -> bytes:
    """What new keys sign to show that their holder wants them."""
    return canonical_json({"channel": channel, "organization": organization, "epoch": epoch})


def hub_replaced(records: Draft, act: Act, event: HubReplaced) -> None:
    """Checkpoints are signed with another key from here on."""
    _may_admit(records, act)
    from_base64(event.hub, SIZE)
    if _decided(records, act, event):
        records.put(replace(channel(records), hub=event.hub))


def rules_supported(records: Draft, act: Act, event: RulesSupported) -> None:
    """The author's node knows the rules up to this version."""
    records.put(replace(member(records, act.author), rules=event.version))


def rules_raised(records: Draft, act: Act, event: RulesRaised) -> None:
    """The channel goes on by newer rules once every member knows them."""
    _may_admit(records, act)
    here = channel(records)
    if event.version <= here.rules:
        raise InvalidInput(f"the channel's rules are of version {here.rules} already")
    for each in records.find(Organization, "status", "member"):
        if each.rules < event.version:
            raise Conflict(f"{each.key} knows the rules up to version {each.rules} only; upgrade its node first")
    records.put(replace(here, rules=event.version))


def closed(records: Draft, act: Act, event: ChannelClosed) -> None:
    """Nothing is written any more."""
    _may_admit(records, act)
    if _decided(records, act, replace(event, reason="")):
        records.put(replace(channel(records), closed=True))


def _may_admit(records: Draft, act: Act) -> None:
    here = channel(records)
    if not here.admission.members and act.author != here.founder:
        raise Forbidden(f"only {here.founder}, who founded the channel, decides this")


def _decided(records: Draft, act: Act, event: AnyEvent) -> bool:
    """Whether this word is the last that was needed.

    Each member's counts once, for one decision, and only while the keys that it was given with are the member's.
    """
    needed = channel(records).admission.members
    if not needed:
        return True
    epochs = {each.key: each.epoch for each in records.find(Organization, "status", "member")}
    subject = digest(canonical(event))
    records.put(Vote(key=f"{subject}|{act.author}", subject=subject, author=act.author, epoch=epochs[act.author]))
    votes = [
        vote
        for vote in records.find(Vote, "subject", subject)
        if not vote.spent and epochs.get(vote.author) == vote.epoch
    ]
    if len(votes) < min(needed, len(epochs)):
        return False
    for vote in votes:
        records.put(replace(vote, spent=True))
    return True


def _present(records: Draft, name: str) -> Organization:
    found = records.get(Organization, name)
    if found is None or found.status != "member":
        raise NotFound(f"there is no member {name} of this channel")
    return found


def _check_unused(records: Draft, keys: PublicKeys) -> None:
    for status in ("member", "removed"):
        for each in records.find(Organization, "status", status):
            if each.keys.signing == keys.signing:
                raise Conflict(f"these keys are those of {each.key}; every organization makes its own")


def _with_keys(found: Organization, keys: PublicKeys) -> Organization:
    return replace(found, keys=keys, epoch=found.epoch + 1)
