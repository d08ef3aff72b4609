"""A site's part of a secure sum: protocol SA-1, that of Bonawitz et al. (CCS 2017, figure 4) with signed keys.

Rules:

1. Every function takes the state and a message and gives the next state, with what the site says. **The caller
   stores the state before it sends what was said**, and sends it again, not anew, when it must be repeated.
2. A sum is begun once, by one set of terms: a second one of the same part with other survivors would tell the
   difference.
3. One input is masked in a session: two under one mask would tell their difference. After a crash the same input is
   masked again, by the same state.
4. A site agrees to one set of survivors, and opens its shares only once enough others have agreed to the same: for
   each site the share of its seed or that of its masking key, never both, and once.
5. What is refused raises and leaves the state as it was.

Random bytes are handed in, but for the ephemeral keys of HPKE, which `cryptography` draws from the system itself.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import pairwise
from typing import Annotated, Literal, TypeAlias, final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Meta, structs

from comity.privacy import masks, messages, shamir
from comity.privacy.masks import Masks
from comity.privacy.messages import (
    Advertise,
    Advertised,
    Agreed,
    Agreement,
    Bytes32,
    Commitment,
    Input,
    Opening,
    Share,
    Shared,
    Sharing,
    Survivors,
)
from comity.privacy.shamir import Random
from comity.privacy.terms import PROTOCOL, Name, Terms, canonical
from comity.values.digest import Digest, digest
from comity.values.errors import Conflict, DecodeError, InvalidInput, RoundFailed
from comity.values.keys import SUITE, Identity, sealing_key

Step: TypeAlias = Literal["advertised", "shared", "masking", "masked", "agreed", "opened"]

STEPS: dict[Step, tuple[str, Step]] = {
    "advertised": ("Advertised", "shared"),
    "shared": ("Shared", "masking"),
    "masking": ("its own segments", "masked"),
    "masked": ("Survivors", "agreed"),
    "agreed": ("Agreed", "opened"),
}
"""What a site waits for at each step, and the step that follows. Nothing follows "opened"."""


@final
class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What only the site knows; gone once its shares are opened."""

    sealing: Bytes32
    masking: Bytes32
    seed: Bytes32
    rounding: Bytes32
    """Of the draws that round its numbers, so that they are rounded alike when masked again."""

    def __repr__(self) -> str:
        return "Secrets(...)"


@final
class SiteState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a site stands in a session. Secret: stored where only the site can read it."""

    terms: Terms
    name: Name
    step: Step
    secrets: Secrets | None
    advertised: tuple[Advertise, ...]
    """Its own advertisement at first, then everybody's."""
    shares: dict[Name, tuple[Bytes32, Bytes32]] = {}
    """For each site its shares of the seed and of the masking key that this one keeps."""
    names: tuple[Name, ...] = ()
    """Who has shared."""
    form: str = ""
    size: Annotated[int, Meta(ge=0)] = 0
    commitment: Commitment | None = None
    survivors: tuple[Name, ...] = ()
    agreement: Agreement | None = None
    answer: Opening | None = None

    def __repr__(self) -> str:
        return f"SiteState({self.name!r}, {self.step!r})"


_STATES = msgspec.json.Decoder(SiteState)


def to_bytes(state: SiteState) -> bytes:
    """The state, to be stored."""
    return msgspec.json.encode(state)


def from_bytes(data: bytes) -> SiteState:
    """The state that `to_bytes` wrote; raises DecodeError for anything else."""
    try:
        return _STATES.decode(data)
    except msgspec.MsgspecError as error:
        raise DecodeError(f"this is no state of a secure sum: {error}") from error


def begin(
    terms: Terms, name: str, *, identity: Identity, random: Random, begun: Container[tuple[str, str]]
) -> tuple[SiteState, Advertise]:
    """The first state, with fresh keys.

    begun: plan and name of all sums that this site has begun before, by whatever terms. They are refused with
    Conflict, and the caller adds this one as it stores the state.
    """
    if terms.keys(name) != identity.public:
        raise InvalidInput(f"the roster has other keys for {name!r} than its own")
    if (terms.plan, terms.sum) in begun:
        raise Conflict(f"the secure sum {terms.sum!r} of {terms.plan!r} was begun before; a site takes part in it once")
    secrets = Secrets(
        sealing=random(32), masking=_scalar(random), seed=shamir.element(random), rounding=shamir.element(random)
    )
    advertise = messages.signed(_advertise(terms, name, secrets), identity)
    return (
        SiteState(terms=terms, name=name, step="advertised", secrets=secrets, advertised=(advertise,)),
        advertise,
    )


