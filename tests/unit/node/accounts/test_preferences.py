"""What a user's pages look like is kept as it was given, within bounds."""

import contextlib
import json
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.node.accounts import preferences
from comity.node.accounts.preferences import Preferences
from comity.values.errors import DecodeError

KEYS = st.uuids().map(str)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)
SOME = st.builds(
    Preferences,
    favourites=st.lists(KEYS, max_size=20).map(tuple),
    columns=st.dictionaries(WORDS, st.lists(WORDS, max_size=10).map(tuple), max_size=5),
)


@settings(deadline=None, derandomize=True)
@given(SOME)
def test_preferences_come_back_as_they_were(given_):
    assert preferences.decode(preferences.encode(given_)) == given_


@settings(deadline=None, derandomize=True)
@given(
    st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_foreign_bytes_are_preferences_or_refused(body):
    with contextlib.suppress(DecodeError):
        assert isinstance(preferences.decode(body), Preferences)


@pytest.mark.parametrize(
    "document",
    [
        {"favourites": ["not a key"]},
        {"favourites": [str(uuid.UUID(int=0)).upper() + "A"]},
        {"favourites": [str(uuid.UUID(int=0))] * 1001},
        {"columns": {"": []}},
        {"columns": {"plans": [""]}},
        {"columns": {"plans": ["x" * 101]}},
        {"columns": {"plans": ["x"] * 101}},
        {"columns": {str(number): [] for number in range(51)}},
        {"theme": "dark"},
        [],
    ],
)
def test_preferences_have_bounds(document):
    with pytest.raises(DecodeError):
        preferences.decode(json.dumps(document).encode())


def test_depth_is_refused():
    with pytest.raises(DecodeError):
        preferences.decode(b'{"columns": ' + b"[" * 100_000)


def test_each_user_has_their_own(accounts, add, enter):
    add()
    add("bob")
    ada, bob = enter("ada"), enter("bob")
    kept = Preferences(favourites=(str(uuid.UUID(int=1)),), columns={"plans": ("name", "duration")})
    assert accounts.preferences(ada) == Preferences()
    accounts.keep_preferences(ada, kept)
    assert (accounts.preferences(ada), accounts.preferences(bob)) == (kept, Preferences())
    accounts.keep_preferences(ada, Preferences())
    assert accounts.preferences(ada) == Preferences()


def test_more_than_the_bounds_is_not_kept(accounts, add, enter):
    add()
    with pytest.raises(DecodeError):
        accounts.keep_preferences(enter(), Preferences(favourites=("no key",)))
    assert accounts.preferences(enter()) == Preferences()


def test_preferences_go_with_their_user(accounts, add, enter, database):
    add()
    accounts.keep_preferences(enter(), Preferences(columns={"plans": ("name",)}))
    accounts.delete(1, "ada")
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM preferences").scalar_one() == 0
