"""The sum, once enough shares are open: masked inputs added, and the masks that did not cancel taken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from typing import TypeAlias, final

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from comity.privacy import masks, shamir
from comity.privacy.masks import Masks
from comity.privacy.messages import Advertise, Bytes32, Input, Opening
from comity.privacy.site import seed_digest, sign
from comity.privacy.terms import Name, Terms, canonical
from comity.values.digest import Digest, digest
from comity.values.errors import DecodeError, RoundFailed
from comity.values.tree import Array

Fetch: TypeAlias = Callable[[str, int], bytes | bytearray | memoryview]
"""A masked segment's bytes, by site and number, from wherever they were received."""

TRIES = 1000
"""Sets of shares that are tried for a secret when some site gave a wrong one."""


@final
class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What takes the masks off. Of no site both: of a survivor the seed, of another that shared the masking key."""

    seeds: dict[Name, Bytes32]
    keys: dict[Name, Bytes32]
    publics: dict[Name, Bytes32]
    """Masking public keys of the survivors, as they advertised them."""


def opened(
    terms: Terms,
    *,
    advertised: Sequence[Advertise],
    survivors: Sequence[str],
    dropped: Sequence[str],
    openings: Sequence[Opening],
) -> Opened:
    """The secrets, each checked against what its owner advertised; raises DecodeError when shares do not give one."""
    by_name = {each.sender: each for each in advertised}

    def seed_holds(name: str, secret: bytes) -> bool:
        return seed_digest(terms.session, name, secret) == by_name[name].seed

    def key_holds(name: str, secret: bytes) -> bool:
        public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        return public == by_name[name].masking

    def secret(name: str, shares: Mapping[str, bytes], holds: Callable[[str, bytes], bool]) -> bytes:
        if len(shares) < terms.threshold:
            raise RoundFailed(f"{len(shares)} shares of {name!r} were opened, but {terms.threshold} are needed")
        placed = {terms.place(keeper): share for keeper, share in shares.items()}
        for places in islice(_sets(sorted(placed), terms.threshold), TRIES):
            made = shamir.combine({place: placed[place] for place in places}, terms.threshold)
            if holds(name, made):
                return made
        raise DecodeError(f"the shares of {name!r} do not open what it advertised; some site gave a wrong one")

    counting = [each for each in openings if each.sender in terms.keepers]
    return Opened(
        seeds={n: secret(n, {o.sender: o.seeds[n] for o in counting if n in o.seeds}, seed_holds) for n in survivors},
        keys={n: secret(n, {o.sender: o.keys[n] for o in counting if n in o.keys}, key_holds) for n in dropped},
        publics={name: by_name[name].masking for name in survivors},
    )


def _sets(places: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Sets of so many shares; first those beside each other in a circle, so that one wrong share is soon left out."""
    around = [*places, *places]
    yield from (around[first : first + size] for first in range(len(places)))
    yield from combinations(places, size)


def leftover(terms: Terms, secrets: Opened) -> Masks:
    """The masks that do not cancel among the survivors, with the signs that take them off."""
    return Masks(
        session=terms.session,
        own=[(name, seed, -1) for name, seed in secrets.seeds.items()],
        pairs=[
            (name, gone, masks.shared_secret(private, public), -sign(name, gone))
            for gone, private in secrets.keys.items()
            for name, public in secrets.publics.items()
        ],
    )


def verified(inputs: Mapping[str, Input], fetch: Fetch) -> Fetch:
    """The same segments; raises DecodeError, naming the site, for one that is not the one that it signed."""

    def checked(name: str, index: int) -> bytes | bytearray | memoryview:
        piece = fetch(name, index)
        if digest(piece) != inputs[name].segments[index]:
            raise DecodeError(f"segment {index} of {name!r} is not the one that it signed")
        return piece

    return checked


def totals(terms: Terms, inputs: Mapping[str, Input], secrets: Opened, fetch: Fetch) -> Iterator[Array]:
    """The sum's segments in the ring, in their order; one segment of one site is held beside the sum's at a time.

    fetch: gives what was compared with the digests that its site signed: as it arrived, or by `verified`.
    """
    left = leftover(terms, secrets)
    ring, size = masks.ring(terms.bits), next(iter(inputs.values())).commitment.size
    for index, first in enumerate(range(0, size, terms.segment)):
        total = np.zeros(min(terms.segment, size - first), ring)
        for name in sorted(inputs):
            piece = fetch(name, index)
            if len(piece) != total.nbytes:
                raise DecodeError(f"segment {index} of {name!r} has {len(piece)} bytes, where {total.nbytes} belong")
            np.add(total, np.frombuffer(piece, ring), out=total)
        masks.apply(total, left.of(index))
        yield total


def root_of_sum(terms: Terms, survivors: str, segments: Sequence[Digest]) -> Digest:
    """What a sum is known by in the log: its session, its survivors' commitments and the digests of its segments."""
    return digest(canonical([terms.session, survivors, list(segments)]))
