"""What an aggregator could try: each is refused by the sites, or tells it nothing."""

import pytest
from msgspec.structs import replace

from comity.privacy import messages, site
from comity.privacy.messages import Advertised, Agreed, Shared, Survivors
from comity.values.digest import digest
from comity.values.errors import Conflict, DecodeError, RoundFailed
from comity.values.keys import Identity

ATTACKER = Identity.from_bytes(b"attacker" * 8)


@pytest.fixture
def told(parties):
    """Gives the parties at a phase, with the message that a site is about to hear."""

    def at(phase, sites=5, name="site00", **falls):
        made = parties(sites).until(phase, **falls)
        return made, made.told[name]

    return at


def refused(made, message, match, error=DecodeError, name="site00"):
    before = made.states[name]
    with pytest.raises(error, match=match):
        made.says(name, message)
    assert made.states[name] is before


def test_a_key_that_is_swapped_has_no_signature(told):
    made, heard = told("sharing")
    mine = replace(heard.advertised[1], masking=ATTACKER.sealing.public_key().public_bytes_raw())
    forged = messages.signed(replace(mine, signature=b""), ATTACKER)
    for each in (mine, forged):
        swapped = (heard.advertised[0], each, *heard.advertised[2:])
        refused(made, replace(heard, advertised=swapped), "is not that of the key")


def test_a_site_knows_its_own_keys(told, parties):
    made, heard = told("sharing")
    earlier = parties(5, seed=9).until("sharing").aggregation.advertised["site00"]
    refused(made, replace(heard, advertised=(earlier, *heard.advertised[1:])), "other keys for this site than its own")
    refused(made, replace(heard, advertised=heard.advertised[1:]), "other keys for this site than its own")


def test_nobody_joins_who_is_not_in_the_roster(told, parties):
    made, heard = told("sharing")
    stranger = messages.signed(replace(heard.advertised[4], sender="site05", signature=b""), ATTACKER)
    refused(made, replace(heard, advertised=(*heard.advertised, stranger)), "'site05' is not in this sum's roster")


@pytest.mark.parametrize("phase", ["sharing", "masking", "agreeing", "opening"])
def test_a_list_names_each_site_once_and_in_order(told, phase):
    made, heard = told(phase)
    field = {"sharing": "advertised", "masking": "names", "agreeing": "commitments", "opening": "agreements"}[phase]
    listed = getattr(heard, field)
    for odd in (listed[::-1], (*listed[:1], *listed)):
        refused(made, replace(heard, **{field: odd}), "not in the order of names, each once")


def test_sites_that_are_shown_different_rosters_do_not_open_each_others_shares(told):
    made, heard = told("sharing")
    fewer = replace(heard, advertised=heard.advertised[:4])
    said = {name: made.says(name, fewer if name == "site00" else heard) for name in made.names}
    names = tuple(made.names)
    for name in ("site00", "site01"):
        shares = tuple(e for n in names for e in said[n].shares if e.recipient == name)
        given = Shared(session=made.terms.session, names=names[: 4 if name == "site00" else 5], shares=shares)
        refused(made, given, "for other keys than were shown here|not those of all who have shared", name=name)


def test_another_roster_in_the_log_is_another_session(told, parties):
    made, _ = told("sharing")
    forked = parties(4)
    forked.begin()
    other = forked.close()["site00"]
    assert forked.terms.session != made.terms.session
    refused(made, other, "of another secure sum")
    relabelled = replace(other, session=made.terms.session)
    refused(made, relabelled, "of another secure sum")


def test_shares_of_another_or_for_another_are_refused(told):
    made, heard = told("masking")
    of_another = made.told["site01"].shares[1]  # of site02
    own = heard.shares[1]  # of site02 too
    assert (own.sender, of_another.sender) == ("site02", "site02")
    for odd, match in (
        (of_another, "is for another site"),
        (replace(of_another, recipient="site00"), "is not that of the key"),
        (replace(own, sealed=of_another.sealed), "is not that of the key"),
        (replace(own, advertised=digest(b"other")), "is not that of the key"),
    ):
        refused(made, replace(heard, shares=(heard.shares[0], odd, *heard.shares[2:])), match)


def test_shares_are_neither_held_back_nor_reordered(told):
    made, heard = told("masking")
    for shares in (heard.shares[1:], heard.shares[::-1], (*heard.shares, heard.shares[0])):
        refused(made, replace(heard, shares=shares), "not those of all who have shared")
    refused(made, replace(heard, names=heard.names[1:], shares=heard.shares), "leaves out this one")


@pytest.mark.parametrize(
    ("phase", "change"),
    [
        ("sharing", lambda heard: replace(heard, advertised=heard.advertised[:3])),
        ("masking", lambda heard: replace(heard, names=heard.names[:3], shares=heard.shares[:2])),
        ("agreeing", lambda heard: replace(heard, commitments=heard.commitments[:3])),
    ],
)
def test_no_cohort_below_the_least(told, phase, change):
    made, heard = told(phase)
    refused(made, change(heard), "3 sites remain in this secure sum, but the least is 4", RoundFailed)


