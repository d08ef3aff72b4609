"""What sites, or somebody on the way, could send to an aggregator: refused, or without effect on the sum of others."""

from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace

from comity.privacy import aggregator, audit, masks, messages, shamir, site
from comity.privacy.opening import totals
from comity.privacy.terms import Terms
from comity.values.digest import digest
from comity.values.errors import Conflict, DecodeError, InvalidInput, NotSupported, RoundFailed
from comity.values.keys import SUITE, Identity, sealing_key

P = 2**255 - 19
ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
LOW_ORDER = {
    "0": 0,
    "1": 1,
    "-1": P - 1,
    "p": P,
    "p + 1": P + 1,
    # u = (1 + y) / (1 - y) of the two points of order 8 (RFC 7748, section 4.1).
    "order 8": (1 + ORDER_8) * pow(1 - ORDER_8, -1, P) % P,
    "order 8, other": (1 - ORDER_8) * pow(1 + ORDER_8, -1, P) % P,
    "0, with the bit that is not looked at": 2**255,
}


def identity(name):
    return Identity.from_bytes((name.encode() * 64)[:64])


def refused(made, message, match, error=DecodeError):
    with pytest.raises(error, match=match):
        aggregator.receive(made.aggregation, message)


def resigned(message, **changes):
    changed = replace(message, signature=b"", **changes)
    return messages.signed(changed, identity(changed.sender))


@pytest.mark.parametrize("field", ["sealing", "masking"])
@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_point_of_small_order_is_refused_by_aggregator_and_sites(parties, point, field):
    key = LOW_ORDER[point].to_bytes(32, "little")
    made = parties(4).until("sharing")
    weak = resigned(made.aggregation.advertised["site01"], **{field: key})
    fresh = parties(4)
    with pytest.raises(DecodeError, match="of small order"):
        aggregator.receive(fresh.aggregation, weak)
    heard = made.told["site00"]
    with pytest.raises(DecodeError, match="of small order"):
        made.says("site00", replace(heard, advertised=(heard.advertised[0], weak, *heard.advertised[2:])))
    with pytest.raises(DecodeError, match="of small order"):
        masks.shared_secret(bytes(31) + b"\x40", key)


def test_a_key_that_is_no_point_has_another_length():
    for length in (0, 31, 33):
        with pytest.raises(DecodeError, match=f"32 bytes, not {length}"):
            sealing_key(bytes(length))


def test_only_the_rosters_organizations_speak_and_each_for_itself(parties):
    made = parties(4)
    said = made.says("site00", None)
    refused(made, replace(said, sender="site01"), "is not that of the key")
    refused(made, replace(said, sender="nobody"), "is not in this sum's roster")
    refused(made, replace(said, signature=b""), "is not that of the key")
    refused(made, replace(said, seed=digest(b"other")), "is not that of the key")
    with pytest.raises(InvalidInput, match="the roster has other keys for 'site01'"):
        site.begin(made.terms, "site01", identity=identity("site00"), random=made.random, begun=())


@pytest.mark.parametrize("phase", ["sharing", "masking", "agreeing", "opening"])
def test_what_is_late_early_or_said_twice(parties, phase):
    made = parties(4).until(phase)
    earlier = audit.said(made.aggregation)[-1]
    refused(made, earlier, "what 'site03' says is late", Conflict)
    said = made.says("site00", made.told["site00"])
    before = parties(4)
    refused(before, said, "what 'site00' says is early", Conflict)
    made.aggregation = aggregator.receive(made.aggregation, said)
    assert aggregator.receive(made.aggregation, said) is made.aggregation
    other = parties(4, seed=3).until(phase)
    another = other.says("site00", other.told["site00"])
    if phase != "agreeing":  # agreements of the same site about other inputs are met below
        refused(made, another, "has said something else in this phase before", Conflict)


@pytest.mark.parametrize("phase", ["advertising", "sharing", "masking", "agreeing", "opening"])
def test_messages_of_another_session_are_refused(parties, phase):
    other = parties(4, sum="round 2").until(phase)
    said = other.says("site00", other.told["site00"])
    made = parties(4).until(phase)
    refused(made, said, "a message of another secure sum")


