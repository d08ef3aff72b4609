"""Which unpacked functions go when room is short."""

import os

import pytest

from comity.node.shelf import GRACE, Shelf

SIZE = 64 << 10


@pytest.fixture
def shelf(tmp_path):
    """A shelf for two folders of four, made in the order of their names, with a clock that is set by hand."""

    def make(most=2 * SIZE + SIZE // 2):
        made = Shelf(tmp_path, most=most, now=lambda: clock[0])
        made.clock = clock
        return made

    clock = [0.0]
    for number, name in enumerate("abcd"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_bytes(os.urandom(SIZE))
        os.utime(tmp_path / name, (number, number))
    return make


def test_those_used_longest_ago_go_until_the_rest_fits(shelf):
    made = shelf()
    made.learn(lambda name: name in "abcd")
    assert made.surplus() == ["a", "b"]
    made.use("a")
    made.clock[0] += GRACE
    assert made.surplus() == ["b", "c"]
    for name in made.surplus():
        made.drop(name)
    assert made.surplus() == []


def test_what_is_in_use_stays_and_so_does_what_was_just_now(shelf):
    made = shelf(most=1)
    made.learn(lambda name: name in "abcd")
    with made.held("a", "b", "not there"):
        with made.held("a"):
            assert made.surplus() == ["c", "d"]
        made.clock[0] += 10 * GRACE
        assert made.surplus() == ["c", "d"], "it is held once more"
    assert made.surplus() == ["c", "d"], "whoever had it a moment ago may read it still"
    made.clock[0] += GRACE
    assert set(made.surplus()) == set("abcd")


def test_the_order_of_use_outlives_the_program(shelf, tmp_path):
    made = shelf()
    made.learn(lambda name: name in "abcd")
    made.use("a")
    again = shelf()
    again.put("b")  # before it has looked
    again.learn(lambda name: name in "abcd")
    again.clock[0] += GRACE
    assert again.surplus() == ["c", "d"]


def test_what_has_another_name_is_not_counted(shelf):
    made = shelf(most=1)
    made.learn(lambda name: name == "a")
    assert made.surplus() == ["a"]
