"""Entries: what an organization signs, and what the log holds of it.

An entry is a canonical statement, signed by the organization that acts, of 1 to 1,000 events of that author.
A leaf of the log is the entry with the time at which the hub ordered it. Both are canonical JSON (RFC 8785)
without fractions, so that a statement stands in its leaf byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, NoReturn, TypeAlias, cast, final

import msgspec
from msgspec import Meta

from comity.domain.events import AnyEvent, Count, Version
from comity.domain.words import DIGEST, LONGEST_TEXT, SALT, Key, OrganizationId, commitment
from comity.values.digest import Digest, digest
from comity.values.digest import canonical as canonical_json
from comity.values.errors import DecodeError, InvalidInput
from comity.values.keys import Identity, PublicKeys, from_base64, to_base64

LARGEST = 1 << 20
"""Bytes of a statement."""

MOST = 1000
"""Events of an entry."""

DEEPEST = 64
"""Levels of a statement, which count where it holds fields that this version does not know."""

FIRST = 1
"""The version of a statement that names none, for ever: what is at its default is not written down."""

RULES = 1
"""The version of the rules that this package knows."""

Texts: TypeAlias = Mapping[str, tuple[str, str]]
"""Salt (base64) and text, by commitment."""


@final
class Seen(msgspec.Struct, frozen=True):
    """The log that an author last verified."""

    size: Count
    root: Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=\Z")]
    """Merkle root, base64."""


@final
class Statement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an author signs."""

    rules: Version = FIRST
    channel: Annotated[str, Meta(pattern=DIGEST)] = ""
    """The digest of its first statement, which itself has none."""
    author: OrganizationId
    epoch: Annotated[int, Meta(ge=0, le=10**6)] = 0
    """How often the author's keys were replaced."""
    sequence: Count = 0
    """The author's own count of statements."""
    previous: Annotated[str, Meta(pattern=DIGEST)] = ""
    """The digest of the author's statement before this one."""
    id: Key
    """Made by the client, so that a statement sent twice is known."""
    seen: Seen
    events: Annotated[tuple[AnyEvent, ...], Meta(min_length=1, max_length=MOST)]


@final
class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A signed statement, and the texts that it commits to."""

    statement: msgspec.Raw
    signature: str
    texts: dict[str, tuple[str, str]] = {}


@final
class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it stands in the log."""

    ordered_at: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    """Milliseconds since 1970, by the hub's clock; never less than that of the leaf before, and never 0, which stands
    for "not yet" in records."""
    signature: str
    statement: msgspec.Raw


class _Versioned(msgspec.Struct, frozen=True):
    rules: Version = FIRST


def _fraction(text: str) -> NoReturn:
    raise DecodeError(f"{text} stands in an entry; numbers there are whole")


_VERSIONED = msgspec.json.Decoder(_Versioned)
_STATEMENT = msgspec.json.Decoder(Statement)
_ENTRY = msgspec.json.Decoder(Entry)
_ENTRIES = msgspec.json.Decoder(list[Entry])
_LEAF = msgspec.json.Decoder(Leaf)
_ANY = msgspec.json.Decoder(float_hook=_fraction)


def sign(statement: Statement, identity: Identity, texts: Texts) -> Entry:
    """The statement as an entry of the holder of these keys."""
    raw = canonical(statement)
    return Entry(statement=msgspec.Raw(raw), signature=to_base64(identity.sign("entry", raw)), texts={**texts})


def canonical(value: object) -> bytes:
    """A Struct as canonical JSON; keys of its dictionaries are ASCII, so that any order of characters is RFC 8785's."""
    return msgspec.json.encode(value, order="sorted")


def read_statement(raw: bytes | msgspec.Raw) -> Statement:
    """The statement; raises DecodeError unless it is well-formed, canonical, and of at most 1 MiB."""
    data = bytes(raw)
    if len(data) > LARGEST:
        raise DecodeError(f"the statement has {len(data)} bytes; split its events, {LARGEST} is the most")
    statement = _decoded(_STATEMENT, data, "statement")
    if canonical(statement) != data:
        _check_canonical(data)
    return statement


def rules_of(raw: bytes | msgspec.Raw) -> int:
    """The version of the rules that a statement goes by, even if it is one of later rules; raises DecodeError."""
    return _decoded(_VERSIONED, bytes(raw), "statement").rules


def read_entry(data: bytes) -> Entry:
    """The entry; its statement is still to be read and its signature to be verified."""
    return _decoded(_ENTRY, data, "entry")


def read_entries(data: bytes) -> list[Entry]:
    """Entries in their order; raises DecodeError."""
    return _decoded(_ENTRIES, data, "list of entries")


def read_leaf(data: bytes) -> Leaf:
    """The leaf; raises DecodeError unless these are its one canonical form."""
    leaf = _decoded(_LEAF, data, "leaf")
    if canonical(leaf) != data:
        raise DecodeError("the leaf is not canonical JSON")
    return leaf


def leaf_bytes(entry: Entry, ordered_at: int) -> bytes:
    """The leaf that the hub makes of an entry."""
    return canonical(Leaf(ordered_at=ordered_at, signature=entry.signature, statement=entry.statement))


def verify(raw: msgspec.Raw, signature: str, keys: PublicKeys) -> None:
    """Raises DecodeError unless the holder of these keys signed the statement."""
    keys.verify("entry", bytes(raw), from_base64(signature, 64))


def statement_digest(raw: msgspec.Raw) -> Digest:
    """How a statement is named."""
    return digest(bytes(raw))


def check_texts(committed: Sequence[str], texts: Texts) -> None:
    """Raises DecodeError unless there is a text for each commitment, and no other."""
    if set(committed) != set(texts):
        raise DecodeError("the entry's texts are not those that its events commit to")
    for name, (salt, text) in texts.items():
        if commitment(from_base64(salt, SALT), text) != name:
            raise DecodeError(f"the text beside {name} is another than the one committed to")
        if len(text.encode()) > LONGEST_TEXT:
            raise DecodeError(f"a text has more than {LONGEST_TEXT} bytes; make it a file of an asset")


def _check_canonical(data: bytes) -> None:
    """Of a statement that holds more than this version knows, and is kept byte for byte."""
    document = _decoded(_ANY, data, "statement")
    level = [document]
    for _ in range(DEEPEST):
        level = [child for each in level for child in _children(each)]
    # A limit of our own: that of Python's stack depends on who calls, and members could disagree.
    if level:
        raise DecodeError(f"the statement is nested deeper than {DEEPEST} levels")
    try:
        same = canonical_json(document) == data
    except InvalidInput as error:
        raise DecodeError(f"the statement is not canonical JSON: {error}") from error
    if not same:
        raise DecodeError("the statement is not canonical JSON")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


def _decoded(decoder: msgspec.json.Decoder[Any], data: bytes, what: str) -> Any:
    try:
        return decoder.decode(data)
    except DecodeError:
        raise
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise DecodeError(f"this is not a {what}: {error}") from error
