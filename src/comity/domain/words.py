"""The kinds of words in events: keys, names of organizations, digests, permissions, and texts by commitment.

Rule fields are never redacted. Texts (names, tags, metadata, descriptions, reasons) stand in an event as
SHA-256(salt ‖ text) and lie beside it with their salt, so that they can be deleted; no rule reads them.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal, TypeAlias, final

import msgspec
from msgspec import Meta

from comity.values.asset_key import PATTERN
from comity.values.keys import to_base64

Key: TypeAlias = Annotated[str, Meta(pattern=PATTERN)]
"""A UUID in lower case."""

OrganizationId: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")]

Identifier: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][ -.0-\[\]-~]{0,99}\Z")]
"""How an input or output of a function is called: printable ASCII without slashes, since files are named by it."""

DIGEST = r"^sha256:[0-9a-f]{64}\Z"

BlobDigest: TypeAlias = Annotated[str, Meta(pattern=DIGEST)]

Text: TypeAlias = Annotated[str, Meta(pattern=DIGEST)]
"""The commitment of a text; empty texts are left out."""

Number: TypeAlias = Annotated[str, Meta(pattern=r"^(-?([0-9]{1,17}(\.[0-9]{1,21})?(e[+-][0-9]{2,3})?|inf)|nan)\Z")]
"""A float as Python's `repr` writes it: the shortest digits that give it back."""

Pinned: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,99}==[A-Za-z0-9.!]{1,60}\Z")]
"""A distribution, by its canonical name, at one version."""

Stage: TypeAlias = Literal["init", "local", "sum", "step", "evaluate", "scores", "finish"]
"""What a task of an experiment is for: the first state, a site's part of a round, their sum, the next state; and of the
state that comes out of a round a site's measurement, their sum, and the metrics."""

SALT = 16
"""Bytes of a text's salt."""

LONGEST_TEXT = 100_000
"""Bytes of a text: metadata of a task, the reason of a refusal. Longer things are blobs."""

AssetKind: TypeAlias = Literal["ASSET_DATA_SAMPLE", "ASSET_DATA_MANAGER", "ASSET_MODEL", "ASSET_PERFORMANCE"]


def commitment(salt: bytes, text: str) -> Text:
    """What stands for a text in the log.

    >>> commitment(bytes(16), "heart")[:20]
    'sha256:ef443bf759e84'
    """
    return "sha256:" + sha256(salt + text.encode()).hexdigest()


def written(text: str, salt: bytes) -> tuple[Text, dict[str, tuple[str, str]]]:
    """(commitment, the text beside it); both empty for no text. The salt is random and used once.

    >>> written("", bytes(16))
    ('', {})
    """
    if not text:
        return "", {}
    name = commitment(salt, text)
    return name, {name: (to_base64(salt), text)}


@final
class Permission(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who may process and download an asset, besides its owner, who always may."""

    public: bool = False
    authorized: Annotated[tuple[OrganizationId, ...], Meta(max_length=1000)] = ()
    """As its owner gave them."""

    def allows(self, organization: str, owner: str) -> bool:
        """Whether the organization may.

        >>> Permission(authorized=("b",)).allows("b", owner="a"), Permission().allows("b", owner="a")
        (True, False)
        """
        return self.public or organization == owner or organization in self.authorized

    def including(self, organization: str) -> Permission:
        """The same with one more organization, in the order of their names.

        >>> Permission(authorized=("c", "b")).including("a").authorized
        ('a', 'b', 'c')
        """
        return Permission(public=self.public, authorized=tuple(sorted({*self.authorized, organization})))


def union(permissions: list[Permission]) -> Permission:
    """What any of them allows."""
    authorized = {name for each in permissions for name in each.authorized}
    return Permission(public=any(each.public for each in permissions), authorized=tuple(sorted(authorized)))