def test_shares_go_to_all_who_advertised_and_are_the_senders_own(parties):
    made = parties(5).until("sharing")
    said, others = made.says("site00", made.told["site00"]), made.says("site01", made.told["site01"])
    match = "does not share with each who advertised"
    refused(made, replace(said, shares=said.shares[1:]), match)
    refused(made, replace(said, shares=said.shares[::-1]), match)
    stolen = next(each for each in others.shares if each.recipient == "site02")
    refused(made, replace(said, shares=(said.shares[0], stolen, *said.shares[2:])), "passes on what another shared")
    elsewhere = resigned(said.shares[0], advertised=digest(b"others"))
    refused(made, replace(said, shares=(elsewhere, *said.shares[1:])), "was shown other keys")


def test_an_input_is_whole_in_order_and_of_one_who_shared(parties):
    made = parties(5).until("masking", site04=1)
    said = made.says("site00", made.told["site00"])
    for segments in (said.segments[:-1], said.segments[::-1], (*said.segments, said.segments[0]), ()):
        refused(made, replace(said, segments=segments), "are not those that it signed")
    refused(made, replace(said, commitment=replace(said.commitment, size=500)), "is not that of the key")
    refused(made, replace(said, commitment=resigned(said.commitment, sender="site04")), "has not shared")
    elsewhere = resigned(said.commitment, sharing=digest(b"others"))
    refused(made, replace(said, commitment=elsewhere), "masked with other sites than these")


def test_an_input_of_another_form_is_left_out(parties):
    made = parties(5).until("masking")
    for name, heard in made.told.items():
        said = made.says(name, heard)
        if name == "site01":
            said = replace(said, commitment=resigned(said.commitment, form=digest(b"another")))
        made.aggregation = aggregator.receive(made.aggregation, said)
    made.told = made.close()
    assert list(made.told) == ["site00", "site02", "site03", "site04"]
    made.hear(made.told)
    made.hear(made.close())
    made.close()
    assert made.total() == made.expected(["site00", "site02", "site03", "site04"])


def test_segments_that_are_not_those_signed_are_no_sum(parties):
    made = parties(4, size=6).until("opened")
    sent, total = dict(made.sent), made.total
    assert total() == made.expected(made.names)
    for changed in (
        {("site01", 0): sent["site01", 1], ("site01", 1): sent["site01", 0]},
        {("site01", 2): sent["site01", 2][:-1]},
        {("site01", 2): sent["site01", 2] + b"\0"},
        {("site01", 0): sent["site00", 0]},
        {("site01", 0): bytes(len(sent["site01", 0]))},
    ):
        made.sent = sent | changed
        with pytest.raises(DecodeError, match=r"segment \d of 'site01' is not the one that it signed"):
            total()
    made.sent = sent | {("site01", 2): sent["site01", 2][:-1]}
    inputs, secrets = made.aggregation.inputs, aggregator.unmasking(made.aggregation)
    with pytest.raises(DecodeError, match="segment 2 of 'site01' has 7 bytes, where 8 belong"):
        list(totals(made.terms, inputs, secrets, lambda name, index: made.sent[name, index]))


def test_agreement_is_about_these_survivors_and_by_one_of_them(parties):
    made = parties(7).until("agreeing", site06=1)
    said = made.says("site00", made.told["site00"])
    refused(made, resigned(said, survivors=digest(b"others")), "agrees to other survivors than these")
    refused(made, resigned(said, sender="site06"), "agrees to other survivors than these")


def test_shares_that_nobody_asked_for_are_refused(parties):
    made = parties(7).until("opening", site05=2, site06=1)
    said = made.says("site00", made.told["site00"])
    odd = said.seeds["site00"]
    refused(made, resigned(said, seeds={**said.seeds, "site05": odd}), "opens shares that nobody asked it for")
    refused(made, resigned(said, keys={**said.keys, "site00": odd}), "opens shares that nobody asked it for")
    refused(made, resigned(said, sender="site05"), "opens shares that nobody asked it for")
    beyond = {**said.seeds, "site00": b"\xff" * 32}
    refused(made, resigned(said, seeds=beyond), "is no secret or share")


def lying(made, liars):
    """The openings, with a wrong share of everybody's by each of the liars."""
    for name, heard in made.told.items():
        said = made.says(name, heard)
        if name in liars:
            said = resigned(said, seeds={each: shamir.element(made.random) for each in said.seeds})
        made.aggregation = aggregator.receive(made.aggregation, said)


