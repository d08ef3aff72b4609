"""The channel's log, and the channel at a glance."""

from __future__ import annotations

from typing import Annotated, Any, final

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from comity.adapters.openapi import Count as Place
from comity.domain.entry import statement_digest
from comity.domain.events import TEXTS, AnyEvent, Count
from comity.domain.words import BlobDigest
from comity.node import history, overview, redacting
from comity.node.history import Placed, Wanted
from comity.node.rest import nouns
from comity.node.rest.bodies import decoded
from comity.node.rest.call import Call, answer
from comity.node.rest.dates import date
from comity.node.rest.render import View
from comity.values.errors import InvalidInput

ENTRIES = {"before": Place, "limit": Place, "author": str, "type": str, "about": str}
LEAVES = {"start": Place, "limit": Place}
"""Parameters and their types."""

MOST = 1000


@final
class Redaction(Struct, frozen=True):
    """Texts that are to be deleted wherever they lie."""

    texts: Annotated[tuple[BlobDigest, ...], Meta(max_length=1000)] = ()
    """By their commitments."""
    entries: Annotated[tuple[Count, ...], Meta(max_length=1000)] = ()
    """All of an entry."""


async def entries(call: Call) -> Response:
    """Entries in words, the latest first."""
    given = call.parameters
    wanted = Wanted(author=given.get("author", ""), kind=given.get("type", ""), about=given.get("about", ""))
    before, limit = _number(call, "before", 2**53), min(_number(call, "limit", 100), MOST)

    def work(view: View) -> nouns.Entries:
        found = history.entries(view.log, wanted, before=before, limit=limit)
        results = [entry_of(view, each) for each in found.entries]
        return {"size": view.log.size, "before": found.before, "results": results}

    return answer(await call.read(work))


async def leaves(call: Call) -> Response:
    """Leaves as they stand in the log, byte for byte, with the texts beside them."""
    start, limit = _number(call, "start", 0), min(_number(call, "limit", 100), MOST)
    found = await call.read(lambda view: view.log.deliveries(start, limit, most_bytes=history.MOST_BYTES))
    return answer({"results": found})


async def checkpoint(call: Call) -> Response:
    """The hub's signed note of the log's size and root, as this node last held it against its own."""
    return answer(await call.read(lambda view: {"checkpoint": history.checkpoint(view.log)}))


async def redact(call: Call) -> Response:
    """Delete texts of this organization wherever they lie; their commitments stay."""
    asked = decoded(await call.body(), Redaction)
    return answer({"redacted": await redacting.redact(call.part, asked.texts, entries=asked.entries)})


async def network(call: Call) -> Response:
    """The channel at a glance, as this node sees it."""
    glance = await overview.glance(call.part)
    following = call.part.following
    size, name = await call.read(lambda view: (view.log.size, view.channel))
    return answer(
        {
            "organization": following.organization,
            "channel": name,
            "digest": following.link.channel,
            "hub": following.link.address.url,
            "connected": following.connected,
            "trouble": following.trouble or None,
            "broken": following.broken or None,
            "sandbox": call.part.pool.level,
            "sandbox_trouble": call.part.pool.trouble or None,
            "log_size": size,
            "outbox": glance.outbox,
            "letters": glance.letters,
            "parcels": glance.parcels,
            "parcel_bytes": glance.parcel_bytes,
            "organizations": [msgspec.to_builtins(each) for each in glance.members],
        }
    )


def entry_of(view: View, each: Placed, most: int | None = None) -> nouns.Entry:
    """An entry in words; with its first so many events."""
    said = each.statement
    return {
        "place": each.place,
        "date": date(each.leaf.ordered_at),
        "author": said.author,
        "epoch": said.epoch,
        "sequence": said.sequence,
        "id": said.id,
        "digest": statement_digest(each.leaf.statement),
        "previous": said.previous or None,
        "seen": said.seen.size,
        "signature": each.leaf.signature,
        "events": [_event(view, event) for event in said.events[:most]],
    }


def _event(view: View, event: AnyEvent) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(event)
    return {**shown, **{name: view.text(shown[name]) for name in TEXTS if name in shown}}


def _number(call: Call, name: str, otherwise: int) -> int:
    given = call.parameters.get(name, str(otherwise))
    if not given.isascii() or not given.isdigit() or len(given) > 16:
        raise InvalidInput(f"{name} must be a whole number, not {given[:40]!r}")
    return int(given)
