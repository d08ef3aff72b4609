"""All parties of a secure sum in one place, with somebody on the way who may change, hold back or repeat messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest

from comity.privacy import aggregator, masks, messages, site
from comity.privacy.messages import Advertised, Agreed, Shared, Survivors
from comity.privacy.opening import totals, verified
from comity.privacy.site import SiteState
from comity.privacy.terms import Terms
from comity.values.digest import digest
from comity.values.keys import Identity, PublicKeys

NAMES = [f"site{number:02}" for number in range(40)]
FORM = digest(b"a vector")
SAYS = 5
"""How many messages a site says."""

Way = Callable[[str, Any], Any]
"""Gives what arrives of a message that this site says or hears."""


@cache
def identity(name: str) -> Identity:
    return Identity.from_bytes((name.encode() * 64)[:64])


def drawn(seed: int) -> Callable[[int], bytes]:
    return np.random.default_rng(seed).bytes


@dataclass
class Parties:
    """n sites with vectors of uniform elements of the ring, and an aggregator."""

    sites: int
    bits: int = 32
    size: int = 5
    segment: int = 2
    least: int = 3
    own: str = ""
    seed: int = 0
    sum: str = "round 1"
    way: Way = lambda name, message: message
    states: dict[str, SiteState] = field(default_factory=dict)
    sent: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = NAMES[: self.sites]
        self.terms = Terms(
            plan="plan",
            sum=self.sum,
            roster={name: identity(name).public for name in self.names},
            bits=self.bits,
            segment=self.segment,
            least=self.least,
            own=self.own,
        )
        self.random = drawn(self.seed)
        ring = masks.ring(self.bits)
        self.inputs = {name: np.frombuffer(self.random(self.size * ring.itemsize), ring) for name in self.names}
        self.aggregation = aggregator.begin(self.terms)

    def expected(self, included) -> list[int]:
        """The oracle: Python's own integers, modulo 2^bits."""
        return [sum(int(self.inputs[name][at]) for name in included) % 2**self.bits for at in range(self.size)]

    def says(self, name: str, heard: Any) -> Any:
        """What a site says to what it hears; None is the beginning."""
        own, state = identity(name), self.states.get(name)
        match heard:
            case None:
                state, said = site.begin(self.terms, name, identity=own, random=self.random, begun=())
            case Advertised():
                state, said = site.share(state, heard, identity=own, random=self.random)
            case Shared():
                state = site.mask(state, heard, form=FORM, size=self.size)
                layers = site.masks_of(state)
                digests = [self.masked(name, layers, index) for index in range(-(-self.size // self.segment))]
                state, said = site.commit(state, digests, identity=own)
            case Survivors():
                state, said = site.agree(state, heard, identity=own)
            case Agreed():
                state, said = site.answer(state, heard, identity=own)
        self.states[name] = state
        return said

    def masked(self, name: str, layers: masks.Masks, index: int) -> str:
        begin = index * self.segment
        segment = self.inputs[name][begin : begin + self.segment].copy()
        masks.apply(segment, layers.of(index))
        self.sent[name, index] = segment.tobytes()
        return digest(self.sent[name, index])

    def begin(self, *gone: str) -> None:
        """Every site advertises, but for those that are gone."""
        self.hear({name: None for name in self.names if name not in gone})

    def hear(self, told: Mapping[str, Any]) -> None:
        """The sites hear what they are told, and the aggregator what they say to it."""
        for name, heard in told.items():
            said = self.says(name, heard if heard is None else self.way(name, heard))
            if (arrived := self.way(name, said)) is not None:
                self.aggregation = aggregator.receive(self.aggregation, arrived)

    def close(self, *gone: str) -> dict[str, Any]:
        """End a phase; gives what is told to the sites that are not gone."""
        self.aggregation, told = aggregator.close(self.aggregation)
        return {name: messages.decode(messages.encode(each)) for name, each in told.items() if name not in gone}

    def until(self, phase: str, **falls: int) -> Parties:
        """The parties, as far as this phase, in which nobody has said anything yet."""
        told: dict[str, Any] = dict.fromkeys(self.names)
        for number in range(SAYS):
            if self.aggregation.phase == phase:
                self.told = told
                return self
            self.hear({name: each for name, each in told.items() if falls.get(name, SAYS) > number})
            told = self.close()
        return self

    def total(self) -> list[int]:
        """The sum, after all phases."""
        secrets = aggregator.unmasking(self.aggregation)
        inputs = self.aggregation.inputs
        opened = totals(self.terms, inputs, secrets, verified(inputs, lambda name, index: self.sent[name, index]))
        return [int(each) for each in np.concatenate(list(opened))]

    def run(self, falls: Mapping[str, int] | None = None) -> list[int]:
        """The sum, when each site falls out before it says the message of its number, if it does."""
        self.until("opened", **(falls or {}))
        return self.total()


@pytest.fixture(scope="session")
def parties() -> type[Parties]:
    return Parties


@pytest.fixture
def signed_here(monkeypatch) -> None:
    """What an identity of this process has signed, of just this, is not verified again: that takes most of the time."""
    sign, verify, signed = Identity.sign, PublicKeys.verify, set[tuple[str, str, bytes, bytes]]()
    signing = {identity(name).signing: identity(name).public.signing for name in NAMES}

    def signs(own: Identity, purpose: Any, message: bytes) -> bytes:
        signature = sign(own, purpose, message)
        signed.add((signing[own.signing], purpose, message, signature))
        return signature

    def verifies(keys: PublicKeys, purpose: Any, message: bytes, signature: bytes) -> None:
        if (keys.signing, purpose, message, signature) not in signed:
            verify(keys, purpose, message, signature)

    monkeypatch.setattr(Identity, "sign", signs)
    monkeypatch.setattr(PublicKeys, "verify", verifies)