def test_the_least_of_the_terms_counts_where_it_is_more_than_the_threshold(parties):
    made = parties(5, least=5)
    made.begin("site04")
    with pytest.raises(RoundFailed, match="4 of 5 sites remain in this secure sum, but the least is 5"):
        made.close()


def test_its_own_site_does_not_count(parties):
    made = parties(4, own="site03").until("sharing")
    heard = made.told["site00"]
    refused(
        made, replace(heard, advertised=(heard.advertised[0], *heard.advertised[2:])), "2 sites remain", RoundFailed
    )
    assert all(share.recipient != "site03" for share in made.says("site00", heard).shares)


def test_masking_with_others_shows_before_anything_is_opened(told):
    made, heard = told("masking")
    fewer = replace(heard, names=heard.names[:4], shares=heard.shares[:3])
    said = {"site00": made.says("site00", fewer)} | {n: made.says(n, made.told[n]) for n in made.names[1:]}
    survivors = Survivors(session=made.terms.session, commitments=tuple(said[n].commitment for n in made.names[:4]))
    for name in ("site00", "site01"):
        refused(made, survivors, "was shown other sites, or gave another form, than this site", name=name)


def test_a_site_agrees_to_one_set_of_survivors(told):
    made, heard = told("agreeing")
    made.says("site00", heard)
    refused(made, replace(heard, commitments=heard.commitments[:4]), "it does so once", Conflict)


def test_survivors_are_those_who_shared_with_the_inputs_that_they_gave(told, parties):
    made, heard = told("agreeing", 7, site06=1)
    refused(made, replace(heard, commitments=heard.commitments[1:]), "not this site's input as it was")
    other = parties(7, seed=5).until("agreeing", site06=1).told["site00"].commitments[0]
    refused(made, replace(heard, commitments=(other, *heard.commitments[1:])), "not this site's input as it was")
    from_nowhere = replace(heard.commitments[5], sender="site06")
    refused(made, replace(heard, commitments=(*heard.commitments, from_nowhere)), "survivors that never shared")


def test_the_secrets_are_gone_when_shares_are_opened(told):
    made, heard = told("opening")
    secrets, shares = made.states["site00"].secrets, made.states["site00"].shares
    made.says("site00", heard)
    kept = site.to_bytes(made.states["site00"])
    assert made.states["site00"].secrets is None
    for secret in (secrets.masking, secrets.seed, secrets.sealing, shares["site01"][1]):
        assert messages.canonical(secret).strip(b'"') not in kept


def test_a_sum_is_begun_once_whatever_its_terms(parties):
    own = Identity.from_bytes((b"site00" * 64)[:64])
    for made in (parties(3), parties(4), parties(4, least=4), parties(4, bits=64)):
        with pytest.raises(Conflict, match="'round 1' of 'plan' was begun before; a site takes part in it once"):
            site.begin(made.terms, "site00", identity=own, random=made.random, begun={("plan", "round 1")})


@pytest.mark.parametrize("phase", ["sharing", "masking", "agreeing", "opening"])
def test_what_was_said_in_another_session_is_worth_nothing(told, parties, phase):
    made, _ = told(phase)
    replayed = parties(5, sum="round 2").until(phase).told["site00"]
    refused(made, replayed, "a message of another secure sum")
    field = {"sharing": "advertised", "masking": "shares", "agreeing": "commitments", "opening": "agreements"}[phase]
    if phase in ("sharing", "masking"):  # in the others this site's own would be missed first
        refused(made, replace(replayed, session=made.terms.session), "a message of another secure sum")
    elif phase == "opening":
        relabelled = [replace(each, session=made.terms.session) for each in getattr(replayed, field)]
        refused(made, replace(made.told["site00"], **{field: tuple(relabelled)}), "is not that of the key")


def test_a_step_cannot_be_left_out_or_repeated(told):
    made, heard = told("masking")
    for early in (
        Survivors(session=made.terms.session, commitments=()),
        Agreed(session=made.terms.session, agreements=()),
        Advertised(session=made.terms.session, advertised=()),
    ):
        refused(made, early, "it does so once", Conflict)
    made.says("site00", heard)
    refused(made, heard, "it does so once", Conflict)
    with pytest.raises(Conflict):
        site.masks_of(made.states["site00"])


def test_a_state_is_stored_and_read_as_it_is_and_shows_no_secret(told):
    for phase in ("sharing", "masking", "agreeing", "opening"):
        made, _ = told(phase)
        state = made.states["site00"]
        assert site.from_bytes(site.to_bytes(state)) == state
        assert "secrets" not in repr(state)
        assert repr(state.secrets) == "Secrets(...)"
    with pytest.raises(DecodeError, match="this is no state of a secure sum"):
        site.from_bytes(b"{}")
