"""The ledger of a dataset: what is reserved, charged and given back, and that it is never overspent."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from comity.privacy.budget import FIRST, Line, next_line, over, spent
from comity.values.errors import Conflict, Forbidden

EPSILON, DELTA = 3.0, 1e-4


def line(run="r", does="reserve", epsilon=1.0, delta=1e-5):
    return Line(dataset="d", run=run, organization="o", does=does, epsilon=epsilon, delta=delta, at=0, before="")


class Ledger:
    """Its lines, as a node keeps them."""

    def __init__(self):
        self.lines = []

    def add(self, asked):
        made = next_line(spent(self.lines), asked, epsilon=EPSILON, delta=DELTA)
        if made is not None:
            self.lines.append(made)
        return made

    @property
    def now(self):
        return spent(self.lines)


def test_a_run_is_reserved_then_charged_once_and_again_is_nothing():
    ledger = Ledger()
    assert ledger.now.root == FIRST
    ledger.add(line())
    assert (ledger.now.reserved, ledger.now.charged) == ((1.0, 1e-5), (0.0, 0.0))
    assert ledger.add(line()) is None
    ledger.add(line(does="charge"))
    assert (ledger.now.reserved, ledger.now.charged) == ((0.0, 0.0), (1.0, 1e-5))
    for does in ("charge", "reserve", "release"):
        assert ledger.add(line(does=does)) is None  # what has left something is spent, whatever comes
    assert len(ledger.lines) == 2


def test_a_run_that_left_nothing_is_given_back():
    ledger = Ledger()
    ledger.add(line(epsilon=EPSILON))
    with pytest.raises(Forbidden):
        ledger.add(line("s"))
    ledger.add(line(does="release", epsilon=EPSILON))
    ledger.add(line("s"))
    assert ledger.now.reserved == (1.0, 1e-5)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (line("s", epsilon=2.5), r"ε by 0\.5\. Of ε = 3, 1 are spent and 0 reserved, and this run asks for 2\.5"),
        (line("s", delta=2e-4), r"δ by 0\.00011"),
        (line("s", epsilon=3.0, delta=2e-4), r"ε by 1 and δ by 0\.00011"),
    ],
)
def test_who_would_overspend_is_told_by_how_much(asked, said):
    ledger = Ledger()
    ledger.add(line())
    ledger.add(line(does="charge"))
    with pytest.raises(Forbidden, match=said):
        ledger.add(asked)
    assert len(ledger.lines) == 2


def of_site(made):
    return structs.replace(made, unit="site")


def test_each_unit_has_a_budget_of_its_own():
    """Whose data an ε is of does not add up: a run that limits both has a line of each."""
    first = next_line(spent([]), line(epsilon=2.0), epsilon=EPSILON, delta=DELTA)
    assert first is not None
    second = next_line(spent([first], "site"), of_site(line(epsilon=2.5)), epsilon=EPSILON, delta=DELTA)
    assert second is not None
    assert second.before == first.digest
    assert [spent([first, second], unit).reserved[0] for unit in ("record", "site")] == [2.0, 2.5]
    with pytest.raises(Forbidden, match="ε by 2"):
        next_line(spent([first, second], "site"), of_site(line("s", epsilon=2.5)), epsilon=EPSILON, delta=DELTA)


@pytest.mark.parametrize("does", ["reserve", "charge"])
def test_what_had_no_epsilon_of_a_unit_has_spent_of_it_without_end(does):
    """Else a budget whose unit is changed would begin at nothing, whatever was told before."""
    ledger = Ledger()
    ledger.add(line(epsilon=2.0))
    ledger.add(line(epsilon=2.0, does=does))
    before = spent(ledger.lines, "site")
    assert (before.reserved if does == "reserve" else before.charged)[0] == math.inf
    assert over(before, asks=(0.1, 0.0), epsilon=EPSILON, delta=DELTA)[0] == math.inf
    with pytest.raises(Forbidden, match="earlier runs had no ε of a site, and spent without end"):
        next_line(before, of_site(line("s")), epsilon=EPSILON, delta=DELTA)
    assert next_line(before, of_site(line("s")), epsilon=math.inf, delta=math.inf)  # no budget, nothing to overspend


def test_what_was_given_back_has_spent_nothing_of_either():
    ledger = Ledger()
    for does in ("reserve", "release"):
        ledger.add(line(does=does))
    assert (spent(ledger.lines, "site").charged, spent(ledger.lines, "site").reserved) == ((0.0, 0.0), (0.0, 0.0))


def test_the_digest_of_a_line_of_records_is_what_it_was_before_there_were_others():
    assert line().digest == "sha256:2aa2d7568718102dc9d98141a845fb4bdddebd22dc3e94c51ede96b5ae4928e3"


def test_ten_tenths_are_a_whole():
    ledger = Ledger()
    for run in range(30):
        ledger.add(line(str(run), epsilon=0.1, delta=1e-6))
    assert math.isclose(ledger.now.reserved[0], EPSILON)
    assert over(ledger.now, asks=(0.1, 0.0), epsilon=EPSILON, delta=DELTA)[0] == pytest.approx(0.1)


def test_what_was_not_reserved_is_neither_charged_nor_given_back():
    for does in ("charge", "release"):
        with pytest.raises(Conflict, match=f"cannot {does} after nothing"):
            Ledger().add(line(does=does))


def test_another_amount_than_was_reserved_is_not_charged():
    ledger = Ledger()
    ledger.add(line())
    with pytest.raises(Conflict, match=r"has reserved ε = 1, and not 0\.5"):
        ledger.add(line(does="charge", epsilon=0.5))


def test_a_line_that_was_changed_left_out_or_moved_shows():
    ledger = Ledger()
    for run in "rst":
        ledger.add(line(run, epsilon=0.5))
    first, second, third = ledger.lines
    for lines in ([second, third], [first, third], [second, first, third]):
        with pytest.raises(Conflict, match="is missing"):
            spent(lines)
    with pytest.raises(Conflict, match="is missing"):
        spent([structs.replace(first, epsilon=0.1), second, third])


@given(
    st.lists(
        st.tuples(
            st.sampled_from("rstuv"),
            st.sampled_from(["reserve", "charge", "release"]),
            st.sampled_from([0.4, 1.0, 2.0]),
            st.sampled_from([1e-5, 5e-5]),
        ),
        max_size=25,
    )
)
def test_whatever_is_asked_it_is_never_overspent_and_what_is_charged_stays(asked):
    ledger, charged = Ledger(), (0.0, 0.0)
    for run, does, epsilon, delta in asked:
        with suppress(Forbidden, Conflict):
            ledger.add(line(run, does, epsilon, delta))
        now = ledger.now
        assert now.charged[0] + now.reserved[0] <= EPSILON * (1 + 1e-6)
        assert now.charged[1] + now.reserved[1] <= DELTA * (1 + 1e-6)
        assert now.charged >= charged
        charged = now.charged