def share(state: SiteState, message: Advertised, *, identity: Identity, random: Random) -> tuple[SiteState, Sharing]:
    """Shares of both secrets for every keeper that has advertised, once all advertisements hold."""
    secrets, terms = _at(state, "advertised", message), state.terms
    names = _ascending([each.sender for each in message.advertised])
    _check_enough(terms, names)
    for each in message.advertised:
        messages.check(each, terms)
        for key in (each.sealing, each.masking):
            sealing_key(key)
    if state.advertised[0] not in message.advertised:
        raise DecodeError("the aggregator shows other keys for this site than its own")
    keepers = {each.sender: each for each in message.advertised if each.sender in terms.keepers}
    places = {terms.place(name): name for name in keepers}
    seeds = shamir.split(secrets.seed, terms.threshold, list(places), random)
    keys = shamir.split(secrets.masking, terms.threshold, list(places), random)
    kept = {name: (seeds[place], keys[place]) for place, name in places.items()}
    seen = messages.digest_of(*message.advertised)
    shares = tuple(
        messages.signed(_sealed(terms, state.name, keepers[name], seen, kept[name]), identity)
        for name in keepers
        if name != state.name
    )
    own_shares = {state.name: kept[state.name]} if state.name in kept else {}
    after = structs.replace(state, step="shared", advertised=message.advertised, shares=own_shares)
    return after, Sharing(session=terms.session, sender=state.name, shares=shares)


def mask(state: SiteState, message: Shared, *, form: Digest, size: int) -> SiteState:
    """The state that masks: with those who have shared, an input of this form and of `size` coordinates.

    A share that does not open is its sender's fault, and the site does without it.
    """
    secrets, terms = _at(state, "shared", message), state.terms
    names = _ascending(message.names)
    _check_enough(terms, names)
    if state.name not in names or not {each.sender for each in state.advertised}.issuperset(names):
        raise DecodeError("the aggregator names sites that cannot have shared, or leaves out this one")
    theirs = [name for name in names if name != state.name] if state.name in terms.keepers else []
    if [each.sender for each in message.shares] != theirs:
        raise DecodeError("the shares for this site are not those of all who have shared, in their order")
    seen, shares = messages.digest_of(*state.advertised), dict(state.shares)
    key = X25519PrivateKey.from_private_bytes(secrets.sealing)
    for each in message.shares:
        messages.check(each, terms)
        if each.recipient != state.name or each.advertised != seen:
            raise DecodeError(f"a share by {each.sender!r} is for another site, or for other keys than were shown here")
        if (opened := _opened(terms, each, key)) is not None:
            shares[each.sender] = opened
    return structs.replace(state, step="masking", names=names, shares=shares, form=form, size=size)


def masks_of(state: SiteState) -> Masks:
    """The masks of this site's input: its own, and one with each other site that has shared."""
    secrets = _at(state, "masking")
    theirs = {each.sender: each.masking for each in state.advertised if each.sender in state.names}
    return Masks(
        session=state.terms.session,
        own=[(state.name, secrets.seed, 1)],
        pairs=[
            (state.name, name, masks.shared_secret(secrets.masking, public), sign(state.name, name))
            for name, public in theirs.items()
            if name != state.name
        ],
    )


def sign(site: str, other: str) -> int:
    """Whether a site adds the mask it shares with another (+1) or takes it off (-1); opposite for the other."""
    return 1 if site < other else -1


