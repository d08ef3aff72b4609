"""Secure sums in this process: every site and the aggregator, by the very state machines that a network runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast, final

import numpy as np

from comity.engine.experiment import Experiment
from comity.privacy import aggregator, masks, messages, site
from comity.privacy.aggregator import ORDER
from comity.privacy.fixed_point import Scale
from comity.privacy.messages import Advertised, Agreed, FromSite, Shared, Survivors, ToSite
from comity.privacy.opening import totals, verified
from comity.privacy.shamir import Random
from comity.privacy.site import SiteState
from comity.privacy.site_dp import SiteDP
from comity.privacy.terms import Bits, Terms
from comity.privacy.vector import Layout, Summed, Vector, read, summed
from comity.values.contribution import Contribution, gather, same_leaves
from comity.values.digest import digest
from comity.values.keys import Identity
from comity.values.seed import derive

FALLS = 3
"""Before its input is in, a site has three messages to fall out at; afterwards it is in the sum."""


@final
@dataclass(frozen=True, kw_only=True)
class Private:
    """How the sites of a sum add noise to it, each a part that would not be enough by itself."""

    dp: SiteDP
    sites: int
    survivors: int
    """How many sites remain to the end, at least."""
    rounds: int

    def scale(self, bits: int, parts: Mapping[str, Contribution]) -> Scale:
        """How the parts, which are alike, are encoded and noised."""
        leaves = Layout.of(next(iter(parts.values()))).leaves
        coordinates = sum(leaf.size for leaf in leaves)
        noise = self.dp.noise(survivors=self.survivors, coordinates=coordinates, rounds=self.rounds)
        return self.dp.scale(noise, bits=bits, sites=self.sites)


@final
@dataclass(frozen=True, kw_only=True)
class MaskedSums:
    """The sums of one round: what `gather` gives, each by a session of its own.

    Masks come from the seed, so that a simulation can be repeated; a network's come from its system's generator.
    """

    scale: Scale
    norm: float | None
    least: int
    names: Sequence[str]
    """The sites that give a contribution, in the order in which they are given."""
    away: Sequence[str] = ()
    """Sites that are selected and fall out, at a message that the seed decides."""
    what: str
    """What is summed, e.g. "round 3"."""
    seed: int
    private: Private | None = None
    """What sites add to what they give; None for nothing."""
    made: list[Summed] = field(default_factory=list[Summed])
    """The sums, as they are made."""

    def add(self, parts: Iterable[Contribution]) -> Contribution:
        """The sum of a contribution of each site."""
        self.made.append(self.session(parts).sum())
        return self.made[-1].total

    def session(self, parts: Iterable[Contribution]) -> Session:
        """The session of the next sum, before its first message."""
        given = dict(zip(self.names, parts, strict=True))
        _check_alike(given)
        what = f"{self.what}, sum {len(self.made) + 1}"
        random = drawn(derive(self.seed, "secure sum", what))
        sites = {name: _party(name, random) for name in sorted((*self.names, *self.away))}
        terms = Terms(
            plan="simulation",
            sum=what,
            roster={name: identity.public for name, identity in sites.items()},
            bits=cast(Bits, self.scale.bits),
            least=self.least,
        )
        return Session(
            terms=terms,
            identities=sites,
            random=random,
            falls={name: derive(self.seed, "falls out", what, name) % FALLS for name in self.away},
            parts=given,
            scale=self.private.scale(self.scale.bits, given) if self.private else self.scale,
            norm=self.norm,
        )


def masked_sums(experiment: Experiment, what: str, names: Sequence[str], away: Sequence[str] = ()) -> MaskedSums | None:
    """How the sums of contributions of these sites are masked; None when the experiment does not ask for it."""
    if (secure := experiment.secure_sum) is None:
        return None
    sites = len(names) + len(away)
    scale = secure.statistics_scale(sites) if experiment.model is None else secure.scale(sites)
    norm = None if experiment.model is None else secure.norm
    private = None
    if (dp := experiment.site_dp) is not None:
        private = Private(dp=dp, sites=sites, survivors=secure.needed(sites), rounds=experiment.rounds)
    return MaskedSums(
        scale=scale,
        norm=norm,
        least=secure.least,
        names=names,
        away=away,
        what=what,
        seed=experiment.seed,
        private=private,
    )


def masked_metrics(experiment: Experiment, what: str, names: Sequence[str]) -> MaskedSums | None:
    """How the sums of these sites' metrics are masked; None when the experiment does not ask for it."""
    if (secure := experiment.secure_sum) is None:
        return None
    secure.needed(len(names))
    scale = secure.metric_scale(len(names))
    return MaskedSums(scale=scale, norm=None, least=secure.least, names=names, what=what, seed=experiment.seed)


