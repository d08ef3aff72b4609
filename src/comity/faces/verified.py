"""A channel's log, verified from its first entry by nothing but itself.

Every entry is admitted by the rules again: its canonical form, its author's signature and chain, what its author had
seen, and every event. The root of the Merkle tree that follows must be the one the hub signed. So no hub or node can
show another history than it once did; NOT shown: that the channel is the one you mean. Compare its digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from comity.domain.entry import check_texts, read_leaf
from comity.domain.events import texts_of
from comity.domain.log import admit
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, RecordsInMemory, need
from comity.ledger.checkpoint import open_checkpoint
from comity.ledger.merkle import HashesInMemory, Tree, leaf_hash
from comity.values.errors import ComityError, DecodeError
from comity.values.keys import from_base64


@final
@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a log holds that was found in order."""

    channel: str
    size: int
    root: str
    authors: Mapping[str, int]
    """Entries of each organization."""
    redacted: int
    """Texts that are gone."""


def verify(leaves: Iterable[tuple[bytes, Mapping[str, tuple[str, str]]]], note: str) -> Verified:
    """Leaves with their texts, held against the hub's signed note; raises DecodeError, naming the entry."""
    records, tree = RecordsInMemory(), Tree(HashesInMemory(), 0)
    authors: dict[str, int] = {}
    redacted = 0
    for place, (data, texts) in enumerate(leaves):
        try:
            statement, draft = admit(records, read_leaf(data), place, tree.root)
            committed = {text for event in statement.events for text in texts_of(event)}
            check_texts(sorted(committed & texts.keys()), texts)
        except ComityError as error:
            raise DecodeError(f"entry {place} cannot stand in this log: {error}") from error
        tree.append(leaf_hash(data))
        for changed in draft.changed.values():
            records.put(changed)
        authors[statement.author] = authors.get(statement.author, 0) + 1
        redacted += len(committed - texts.keys())
    if not tree.size:
        raise DecodeError("the log is empty")
    here = need(records, Channel, CHANNEL)
    signed = open_checkpoint(note, here.digest, Ed25519PublicKey.from_public_bytes(from_base64(here.hub, 32)))
    if (signed.origin, signed.size, signed.root) != (here.digest, tree.size, tree.root()):
        raise DecodeError(
            f"the hub signed {signed.size} entries with the root {signed.root.hex()}; "
            f"these are {tree.size} with the root {tree.root().hex()}"
        )
    return Verified(channel=here.digest, size=tree.size, root=tree.root().hex(), authors=authors, redacted=redacted)