def test_wrong_shares_are_found_out(parties):
    made = parties(7).until("opening")
    lying(made, ["site00", "site03"])  # 5 of 7 are right, and 5 are needed
    made.close()
    assert made.total() == made.expected(made.names)
    made = parties(7).until("opening")
    lying(made, ["site00", "site03", "site04"])
    with pytest.raises(DecodeError, match="the shares of 'site00' do not open what it advertised"):
        made.close()


def test_a_share_that_does_not_open_is_done_without(parties):
    made = parties(5).until("sharing")
    for name, heard in made.told.items():
        said = made.says(name, heard)
        if name == "site01":
            to = sealing_key(heard.advertised[2].sealing)
            rubbish = SUITE.encrypt(bytes(64), to, b"another context")
            shares = [resigned(e, sealed=rubbish) if e.recipient == "site02" else e for e in said.shares]
            said = replace(said, shares=tuple(shares))
        made.aggregation = aggregator.receive(made.aggregation, said)
    made.hear(made.close())
    made.hear(made.close())
    told = made.close()
    assert "site01" not in made.says("site02", told["site02"]).seeds
    made.hear({name: heard for name, heard in told.items() if name != "site02"})
    made.close()
    assert made.total() == made.expected(made.names)


def test_too_few_openings_can_be_waited_for(parties):
    made = parties(4).until("opening")
    last = made.told.pop("site03"), made.told.pop("site02")
    made.hear(made.told)
    with pytest.raises(RoundFailed, match="2 shares of 'site00' were opened, but 3 are needed"):
        made.close()
    made.hear({"site02": last[1]})
    made.close()
    assert made.total() == made.expected(made.names)


def test_the_sum_can_be_done_again_and_another_root_shows(parties):
    made = parties(7).until("opened", site05=1, site06=2)
    told = audit.said(made.aggregation)
    fetch = lambda name, index: made.sent[name, index]  # noqa: E731
    root = audit.root(made.aggregation, fetch)
    audit.audit(made.terms, told, fetch, logged=root)
    with pytest.raises(DecodeError, match="but what the sites gave makes"):
        audit.audit(made.terms, told, fetch, logged=digest(b"another sum"))
    with pytest.raises(RoundFailed):
        audit.audit(made.terms, [each for each in told if not isinstance(each, messages.Opening)], fetch, logged=root)
    forged = [replace(e, sender="site01") if e.sender == "site00" else e for e in told[:6]]
    with pytest.raises(DecodeError, match="is not that of the key"):
        audit.audit(made.terms, forged, fetch, logged=root)


@pytest.mark.parametrize(
    ("roster", "own", "match"),
    [
        (2, "", "needs at least 3 sites besides the aggregator's own, not 2"),
        (3, "site00", "needs at least 3 sites besides the aggregator's own, not 2"),
        (41, "", "is built for up to 40 organizations, not 41"),
    ],
)
def test_too_few_or_too_many_sites_are_refused(roster, own, match):
    keys = {f"site{n:02}": Identity.from_bytes(bytes([n + 1]) * 64).public for n in range(roster)}
    with pytest.raises(NotSupported, match=match):
        Terms(plan="p", sum="s", roster=keys, bits=32, own=own)


def test_terms_hold_together():
    keys = {f"site{n:02}": Identity.from_bytes(bytes([n + 1]) * 64).public for n in range(4)}
    terms = partial(Terms, plan="p", sum="s", bits=32)
    with pytest.raises(InvalidInput, match="sign with the same key"):
        terms(roster={**keys, "again": keys["site00"]})
    with pytest.raises(InvalidInput, match="'org9' is none of this sum's"):
        terms(roster=keys, own="org9")
    with pytest.raises(InvalidInput, match="at least 5 sites are asked for, but there are 4"):
        terms(roster=keys, least=5)


def test_a_scalar_is_clamped_and_within_the_field():
    tried = iter([b"\xff" * 32, (2**255 - 8).to_bytes(32, "little"), b"\x07" * 32])
    made = site._scalar(lambda count: next(tried))
    assert made == b"\x00" + b"\x07" * 30 + b"\x47"
    own = X25519PrivateKey.from_private_bytes
    assert own(made).public_key().public_bytes_raw() == own(b"\x07" * 32).public_key().public_bytes_raw()
