"""Checks that hold for the protocol as it is, and fail for each of the mistakes that others have made."""

import hashlib
import hmac
from functools import partial

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec.structs import replace

from comity.privacy import masks, messages, site
from comity.privacy.messages import Agreed, Agreement, Opening, Survivors
from comity.values.errors import Conflict, DecodeError, RoundFailed
from comity.values.keys import Identity

ATTACKER = Identity.from_bytes(b"attacker" * 8)


def identity(name):
    return Identity.from_bytes((name.encode() * 64)[:64])


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with HMAC-SHA256, no salt, 16 bytes: written out."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")[:16]


def counted(key: bytes, count: int) -> bytes:
    """AES in counter mode from zero, block by block."""
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return b"".join(cipher.update(block.to_bytes(16, "big")) for block in range(-(-count // 16)))[:count]


def check_masks_are_those_of_their_keys(parties):
    """Site 1's masked input, from the secrets, by integers: y = x + own + pair with the next - pair with the first."""
    for bits in (16, 32, 64):
        made = parties(3, bits=bits, size=5, segment=2).until("masking")
        secrets = made.states["site01"].secrets
        made.says("site01", made.told["site01"])
        for segment in range(3):
            sent, size = made.sent["site01", segment], bits // 8
            session, x = made.terms.session, made.inputs["site01"][2 * segment :][:2]
            shared = {n: montgomery(secrets.masking, made.aggregation.advertised[n].masking) for n in made.names}
            own = elements(secrets.seed, f'["own","{session}","site01",{segment}]', size)
            before = elements(shared["site00"], f'["pair","{session}","site00","site01",{segment}]', size)
            after = elements(shared["site02"], f'["pair","{session}","site01","site02",{segment}]', size)
            wanted = [(int(x[i]) + own[i] + after[i] - before[i]) % 2**bits for i in range(len(x))]
            assert [int.from_bytes(sent[i : i + size], "little") for i in range(0, len(sent), size)] == wanted


def elements(secret: bytes, use: str, size: int) -> list[int]:
    """Two elements of a mask."""
    drawn = counted(hkdf(secret, use.encode()), 2 * size)
    return [int.from_bytes(drawn[:size], "little"), int.from_bytes(drawn[size:], "little")]


def montgomery(scalar: bytes, point: bytes) -> bytes:
    """X25519 as RFC 7748, section 5, writes it down."""
    p, a24 = 2**255 - 19, 121665
    k = int.from_bytes(scalar, "little") & ~7 & ~(1 << 255) | 1 << 254
    x1 = int.from_bytes(point, "little") % 2**255
    x2, z2, x3, z3 = 1, 0, x1, 1
    for bit in reversed(range(255)):
        if k >> bit & 1:
            x2, x3, z2, z3 = x3, x2, z3, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % p, c * b % p, a * a % p, b * b % p
        x3, z3, x2 = (da + cb) ** 2 % p, x1 * (da - cb) ** 2 % p, aa * bb % p
        z2 = (aa - bb) * (aa + a24 * (aa - bb)) % p
        if k >> bit & 1:
            x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, -1, p) % p).to_bytes(32, "little")


def check_no_two_masks_are_alike(parties, monkeypatch):
    """Over two sessions, every site's own mask and every pair's, in every segment, has a key of its own."""
    used, keystream = [], masks.keystream
    with monkeypatch.context() as patch:
        patch.setattr(masks, "keystream", lambda key: used.append(key) or keystream(key))
        for number in (1, 2):
            parties(4, size=6, segment=2, sum=f"round {number}", seed=number).until("agreeing")
    times = [used.count(key) for key in set(used)]
    assert sorted(times) == [1] * (2 * 3 * 4) + [2] * (2 * 3 * 6)  # a pair's key is used by both


def check_every_element_of_the_ring_can_be_a_mask(parties, monkeypatch):
    """A keystream of ones adds 2^bits - 1: it is not reduced."""

    class Ones:
        def update_into(self, data, buffer):
            buffer[: len(data)] = b"\xff" * len(data)
            return len(data)

    for bits in (16, 32, 64):
        segment = np.zeros(3, masks.ring(bits))
        with monkeypatch.context() as patch:
            patch.setattr(masks, "keystream", lambda key: Ones())
            masks.apply(segment, [(bytes(16), 1)])
        assert [int(each) for each in segment] == [2**bits - 1] * 3


def check_masked_zeros_look_uniform(parties):
    """Pearson's chi-squared over the bytes of one site's masked input of zeros: 255 degrees of freedom, 99.99 % below
    347."""
    made = parties(4, size=50_000, segment=20_000)
    made.inputs = {name: np.zeros(made.size, np.uint32) for name in made.names}
    made.until("agreeing")
    sent = b"".join(made.sent["site01", index] for index in range(3))
    seen = np.bincount(np.frombuffer(sent, np.uint8), minlength=256)
    assert ((seen - len(sent) / 256) ** 2 / (len(sent) / 256)).sum() < 347


def refused(made, name, message, match, error=DecodeError):
    before = made.states[name]
    with pytest.raises(error, match=match):
        made.says(name, message)
    assert made.states[name] is before


def check_equivocating_about_survivors_opens_nothing(parties):
    """Four of five sites agree to one set of survivors, one is shown another."""
    made = parties(5).until("agreeing")
    commitments, session = made.told["site00"].commitments, made.terms.session
    shown = {name: commitments[: 4 if name == "site00" else 5] for name in made.names}
    said = {name: made.says(name, Survivors(session=session, commitments=shown[name])) for name in made.names}
    for name in made.names:
        everybody = Agreed(session=session, agreements=tuple(said.values()))
        refused(made, name, everybody, "agreed to other survivors than this site")
    alone = Agreed(session=session, agreements=(said["site00"],))
    refused(made, "site00", alone, "1 sites agree on who survived, but 4 must", RoundFailed)
    like = [Agreement(session=session, sender=name, survivors=said["site00"].survivors) for name in made.names[:4]]
    forged = Agreed(session=session, agreements=tuple(messages.signed(each, ATTACKER) for each in like))
    refused(made, "site00", forged, "is not that of the key")


def check_never_both_shares(parties):
    made = parties(7).until("opening", site05=2, site06=2)
    for name, heard in made.told.items():
        opening = made.says(name, heard)
        assert set(opening.seeds) == {"site00", "site01", "site02", "site03", "site04"}
        assert set(opening.keys) == {"site05", "site06"}


def check_shares_are_opened_once(parties):
    made = parties(5).until("opening")
    said = made.says("site00", made.told["site00"])
    refused(made, "site00", made.told["site00"], "it does so once", Conflict)
    assert made.states["site00"].answer == said  # kept, to be sent again


CHECKS = [
    check_masks_are_those_of_their_keys,
    check_no_two_masks_are_alike,
    check_every_element_of_the_ring_can_be_a_mask,
    check_masked_zeros_look_uniform,
    check_equivocating_about_survivors_opens_nothing,
    check_never_both_shares,
    check_shares_are_opened_once,
]


def run(check, parties, monkeypatch):
    """A check that needs to look inside is given the means."""
    takes = check.__code__.co_varnames[: check.__code__.co_argcount]
    (partial(check, monkeypatch=monkeypatch) if "monkeypatch" in takes else check)(parties)


@pytest.mark.parametrize("check", CHECKS)
def test_the_protocol_as_it_is(check, parties, monkeypatch):
    run(check, parties, monkeypatch)


apply, answer, derived = masks.apply, site.answer, masks.derived


def reduced(segment, added):
    """Masks modulo a prime, as if the ring were a field."""
    p = 2 ** (8 * segment.itemsize) - 5
    for key, sign in added:
        drawn = np.zeros_like(segment)
        apply(drawn, [(key, 1)])
        segment += (drawn % p if sign > 0 else -(drawn % p)).astype(segment.dtype)


def without_consistency(state, message, *, identity):
    """Shares for whoever the site was told survived, though nobody else agreed."""
    names = state.survivors if state.agreement else ()
    like = [Agreement(session=state.terms.session, sender=n, survivors=state.agreement.survivors) for n in names]
    signed = tuple(messages.signed(each, _identity(each.sender)) for each in like)
    return answer(state, replace(message, agreements=signed), identity=identity)


def both_shares(state, message, *, identity):
    after, said = answer(state, message, identity=identity)
    opening = Opening(
        session=said.session,
        sender=said.sender,
        seeds={name: shares[0] for name, shares in state.shares.items()},
        keys={name: shares[1] for name, shares in state.shares.items()},
    )
    return after, messages.signed(opening, identity)


def again_and_again(state, message, *, identity):
    _, said = answer(state, message, identity=identity)
    return state, said


_identity = identity

MUTATIONS = {
    "the mask key is constant": (
        (masks, "derived", lambda secret, use: bytes(16)),
        {"check_masks_are_those_of_their_keys", "check_no_two_masks_are_alike"},
    ),
    "one mask for all segments": (
        (masks, "derived", lambda secret, use: derived(secret, [*use[:-1], 0])),
        {"check_masks_are_those_of_their_keys", "check_no_two_masks_are_alike"},
    ),
    "one mask for both sites of different pairs": (
        (masks, "pair_key", lambda secret, session, one, other, segment: derived(bytes(32), [session, segment])),
        {"check_masks_are_those_of_their_keys", "check_no_two_masks_are_alike"},
    ),
    "masks modulo a prime": ((masks, "apply", reduced), {"check_every_element_of_the_ring_can_be_a_mask"}),
    "no masks": (
        (masks, "apply", lambda segment, added: None),
        {"check_masks_are_those_of_their_keys", "check_masked_zeros_look_uniform"},
    ),
    "no consistency check": (
        (site, "answer", without_consistency),
        {"check_equivocating_about_survivors_opens_nothing"},
    ),
    "both shares are answered": ((site, "answer", both_shares), {"check_never_both_shares"}),
    "shares are answered again": ((site, "answer", again_and_again), {"check_shares_are_opened_once"}),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mistake_is_caught(mutation, parties, monkeypatch):
    (module, name, mutated), catching = MUTATIONS[mutation]
    monkeypatch.setattr(module, name, mutated)
    for check in CHECKS:
        if check.__name__ in catching:
            with pytest.raises((AssertionError, pytest.fail.Exception)):
                run(check, parties, monkeypatch)


def test_the_digest_of_a_seed_is_over_session_site_and_seed():
    made = site.seed_digest("sha256:" + "0" * 64, "A", b"\x01" * 32)
    text = b'["fl/sa/v1","seed","sha256:' + b"0" * 64 + b'","A"]'
    assert made == "sha256:" + hashlib.sha256(text + b"\x01" * 32).hexdigest()
