"""Lists of records: what is found, in which order, and that no list of few reads many."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from comity.adapters.sql.database import Database
from comity.adapters.sql.records import RecordsSql
from comity.adapters.sql.schema import BRANCH
from comity.domain.records import Draft, Plan, RecordsInMemory, Task

CHANNELS = count(1)
KEYS = ["", "0", "B", "a", "b", "é", "\U0001f600", "\ufb33"]


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def database(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> Generator[Database]:
    with closing(Database(new_url(request.param), [BRANCH])) as made:
        yield made


PLANS = st.lists(
    st.builds(
        Plan,
        key=st.sampled_from(KEYS),
        owner=st.sampled_from("abc"),
        name=st.just(""),
        created_at=st.integers(0, 3),
        ended_at=st.sampled_from([0, 2**53 - 1]),
    ),
    unique_by=lambda each: each.key,
)


@given(
    PLANS,
    st.dictionaries(st.sampled_from(["owner", "key"]), st.lists(st.sampled_from(["a", "b", "a\0", ""]))),
    st.sampled_from(["created_at", "-created_at", "ended_at", "-ended_at"]),
    st.integers(0, 4),
    st.integers(0, 4),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_a_page_is_that_of_the_whole_list(database, plans, where, order, limit, offset):
    field, down = order.lstrip("-"), order.startswith("-")
    expected = [each for each in plans if all(getattr(each, name) in values for name, values in where.items())]
    expected.sort(key=lambda each: (getattr(each, field), each.key), reverse=down)
    channel, draft = next(CHANNELS), Draft(RecordsInMemory())
    for each in plans:
        draft.put(each)
    with database.read() as connection:
        RecordsSql(connection, channel + 10**6).keep(draft)  # of another channel, and never shown
        records = RecordsSql(connection, channel)
        records.keep(draft)
        assert records.search(Plan, where, order=order) == (len(expected), expected)
        page = expected[offset : offset + limit]
        assert records.search(Plan, where, order=order, limit=limit, offset=offset) == (len(expected), page)


@pytest.mark.parametrize("field", sorted({"key", *Task.index} - {"worker"}))
def test_sqlite_finds_by_an_index_and_sorts_nothing(new_url, field):
    """PostgreSQL chooses by what the table holds, and here it holds nothing."""
    asked: list[str] = []

    def explain(connection, cursor, statement, parameters, context, executemany):
        if "ORDER BY" in statement:
            asked.extend(map(str, cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()))

    with closing(Database(new_url("SQLite"), [BRANCH])) as database, database.read() as connection:
        event.listen(connection, "before_cursor_execute", explain)
        RecordsSql(connection, 1).search(Task, {field: ["value"]}, limit=10)
    assert len(asked) == 1 or field == "key", asked
    assert re.search(rf"SEARCH task_records USING INDEX .*\b{field}=\?", asked[0]), asked


def test_sqlite_leads_a_scheduler_to_ready_tasks_alone(new_url):
    where = "channel = 1 AND worker = 'a' AND status = 's'"
    with closing(Database(new_url("SQLite"), [BRANCH])) as database, database.read() as connection:
        for query in (
            f"SELECT DISTINCT plan FROM task_records WHERE {where}",
            f"SELECT key FROM task_records WHERE {where} AND plan = 'p' ORDER BY rank, created_at, key LIMIT 8",
        ):
            (step,) = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
            assert "SEARCH task_records USING COVERING INDEX task_records_by_worker" in str(step)
