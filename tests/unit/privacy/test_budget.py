"""The account of a dataset's privacy: nothing is spent twice, lost, or beyond what there is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from comity.privacy import epsilon
from comity.privacy.accounting import SampledGaussian
from comity.privacy.budget import Budget, Charged, Ended, Reserved, by_pld
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound

TRAINING = SampledGaussian(4.0, 0.1, 5)


def plain(mechanism, delta):
    """An accountant whose sums can be done in the head: a hundredth for every step."""
    return mechanism.steps / 100


def budget(**given):
    return Budget(**{"dataset": "heart", "unit": "record", "epsilon": 1.0, "delta": 1e-3, "accountant": plain, **given})


def asks(run="one", trainings=10, delta=1e-4):
    return Reserved(run=run, mechanism=TRAINING, trainings=trainings, delta=delta)


def test_a_run_reserves_all_its_trainings_before_the_first():
    after = budget().reserve(asks())
    assert (after.spent().epsilon, after.spent().delta) == (0.5, 1e-4)
    assert after.left().epsilon == 0.5
    assert budget().spent().epsilon == 0


def test_a_run_that_would_overspend_does_not_begin_and_is_told_by_how_much():
    after = budget().reserve(asks("one", trainings=16))
    said = (
        r"this run may spend ε = 0\.5 of 'heart' for each record; of 1 0\.8 is spent or reserved, so it would "
        r"overspend by 0\.3"
    )
    with pytest.raises(Forbidden, match=said):
        after.reserve(asks("two"))
    with pytest.raises(Forbidden, match=r"spend δ = 0\.002 .* overspend by 0\.001"):
        budget().reserve(asks(delta=2e-3))
    assert after.reserve(asks("two", trainings=4)).left().epsilon == pytest.approx(0)


def test_of_two_users_who_ask_for_the_last_of_it_one_gets_it():
    """Whoever is written second is judged by what is there then: their order is that of the entries."""
    first = budget().reserve(asks("a", trainings=12))
    with pytest.raises(Forbidden, match=r"overspend by 0\.2"):
        first.reserve(asks("b", trainings=12))


def test_a_training_is_charged_once_however_often_it_is_committed():
    reserved = budget().reserve(asks())
    once = reserved.charge("one", "task 1, attempt 1")
    assert once.charge("one", "task 1, attempt 1") is once
    assert once.spent() == reserved.spent()  # it was reserved
    assert once.entries[-1] == Charged(run="one", training="task 1, attempt 1")


def test_what_a_run_reserved_is_free_when_it_ends_without_having_released_anything():
    ended = budget().reserve(asks()).charge("one", "t1").charge("one", "t2").end("one")
    assert (ended.spent().epsilon, ended.spent().delta) == (0.5, 1e-4)  # when it stopped may hang on what it released
    assert ended.end("one") is ended
    unused = budget().reserve(asks()).end("one")
    assert (unused.spent().epsilon, unused.spent().delta) == (0, 0)
    assert unused.reserve(asks("two", trainings=20)).left().epsilon == 0


def test_nothing_is_released_beyond_the_reserve_or_after_the_end():
    full = budget().reserve(asks(trainings=1)).charge("one", "t1")
    with pytest.raises(Conflict, match="has reserved 1 trainings on 'heart', which are all charged"):
        full.charge("one", "t2")
    with pytest.raises(Conflict, match="the run one has ended, so its training t2 cannot be charged"):
        budget().reserve(asks()).end("one").charge("one", "t2")
    assert full.end("one").charge("one", "t1") == full.end("one")  # known from before
    with pytest.raises(NotFound, match="the run two has reserved nothing of 'heart', so it may not train on it"):
        full.charge("two", "t1")
    with pytest.raises(NotFound, match="the run two has reserved nothing"):
        full.end("two")
    with pytest.raises(Conflict, match="the run one has reserved what it may spend of heart already"):
        full.reserve(asks())
    with pytest.raises(InvalidInput, match="trainings must be a whole number of at least 1"):
        asks(trainings=0)


def test_a_runs_releases_are_composed_by_the_accountant_and_runs_add_up():
    exact = budget(epsilon=10.0, accountant=by_pld).reserve(asks("one")).reserve(asks("two", trainings=3))
    of_run = [epsilon(1e-4, noise_multiplier=4.0, sampling_rate=0.1, steps=5 * count) for count in (10, 3)]
    assert exact.spent().epsilon == pytest.approx(sum(of_run))
    assert of_run[0] < 10 * epsilon(1e-4, noise_multiplier=4.0, sampling_rate=0.1, steps=5)


@settings(max_examples=200, deadline=None)
@given(
    some.lists(
        some.tuples(some.sampled_from(["reserve", "charge", "end"]), some.sampled_from("abc"), some.integers(1, 12)),
        max_size=40,
    )
)
def test_whatever_is_asked_no_more_is_released_than_there_is_and_entries_are_only_added(asked):
    now = budget()
    for what, run, number in asked:
        before = now
        try:
            match what:
                case "reserve":
                    now = now.reserve(asks(run, trainings=number))
                case "charge":
                    now = now.charge(run, f"t{number}")
                case "end":
                    now = now.end(run)
        except (Forbidden, Conflict, NotFound):
            assert now is before
        assert now.entries[: len(before.entries)] == before.entries
        assert len(now.entries) <= len(before.entries) + 1
        assert now.spent().epsilon <= now.epsilon * (1 + 1e-9)
        released = sum(isinstance(each, Charged) for each in now.entries) * plain(TRAINING, 1e-4)
        assert released <= now.spent().epsilon + 1e-12
        if what == "reserve" and now is not before:
            assert now.spent().epsilon == pytest.approx(before.spent().epsilon + number * 0.05)
        if isinstance(now.entries[-1] if now.entries else None, Ended) and now is not before:
            assert now.spent().epsilon <= before.spent().epsilon
