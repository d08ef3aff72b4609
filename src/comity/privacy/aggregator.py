"""The aggregator's part of a secure sum: it collects what sites say, phase by phase, and opens their sum.

When a phase is over is the caller's decision; what comes afterwards is late. The aggregator is trusted for nothing
but that it does its work: what it could do wrong, sites refuse (`comity.privacy.site`) or an audit shows
(`comity.privacy.audit`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias, final, get_args

import msgspec
from msgspec import structs

from comity.privacy import messages, shamir
from comity.privacy.messages import (
    Advertise,
    Advertised,
    Agreed,
    Agreement,
    Commitment,
    FromSite,
    Input,
    Opening,
    Shared,
    Sharing,
    Survivors,
    ToSite,
)
from comity.privacy.opening import Opened, opened
from comity.privacy.site import root_of, sharing_digest
from comity.privacy.terms import Name, Terms
from comity.values.errors import Conflict, DecodeError, RoundFailed
from comity.values.keys import sealing_key

Phase: TypeAlias = Literal["advertising", "sharing", "masking", "agreeing", "opening", "opened"]

PHASES: dict[Phase, type[FromSite] | None] = {
    "advertising": Advertise,
    "sharing": Sharing,
    "masking": Input,
    "agreeing": Agreement,
    "opening": Opening,
    "opened": None,
}
"""The phases in their order, and what each collects."""

ORDER: tuple[Phase, ...] = get_args(Phase)


@final
class Aggregation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a sum stands at its aggregator. Nothing in it is a secret of a site that is in the sum."""

    terms: Terms
    phase: Phase = "advertising"
    advertised: dict[Name, Advertise] = {}
    shared: dict[Name, Sharing] = {}
    inputs: dict[Name, Input] = {}
    """Of those who survived, once masking is over."""
    agreed: dict[Name, Agreement] = {}
    openings: dict[Name, Opening] = {}

    @property
    def commitments(self) -> tuple[Commitment, ...]:
        """Of the survivors, in the order of names."""
        return tuple(self.inputs[name].commitment for name in sorted(self.inputs))

    @property
    def included(self) -> tuple[str, ...]:
        """The survivors, in the order of names."""
        return tuple(sorted(self.inputs))

    @property
    def dropped(self) -> tuple[str, ...]:
        """Those who shared and gave no input, in the order of names."""
        return tuple(sorted(self.shared.keys() - self.inputs.keys()))


_STATES = msgspec.json.Decoder(Aggregation)


def to_bytes(state: Aggregation) -> bytes:
    """The state, to be stored."""
    return msgspec.json.encode(state)


def from_bytes(data: bytes) -> Aggregation:
    """The state that `to_bytes` wrote; raises DecodeError for anything else."""
    try:
        return _STATES.decode(data)
    except msgspec.MsgspecError as error:
        raise DecodeError(f"this is no state of a secure sum: {error}") from error


COLLECTED: dict[Phase, str] = {
    "advertising": "advertised",
    "sharing": "shared",
    "masking": "inputs",
    "agreeing": "agreed",
    "opening": "openings",
}
"""Where it is kept."""


def begin(terms: Terms) -> Aggregation:
    """The first state."""
    return Aggregation(terms=terms)


def receive(state: Aggregation, message: FromSite) -> Aggregation:
    """With what a site says. The same message again changes nothing.

    Raises DecodeError for what is forged, malformed or of another session, Conflict for what is late, early, or
    another than the same site said before.
    """
    messages.check_session(message, state.terms)
    name = message.commitment.sender if isinstance(message, Input) else message.sender
    state.terms.keys(name)
    phase: Phase = next(each for each in ORDER if type(message) is PHASES[each])
    if phase != state.phase:
        when = "late" if ORDER.index(phase) < ORDER.index(state.phase) else "early"
        raise Conflict(f"what {name!r} says is {when}: the sum is at {state.phase!r}, this is for {phase!r}")
    before = collected(state)
    if name in before:
        if before[name] == message:
            return state
        raise Conflict(f"{name!r} has said something else in this phase before")
    _check(state, message)
    return structs.replace(state, **{COLLECTED[phase]: {**before, name: message}})


def collected(state: Aggregation) -> Mapping[str, FromSite]:
    """What this phase has collected so far, by site; nothing once the sum is opened."""
    return getattr(state, COLLECTED[state.phase]) if state.phase in COLLECTED else {}


def asked(state: Aggregation) -> tuple[str, ...]:
    """Who was asked for what this phase collects."""
    before: Mapping[Phase, Iterable[str]] = {
        "advertising": state.terms.names,
        "sharing": state.advertised,
        "masking": state.shared,
        "agreeing": state.inputs,
        "opening": state.agreed,
        "opened": (),
    }
    return tuple(sorted(before[state.phase]))