def check_fits(experiment: Experiment, contribution: Contribution, *, sites: int, metrics: bool = False) -> None:
    """Raises InvalidInput for a contribution, or metrics, that cannot go into the secure sum of so many sites."""
    if (secure := experiment.secure_sum) is None:
        return
    if metrics:
        scale, norm = secure.metric_scale(sites), None
    elif experiment.model is None:
        scale, norm = secure.statistics_scale(sites), None
    else:
        scale, norm = secure.scale(sites), secure.norm
        if (dp := experiment.site_dp) is not None:
            private = Private(dp=dp, sites=sites, survivors=secure.needed(sites), rounds=experiment.rounds)
            scale = private.scale(secure.bits, {"": contribution})
    Vector(contribution, scale, norm=norm, rounding=b"")


@final
@dataclass(kw_only=True)
class Session:
    """One secure sum from the first message to the last; every message goes through its encoding."""

    terms: Terms
    identities: Mapping[str, Identity]
    random: Random
    falls: Mapping[str, int]
    """The number of the message, from 0, that a site no longer says."""
    parts: Mapping[str, Contribution]
    scale: Scale
    norm: float | None
    states: dict[str, SiteState] = field(default_factory=dict[str, SiteState])
    segments: dict[tuple[str, int], bytes] = field(default_factory=dict[tuple[str, int], bytes])
    """The masked numbers of each site, by its name and their place: all that the aggregator is shown of them."""

    def sum(self) -> Summed:
        """The sum of the parts; raises RoundFailed when too many sites fall out."""
        state, told = aggregator.begin(self.terms), dict[str, ToSite | None].fromkeys(self.terms.names)
        for number in range(len(ORDER) - 1):
            for name, message in told.items():
                if number < self.falls.get(name, len(ORDER)):
                    said = messages.decode(messages.encode(self._said(name, message)))
                    state = aggregator.receive(state, _from_site(said))
            state, replies = aggregator.close(state)
            told = dict[str, ToSite | None](replies)
        layout = Layout.of(next(iter(self.parts.values())))
        secrets = aggregator.unmasking(state)
        fetch = verified(state.inputs, lambda name, index: self.segments[name, index])
        opened = totals(self.terms, state.inputs, secrets, fetch)
        return summed(layout, self.scale, opened, sites=len(state.included))

    def as_shown(self, name: str) -> Contribution:
        """What a site's masked numbers are when they are read as if no mask were on them."""
        layout = Layout.of(self.parts[name])
        shown = [self.segments[name, index] for index in range(-(-layout.size // self.terms.segment))]
        ring = masks.ring(self.terms.bits)
        leaves, _ = read(layout, self.scale, (np.frombuffer(segment, ring) for segment in shown))
        return Contribution(leaves, self.parts[name].weight)

    def _said(self, name: str, told: ToSite | None) -> FromSite:
        identity = self.identities[name]
        if told is None:
            self.states[name], said = site.begin(self.terms, name, identity=identity, random=self.random, begun=())
            return said
        heard: Any = messages.decode(messages.encode(told))
        state = self.states[name]
        match heard:
            case Advertised():
                state, said = site.share(state, heard, identity=identity, random=self.random)
            case Shared():
                state, said = self._masked(state, heard, identity)
            case Survivors():
                state, said = site.agree(state, heard, identity=identity)
            case Agreed():
                state, said = site.answer(state, heard, identity=identity)
            case _:
                raise AssertionError(heard)
        self.states[name] = state
        return said

    def _masked(self, state: SiteState, heard: Shared, identity: Identity) -> tuple[SiteState, FromSite]:
        name, length = state.name, self.terms.segment
        rounding = state.secrets.rounding if state.secrets else b""
        vector = Vector(self.parts[name], self.scale, norm=self.norm, rounding=rounding)
        state = site.mask(
            state, heard, form=vector.layout.form(self.scale, self.terms.session), size=vector.layout.size
        )
        own, digests = site.masks_of(state), list[Any]()
        for index in range(-(-vector.layout.size // length)):
            segment = vector.segment(index, length)
            masks.apply(segment, own.of(index))
            self.segments[name, index] = segment.tobytes()
            digests.append(digest(self.segments[name, index]))
        return site.commit(state, digests, identity=identity)


def drawn(seed: int) -> Random:
    """Bytes that follow from a seed: for simulations, where nothing is secret."""
    stream = masks.keystream(sha256(str(seed).encode()).digest()[:16])
    return lambda count: stream.update(bytes(count))


def _party(name: str, random: Random) -> Identity:
    return Identity.from_bytes(random(64))


def _from_site(message: messages.AnyMessage) -> FromSite:
    if isinstance(message, Advertised | Shared | Survivors | Agreed):
        raise AssertionError(message)
    return message


def _check_alike(parts: Mapping[str, Contribution]) -> None:
    """Raises InvalidInput unless all have the same arrays, which sites of a network compare by their form's digest."""
    kinds = [_kinds(part) for part in parts.values()]
    for other in kinds[1:]:
        same_leaves(kinds[0], other)


def _kinds(part: Contribution) -> dict[str, tuple[type, tuple[int, ...]]]:
    if not isinstance(part, Contribution):  # pyright: ignore[reportUnnecessaryIsInstance]
        gather((part,))  # which says what is wrong
    return {leaf.path: (np.float64 if leaf.floats else np.int64, leaf.shape) for leaf in Layout.of(part).leaves}
