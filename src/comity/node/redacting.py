"""Texts that this organization takes out of the log: they are deleted wherever they lie, their commitments stay."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from comity.adapters.sql.log import Log
from comity.adapters.sql.schema import leaves, texts
from comity.domain.events import Redacted
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, need
from comity.node.node import Part
from comity.values.errors import Forbidden, InvalidInput, NotFound


async def redact(part: Part, commitments: Sequence[str], *, entries: Sequence[int]) -> list[str]:
    """Delete texts that this organization wrote, by commitment and by entry; the commitments of what was deleted.

    Raises NotFound for a text that is not there, or no more, and Forbidden for one of another organization, unless
    this one has founded the channel; nothing is deleted then.
    """
    if not commitments and not entries:
        raise InvalidInput("name the texts to be redacted, by their commitments or by their entries")
    found = await part.following.read(lambda log: _own(log, part.following.organization, commitments, entries=entries))
    await part.following.write([Redacted(texts=tuple(found))], {})
    return found


def _own(log: Log, organization: str, commitments: Sequence[str], *, entries: Sequence[int]) -> list[str]:
    named = texts.c.commitment.in_(commitments) | texts.c.place.in_(entries)
    written = (leaves.c.channel == texts.c.channel) & (leaves.c.place == texts.c.place)
    query = select(texts.c.commitment, texts.c.place, leaves.c.author).join(leaves, written)
    found = log.connection.execute(query.where(texts.c.channel == log.channel, named)).all()
    for name in set(commitments) - {each.commitment for each in found}:
        raise NotFound(f"the log has no text {name}, or none any more")
    for place in set(entries) - {each.place for each in found}:
        raise NotFound(f"the log's entry {place} has no text, or none any more")
    founder = need(log.records, Channel, CHANNEL).founder
    for each in found:
        if organization not in (each.author, founder):
            raise Forbidden(
                f"the text {each.commitment} is of {each.author}; only who wrote it, or the founder, has it redacted"
            )
    return sorted(each.commitment for each in found)