def commit(state: SiteState, segments: Sequence[Digest], *, identity: Identity) -> tuple[SiteState, Input]:
    """The signed digest of the masked input. segments: the digest of each masked segment, in order."""
    _at(state, "masking")
    if len(segments) != -(-state.size // state.terms.segment):
        raise InvalidInput(f"an input of {state.size} coordinates has not {len(segments)} segments")
    commitment = Commitment(
        session=state.terms.session,
        sender=state.name,
        sharing=sharing_digest(state.advertised, state.names),
        form=state.form,
        size=state.size,
        root=root_of(segments),
    )
    made = messages.signed(commitment, identity)
    message = Input(session=state.terms.session, commitment=made, segments=tuple(segments))
    return structs.replace(state, step="masked", commitment=made), message


def agree(state: SiteState, message: Survivors, *, identity: Identity) -> tuple[SiteState, Agreement]:
    """That the sum is of these inputs and no others; refused unless this site's own is among them, as it was."""
    _at(state, "masked", message)
    terms, commitment = state.terms, state.commitment
    names = _ascending([each.sender for each in message.commitments])
    _check_enough(terms, names)
    if commitment is None or commitment not in message.commitments or not set(state.names).issuperset(names):
        raise DecodeError("the aggregator names survivors that never shared, or not this site's input as it was")
    for each in message.commitments:
        messages.check(each, terms)
        if (each.sharing, each.form, each.size) != (commitment.sharing, commitment.form, commitment.size):
            raise DecodeError(f"{each.sender!r} was shown other sites, or gave another form, than this site")
    survivors = messages.digest_of(*message.commitments)
    said = messages.signed(Agreement(session=terms.session, sender=state.name, survivors=survivors), identity)
    return structs.replace(state, step="agreed", survivors=names, agreement=said), said


def answer(state: SiteState, message: Agreed, *, identity: Identity) -> tuple[SiteState, Opening]:
    """The site's shares, once: of survivors' seeds and of the others' keys. Its secrets are gone from the new state."""
    _at(state, "agreed", message)
    terms, agreed = state.terms, state.agreement
    names = _ascending([each.sender for each in message.agreements])
    for each in message.agreements:
        messages.check(each, terms)
        if agreed is None or each.sender not in state.survivors or each.survivors != agreed.survivors:
            raise DecodeError(f"{each.sender!r} agreed to other survivors than this site")
    if terms.counted(names) < terms.threshold:
        raise RoundFailed(f"{terms.counted(names)} sites agree on who survived, but {terms.threshold} must")
    opening = Opening(
        session=terms.session,
        sender=state.name,
        seeds={name: state.shares[name][0] for name in state.survivors if name in state.shares},
        keys={
            name: state.shares[name][1] for name in state.names if name not in state.survivors and name in state.shares
        },
    )
    said = messages.signed(opening, identity)
    return structs.replace(state, step="opened", secrets=None, shares={}, answer=said), said


def seed_digest(session: Digest, name: str, seed: bytes) -> Digest:
    """What a site advertises of the seed of its own mask."""
    return digest(canonical([PROTOCOL, "seed", session, name]) + seed)


def sharing_digest(advertised: Sequence[Advertise], names: Sequence[str]) -> Digest:
    """What the advertisements, and who of them has shared, are known by."""
    return digest(canonical([messages.digest_of(*advertised), list(names)]))


def root_of(segments: Sequence[Digest]) -> Digest:
    """What a list of digests is known by."""
    return digest(canonical(list(segments)))


def seal_context(terms: Terms, sender: str, recipient: str, seen: str) -> bytes:
    """What binds sealed shares to their session, way and keys."""
    return canonical([PROTOCOL, terms.session, sender, recipient, seen])


def _advertise(terms: Terms, name: str, secrets: Secrets) -> Advertise:
    return Advertise(
        session=terms.session,
        sender=name,
        sealing=X25519PrivateKey.from_private_bytes(secrets.sealing).public_key().public_bytes_raw(),
        masking=X25519PrivateKey.from_private_bytes(secrets.masking).public_key().public_bytes_raw(),
        seed=seed_digest(terms.session, name, secrets.seed),
    )


def _sealed(terms: Terms, sender: str, to: Advertise, seen: Digest, shares: tuple[bytes, bytes]) -> Share:
    context = seal_context(terms, sender, to.sender, seen)
    sealed = SUITE.encrypt(b"".join(shares), sealing_key(to.sealing), context)
    return Share(session=terms.session, sender=sender, recipient=to.sender, advertised=seen, sealed=sealed)


def _opened(terms: Terms, share: Share, key: X25519PrivateKey) -> tuple[bytes, bytes] | None:
    context = seal_context(terms, share.sender, share.recipient, share.advertised)
    try:
        opened = SUITE.decrypt(share.sealed, key, context)
        made = shamir.checked(opened[:32]), shamir.checked(opened[32:])
    except (InvalidTag, ValueError):
        return None
    return made


def _scalar(random: Random) -> bytes:
    """An X25519 private key as RFC 7748 clamps it, below the field in which it is shared."""
    while True:
        drawn = bytearray(random(32))
        drawn[0] &= 248
        drawn[31] = drawn[31] & 127 | 64
        if int.from_bytes(drawn, "little") < shamir.P:
            return bytes(drawn)


def _at(state: SiteState, step: Step, message: messages.Message | None = None) -> Secrets:
    if state.step != step or state.secrets is None:
        raise Conflict(f"this site's step is {state.step!r}, where it cannot do what follows {step!r}; it does so once")
    if message is not None:
        messages.check_session(message, state.terms)
    return state.secrets


def _ascending(names: Sequence[str]) -> tuple[str, ...]:
    if any(one >= other for one, other in pairwise(names)):
        raise DecodeError("the aggregator's list is not in the order of names, each once")
    return tuple(names)


def _check_enough(terms: Terms, names: tuple[str, ...]) -> None:
    if terms.counted(names) < terms.cohort:
        raise RoundFailed(f"{terms.counted(names)} sites remain in this secure sum, but the least is {terms.cohort}")