def close(state: Aggregation) -> tuple[Aggregation, Mapping[str, ToSite]]:
    """The next phase, and what to tell which site; raises RoundFailed when too few sites are left."""
    terms = state.terms
    match state.phase:
        case "advertising":
            _check_enough(terms, state.advertised, terms.cohort)
            told = Advertised(session=terms.session, advertised=_in_order(state.advertised))
            return _next(state), dict.fromkeys(sorted(state.advertised), told)
        case "sharing":
            _check_enough(terms, state.shared, terms.cohort)
            return _next(state), {name: _shared(state, name) for name in sorted(state.shared)}
        case "masking":
            state = structs.replace(state, inputs=_alike(state.inputs))
            _check_enough(terms, state.inputs, terms.cohort)
            told = Survivors(session=terms.session, commitments=state.commitments)
            return _next(state), dict.fromkeys(state.included, told)
        case "agreeing":
            _check_enough(terms, state.agreed, terms.threshold)
            told = Agreed(session=terms.session, agreements=_in_order(state.agreed))
            return _next(state), dict.fromkeys(sorted(state.agreed), told)
        case "opening":
            unmasking(state)
            return _next(state), {}
        case "opened":
            raise Conflict("this sum is opened; nothing follows")


def unmasking(state: Aggregation) -> Opened:
    """The secrets that the shares open: survivors' seeds and the others' masking keys, each as it was advertised."""
    return opened(
        state.terms,
        advertised=_in_order(state.advertised),
        survivors=state.included,
        dropped=state.dropped,
        openings=_in_order(state.openings),
    )


def _check(state: Aggregation, message: FromSite) -> None:
    match message:
        case Advertise():
            messages.check(message, state.terms)
            for key in (message.sealing, message.masking):
                sealing_key(key)
        case Sharing():
            _check_sharing(state, message)
        case Input():
            _check_input(state, message)
        case Agreement():
            messages.check(message, state.terms)
            if message.sender not in state.inputs or message.survivors != messages.digest_of(*state.commitments):
                raise DecodeError(f"{message.sender!r} agrees to other survivors than these")
        case Opening():
            messages.check(message, state.terms)
            odd = message.seeds.keys() - state.inputs.keys() or message.keys.keys() - set(state.dropped)
            if message.sender not in state.agreed or odd:
                raise DecodeError(f"{message.sender!r} opens shares that nobody asked it for")
            for each in [*message.seeds.values(), *message.keys.values()]:
                shamir.number(each)


def _check_sharing(state: Aggregation, message: Sharing) -> None:
    keepers = [name for name in state.terms.keepers if name in state.advertised and name != message.sender]
    seen = messages.digest_of(*_in_order(state.advertised))
    if message.sender not in state.advertised or [each.recipient for each in message.shares] != keepers:
        raise DecodeError(f"{message.sender!r} does not share with each who advertised, in their order")
    for each in message.shares:
        messages.check(each, state.terms)
        if each.sender != message.sender or each.advertised != seen:
            raise DecodeError(f"{message.sender!r} passes on what another shared, or was shown other keys")


def _check_input(state: Aggregation, message: Input) -> None:
    commitment, terms = message.commitment, state.terms
    messages.check(commitment, terms)
    if commitment.sender not in state.shared:
        raise DecodeError(f"{commitment.sender!r} has not shared, so that its mask could not be taken off")
    if commitment.sharing != sharing_digest(_in_order(state.advertised), sorted(state.shared)):
        raise DecodeError(f"{commitment.sender!r} masked with other sites than these")
    count = -(-commitment.size // terms.segment)
    if len(message.segments) != count or commitment.root != root_of([*message.segments]):  # pyright: ignore
        raise DecodeError(f"the segments of {commitment.sender!r} are not those that it signed")


def _shared(state: Aggregation, name: str) -> Shared:
    senders = sorted(state.shared.keys() - {name})
    mine = [each for sender in senders for each in state.shared[sender].shares if each.recipient == name]
    return Shared(session=state.terms.session, names=tuple(sorted(state.shared)), shares=tuple(mine))


def _alike(inputs: Mapping[str, Input]) -> dict[str, Input]:
    """Those of the form and size that most have, of the first by name where no more have others."""
    forms = Counter((inputs[name].commitment.form, inputs[name].commitment.size) for name in sorted(inputs))
    most = forms.most_common(1)
    return {name: each for name, each in inputs.items() if (each.commitment.form, each.commitment.size) == most[0][0]}


def _in_order(said: Mapping[str, messages.S]) -> tuple[messages.S, ...]:
    return tuple(said[name] for name in sorted(said))


def _next(state: Aggregation) -> Aggregation:
    return structs.replace(state, phase=ORDER[ORDER.index(state.phase) + 1])


def _check_enough(terms: Terms, said: Mapping[str, object], least: int) -> None:
    if (left := terms.counted(tuple(said))) < least:
        raise RoundFailed(f"{left} of {len(terms.keepers)} sites remain in this secure sum, but the least is {least}")
