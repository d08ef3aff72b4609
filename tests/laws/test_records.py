"""The laws of `Records`, over every place where the records of a channel are kept."""

from collections.abc import Callable, Generator
from contextlib import closing
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from comity.adapters.sql.database import Database
from comity.adapters.sql.known import Known
from comity.adapters.sql.records import RecordsSql
from comity.adapters.sql.schema import BRANCH
from comity.domain.records import Child, DataSample, Draft, Invitation, Record, Records, RecordsInMemory, SampleOf, need
from comity.values.errors import NotFound


def draft_over_something() -> Draft:
    """A draft over records with which it disagrees: its own word must always be the last."""
    under = RecordsInMemory()
    draft = Draft(under)
    for word in WORDS:
        under.put(sample(word, "under"))
        draft.put(sample(word, "gone"))
    return draft


PLACES: dict[str, Callable[[], Records]] = {
    "in memory": RecordsInMemory,
    "a draft": lambda: Draft(RecordsInMemory()),
    "a draft over others": draft_over_something,
}


class Forgetful(Known):
    """What is remembered of records between two calls: nothing."""

    def record(self, *_: Any) -> None:
        return None

    def keys(self, *_: Any) -> None:
        return None


DATABASES = {
    f"{name}{how}": (name, known)
    for name in ("SQLite", "PostgreSQL")
    for how, known in (("", Known), (", remembering nothing", Forgetful))
}

WORDS = ["", "0", "1", "a", "b", "B", "a|b", "é", "\U0001f600", "\ufb33"]


def sample(key: str, owner: str) -> DataSample:
    return DataSample(key=key, owner=owner, manifest="", created_at=0)


@pytest.fixture(scope="module", params=[*PLACES, *DATABASES])
def new(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> Generator[Callable[[], Records]]:
    """Makes empty records at each place; in a database those of one more channel beside the others."""
    if request.param in PLACES:
        yield PLACES[request.param]
        return
    kind, known = DATABASES[request.param]
    channels = count()
    with closing(Database(new_url(kind), [BRANCH])) as database, database.read() as connection:
        yield lambda: RecordsSql(connection, next(channels), known())


@pytest.fixture
def records(new: Callable[[], Records]) -> Records:
    return new()


def test_what_was_put_is_there(records):
    assert records.get(Invitation, "key") is None
    with pytest.raises(NotFound, match="there is no invitation key"):
        need(records, Invitation, "key")
    made = Invitation(key="key", organization="b", expires=1)
    records.put(made)
    assert records.get(Invitation, "key") == need(records, Invitation, "key") == made


def test_there_is_nothing_under_a_key_that_no_record_can_have(records):
    assert records.get(Invitation, "a\0b") is None
    assert list(records.find(Invitation, "organization", "a\0b")) == []


def test_a_record_takes_the_place_of_the_one_before(records):
    made = Invitation(key="key", organization="b", expires=1)
    records.put(made)
    records.put(replace(made, used=True))
    assert records.get(Invitation, "key") == replace(made, used=True)
    assert list(records.find(Invitation, "organization", "b")) == [replace(made, used=True)]


def test_kinds_do_not_meet(records):
    records.put(Child(key="key", parent="b", child="c"))
    records.put(Invitation(key="key", organization="b", expires=1))
    assert records.get(SampleOf, "key") is None
    assert isinstance(records.get(Child, "key"), Child)
    assert list(records.find(SampleOf, "dataset", "b")) == []


def test_a_record_that_moves_is_found_where_it_is(records):
    made = SampleOf(key="key", dataset="d", sample="s")
    records.put(made)
    records.put(replace(made, dataset="e"))
    assert list(records.find(SampleOf, "dataset", "d")) == []
    assert list(records.find(SampleOf, "dataset", "e")) == [replace(made, dataset="e")]
    assert list(records.find(SampleOf, "sample", "s")) == [replace(made, dataset="e")]
    records.put(made)
    assert list(records.find(SampleOf, "dataset", "d")) == [made]


def test_what_is_found_is_in_the_order_of_keys(records):
    for key in reversed(["00000000-0000-4000-8000-00000000000" + digit for digit in "0189abcdef"]):
        records.put(Invitation(key=key, organization="b", expires=1))
    found = [each.key for each in records.find(Invitation, "organization", "b")]
    assert found == sorted(found)
    assert len(found) == 10


def test_records_may_be_put_while_what_was_found_is_read(records):
    for key in "abc":
        records.put(Invitation(key=key, organization="b", expires=1))
    read: list[Record] = []
    for each in records.find(Invitation, "organization", "b"):
        read.append(each)
        records.put(replace(each, organization="c"))
        records.put(Invitation(key=each.key + "'", organization="b", expires=1))
    assert [each.key for each in read] == ["a", "b", "c"]


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["o", "p", "gone"])), max_size=30))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_it_is_a_dictionary_with_indexes(new, puts):
    records, model = new(), {}
    for key, owner in puts:
        records.put(sample(key, owner))
        model[key] = owner
        assert records.get(DataSample, key) == sample(key, owner)
        for asked in ("o", "p"):
            found = [each.key for each in records.find(DataSample, "owner", asked)]
            assert sorted(found) == sorted(key for key, owner in model.items() if owner == asked)
    assert list(records.find(DataSample, "owner", "under")) == []


@given(
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from("op")), max_size=10),
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from("op")), max_size=10),
)
@settings(deadline=None, derandomize=True)
def test_a_draft_is_what_the_records_become_by_it(before, after):
    under, applied = RecordsInMemory(), RecordsInMemory()
    for key, owner in before:
        under.put(sample(key, owner))
        applied.put(sample(key, owner))
    draft = Draft(under)
    for key, owner in after:
        draft.put(sample(key, owner))
    for record in draft.changed.values():
        applied.put(record)
    for key in WORDS:
        assert draft.get(DataSample, key) == applied.get(DataSample, key)
        expected = dict(before).get(key)
        assert under.get(DataSample, key) == (None if expected is None else sample(key, expected)), "nothing reached it"
    for owner in "op":
        assert list(draft.find(DataSample, "owner", owner)) == list(applied.find(DataSample, "owner", owner))
