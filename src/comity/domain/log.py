"""The rules of the log itself: which entry may stand where. The same at the hub and at every node.

They refuse a gap, a repeat, another channel, an epoch that is not valid here, an author's `seen` that is no
prefix of this log, and a clock that runs back. So a hub can delay; it cannot alter, forge or invent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec.structs import replace

from comity.domain.entry import RULES, Leaf, Statement, read_statement, rules_of, statement_digest, verify
from comity.domain.events import ChannelCreated
from comity.domain.membership import Act, channel, member
from comity.domain.records import Draft, Organization, Records, need
from comity.domain.rules import apply
from comity.values.errors import Conflict, DecodeError, Forbidden, NotSupported
from comity.values.keys import to_base64

RootAt: TypeAlias = Callable[[int], bytes]
"""The Merkle root of the first so many leaves of this log."""


def admit(records: Records, leaf: Leaf, size: int, root_at: RootAt) -> tuple[Statement, Draft]:
    """The statement of the next leaf of a log that has `size`, and what the records become by it.

    Raises DecodeError, Refused, InvalidInput or NotSupported, naming what is wrong; nothing is changed.
    """
    draft = Draft(records)
    # The version comes first: the events of later rules cannot be read.
    _check_version(draft, rules_of(leaf.statement), size)
    statement = read_statement(leaf.statement)
    act = Act(statement.author, leaf.ordered_at)
    if size == 0:
        _check_first(leaf, statement)
    else:
        _check_next(draft, leaf, statement, size)
    if to_base64(root_at(statement.seen.size)) != statement.seen.root:
        raise Conflict(
            f"{act.author} saw another log: its first {statement.seen.size} entries are not those of this one"
        )
    for number, event in enumerate(statement.events):
        if number:
            # an event before it in the same entry may have ended that
            _check_writer(draft, act.author)
        apply(draft, act, event)
    _link(draft, leaf, statement, size)
    return statement, draft


def _check_version(draft: Draft, version: int, size: int) -> None:
    if size and version != (now := channel(draft).rules):
        raise Conflict(f"the entry is by version {version} of the rules, this channel is at {now}")
    if version > RULES:
        raise NotSupported(f"the channel goes by version {version} of the rules; upgrade comity, which knows {RULES}")


def _check_first(leaf: Leaf, statement: Statement) -> None:
    first = statement.events[0]
    if len(statement.events) != 1 or not isinstance(first, ChannelCreated):
        raise DecodeError("a channel's log begins with one event that creates it")
    if statement.channel or statement.sequence or statement.previous or statement.epoch or statement.seen.size:
        raise DecodeError("a channel's first entry follows nothing")
    if leaf.ordered_at < 1:
        raise DecodeError("an entry is ordered at 1 at least, in milliseconds since 1970")
    verify(leaf.statement, leaf.signature, first.keys)


def _check_next(draft: Draft, leaf: Leaf, statement: Statement, size: int) -> None:
    here = channel(draft)
    if statement.channel != here.digest:
        raise DecodeError(f"the entry is of the channel {statement.channel or 'none'}, this is {here.digest}")
    author = _check_writer(draft, statement.author)
    if statement.epoch != author.epoch:
        raise Forbidden(f"the entry is signed in epoch {statement.epoch} of {author.key}'s keys, now is {author.epoch}")
    verify(leaf.statement, leaf.signature, author.keys)
    if statement.sequence != author.sequence or statement.previous != author.previous:
        raise Conflict(
            f"the entry is {author.key}'s number {statement.sequence} after {statement.previous or 'none'}; "
            f"number {author.sequence} after {author.previous or 'none'} is next"
        )
    if not author.seen <= statement.seen.size <= size:
        raise Conflict(
            f"{author.key} says it saw {statement.seen.size} entries; it said {author.seen} before, there are {size}"
        )
    if leaf.ordered_at < here.ordered_at:
        raise Conflict(f"the entry is ordered at {leaf.ordered_at}, before the one in front of it ({here.ordered_at})")


def _check_writer(draft: Draft, author: str) -> Organization:
    if channel(draft).closed:
        raise Forbidden("the channel is closed")
    return member(draft, author)


def _link(draft: Draft, leaf: Leaf, statement: Statement, size: int) -> None:
    """Keep where the author's next entry has to go on."""
    author, here = need(draft, Organization, statement.author), channel(draft)
    digest = statement_digest(leaf.statement)
    if size == 0:
        here = replace(here, digest=digest, rules=statement.rules)
    seen, at = statement.seen.size, leaf.ordered_at
    draft.put(replace(author, sequence=statement.sequence + 1, previous=digest, seen=seen, ordered_at=at))
    draft.put(replace(here, ordered_at=at))
