"""What a user's pages look like."""

from __future__ import annotations

from typing import Annotated, final

import msgspec
from msgspec import Meta

from comity.domain.words import Key
from comity.values.errors import DecodeError

_Name = Annotated[str, Meta(min_length=1, max_length=100)]


@final
class Preferences(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A user's favourite compute plans, and the columns of each table in their order."""

    favourites: Annotated[tuple[Key, ...], Meta(max_length=1000)] = ()
    columns: Annotated[dict[_Name, Annotated[tuple[_Name, ...], Meta(max_length=100)]], Meta(max_length=50)] = {}


_DECODER = msgspec.json.Decoder(Preferences)


def decode(body: bytes) -> Preferences:
    """Preferences from JSON; raises DecodeError.

    >>> decode(b'{"columns": {"plans": ["name", "status"]}}').columns
    {'plans': ('name', 'status')}
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(
            f'these are no preferences ({error}); send {{"favourites": [KEY, ...], "columns": {{TABLE: [NAME, ...]}}}}'
        ) from error


def encode(preferences: Preferences) -> bytes:
    """The JSON of preferences."""
    return msgspec.json.encode(preferences)
