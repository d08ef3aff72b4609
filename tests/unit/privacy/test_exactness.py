"""The masked sum is the plain sum of integers, bit for bit, whoever falls out at whichever message."""

from itertools import chain, combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.values.errors import RoundFailed

SAYS = 5
LEAST = {3: 3, 4: 3, 5: 4, 6: 5, 7: 5, 8: 6, 9: 7, 10: 7, 40: 27}
"""floor(2n/3) + 1, worked out by hand: reference values of the threshold."""


def subsets(names):
    return chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))


@pytest.mark.parametrize("sites", LEAST)
def test_the_threshold_is_more_than_two_thirds(parties, sites):
    made = parties(sites).terms
    assert (made.threshold, made.cohort) == (LEAST[sites], LEAST[sites])


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("sites", [3, 4, 5])
def test_every_pattern_of_dropouts_up_to_five_sites(parties, sites, bits, signed_here):
    """Machines are pure, so that one run branches wherever sites can fall out: all nested sets are walked."""
    made = parties(sites, bits=bits)
    opened = walk(made, dict.fromkeys(made.names), 0, LEAST[sites])
    # Of the 5 messages each may be the first that one site no longer says.
    assert opened == 1 + sum(5 * (missing == 1) * sites for missing in range(1, sites - LEAST[sites] + 1))


@pytest.mark.parametrize("sites", [4, 5])
def test_every_pattern_when_the_aggregator_has_a_site_of_its_own(parties, sites, signed_here):
    made = parties(sites, own="site01")
    opened = walk(made, dict.fromkeys(made.names), 0, LEAST[sites - 1])
    alone = 1 + 5 * (sites - 1) * (sites - 1 > LEAST[sites - 1])
    assert opened == alone * 6  # its own site may besides fall out at each message, or at none


def walk(made, told, number, least):
    """How many branches end in a sum, each of them compared."""
    if number == SAYS:
        assert made.total() == made.expected(made.aggregation.included)
        return 1
    before, opened = (made.aggregation, dict(made.states), dict(made.sent)), 0
    for there in subsets(told):
        made.aggregation, made.states, made.sent = before[0], dict(before[1]), dict(before[2])
        made.hear({name: told[name] for name in there})
        if sum(name != made.own for name in there) < least:
            with pytest.raises(RoundFailed):
                made.close()
        else:
            opened += walk(made, made.close(), number + 1, least)
    return opened


@st.composite
def sums(draw, most, sizes):
    """(sites, own, falls): some sums within what is tolerated, some beyond."""
    sites = draw(sizes)
    names = [f"site{number:02}" for number in range(sites)]
    own = draw(st.sampled_from(["", *names])) if sites > 3 else ""
    tolerated = (sites - bool(own)) - (2 * (sites - bool(own)) // 3 + 1)
    gone = draw(st.lists(st.sampled_from(names), unique=True, max_size=min(most, tolerated + 1)))
    return sites, own, {name: draw(st.integers(0, SAYS - 1)) for name in gone}


def check(parties, drawn, bits, size, segment, seed):
    sites, own, falls = drawn
    made = parties(sites, bits=bits, size=size, segment=segment, own=own, seed=seed)
    keepers = sites - bool(own)
    least = 2 * keepers // 3 + 1
    if keepers - sum(name != own for name in falls) < least:
        with pytest.raises(RoundFailed):
            made.run(falls)
        return
    included = [name for name in made.names if falls.get(name, SAYS) > 2]
    assert made.run(falls) == made.expected(included)
    assert list(made.aggregation.included) == included


SHAPES = {
    "bits": st.sampled_from([16, 32, 64]),
    "size": st.integers(1, 9),
    "segment": st.integers(1, 10),
    "seed": st.integers(0, 2**32),
}
# Of ten sites a sum takes eight times as long as of three.
SITES = [*[3] * 6, *[4] * 8, *[5] * 6, *[6] * 2, 7, 8, 9, 10]


@pytest.mark.timeout(1200)
@settings(
    max_examples=2000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=sums(10, st.sampled_from(SITES)), **SHAPES)
def test_any_sum_of_up_to_ten_sites(parties, signed_here, drawn, bits, size, segment, seed):
    check(parties, drawn, bits, size, segment, seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(
    max_examples=1000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=sums(14, st.integers(11, 40)), **SHAPES)
def test_any_sum_of_up_to_forty_sites(parties, signed_here, drawn, bits, size, segment, seed):
    check(parties, drawn, bits, size, segment, seed)
