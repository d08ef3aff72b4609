"""Settings are held to ranges, and a query string is the same experiment wherever it is opened."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import data
from comity.data.partition import Hospital
from comity.faces.playground.bounded import Range
from comity.faces.playground.data_sets import DATA_SETS, MOST, DataSet, load
from comity.faces.playground.offered import offered
from comity.faces.playground.page import as_far_as_it_applies, dealt
from comity.faces.playground.query import NAMES, query_of, settings_from
from comity.faces.playground.settings import NOISE, POSITIVE, ROUNDS, ROWS, SEED, SHIFT, Settings
from comity.values.errors import ComityError, InvalidInput, NotSupported

sets = pytest.mark.parametrize("data_set", DATA_SETS.values(), ids=DATA_SETS)


def on(range_: Range) -> st.SearchStrategy[float]:
    """The values that a slider can have."""
    steps = st.integers(round(range_.least / range_.step), round(range_.most / range_.step))
    return steps.map(lambda step: round(step * range_.step, 6))


@st.composite
def every_settings(draw: st.DrawFn) -> Settings:
    name = draw(st.sampled_from(sorted(DATA_SETS)))
    hospitals = st.builds(
        Hospital, rows=on(Range("", 10, 40, 10)).map(int), positive=on(POSITIVE), noise=on(NOISE), shift=on(SHIFT)
    )
    dealt = draw(st.lists(hospitals, min_size=2, max_size=MOST))
    made = {
        "data": name,
        "hospitals": tuple(dealt if sum(each.rows for each in dealt) <= 140 else dealt[:3]),
        "strategy": draw(st.sampled_from(sorted(offered(DATA_SETS[name])))),
        "rounds": int(draw(on(ROUNDS))),
        "seed": int(draw(on(SEED))),
    }
    plain = Settings(**made)
    return replace(plain, secure_sum=not plain.reasons["secure_sum"] and draw(st.booleans()))


@given(every_settings())
def test_a_query_leads_back_to_its_settings(settings: Settings) -> None:
    assert settings_from(query_of(settings)) == settings


texts = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.tuples(
            st.sampled_from([*NAMES, "a.color", "x"]), st.one_of(st.text(max_size=8), on(ROWS).map(lambda v: f"{v:g}"))
        ),
        max_size=6,
    ).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)),
)


@given(texts)
def test_any_other_query_is_refused_in_a_sentence_or_is_an_experiment(text: str) -> None:
    said = ""
    try:
        settings = settings_from(text)
    except ComityError as error:
        said = str(error)
    else:
        assert settings_from(query_of(settings)) == settings
        return
    assert 0 < len(said) < 700


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("rounds=51", "the number of rounds must be from 1 to 50, not 51"),
        ("rounds=1e3", "the number of rounds must be a number such as 1, not '1e3'"),
        ("rounds=nan", "must be a number such as 1, not 'nan'"),
        ("rounds=2.5", "goes in steps of 1, which 2.5 is not on"),
        ("hospitals=7", "the number of hospitals must be from 2 to 6, not 7"),
        ("a.rows=15", "a hospital's size goes in steps of 10, which 15 is not on"),
        ("b.noise=-1", "a hospital's noise must be a number such as 0, not '-1'"),
        ("data=brestmnist", "did you mean 'breastmnist'"),
        ("strategy=FedAvgg", "did you mean 'FedAvg'"),
        ("round=3", "did you mean 'rounds'"),
        ("rounds=3&rounds=4", "the setting rounds is given twice"),
        ("secure_sum=yes", "secure_sum must be on or off, not 'yes'"),
        ("secure_sum=on", "it takes at least three"),
        ("hospitals=3&strategy=Median&secure_sum=on", "Median must see every hospital's update by itself"),
        ("epsilon=3", "Differential privacy is not part of comity yet"),
        ("a.rows=240&a.positive=1", "need 264 images that are malignant, but there are 168. Make a hospital smaller"),
        ("a.rows=240&a.positive=0&b.rows=240&b.positive=0", "need 480 images that are normal or benign"),
        ("x" * 2001, "longer than the 2000 characters"),
        ("data=%ff", "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(query: str, said: str) -> None:
    with pytest.raises((InvalidInput, NotSupported), match=said):
        settings_from(query)


def test_a_form_may_send_the_fields_of_hospitals_that_are_not_there() -> None:
    assert settings_from("hospitals=2&f.rows=40&f.positive=0.3&secure_sum=off") == Settings()


def test_a_secure_sum_is_dropped_where_it_does_not_apply_and_nothing_else_is() -> None:
    shown = dealt(as_far_as_it_applies("hospitals=2&rounds=9&secure_sum=on"))
    assert shown["query"] == "rounds=9"
    assert "at least three" in shown["reasons"]["secure_sum"]
    assert dealt(as_far_as_it_applies("hospitals=3&secure_sum=on"))["reasons"]["secure_sum"] == ""


@sets
def test_a_data_set_is_what_is_loaded(data_set: DataSet) -> None:
    for rows, said in zip(load(data_set.name), (data_set.available, data_set.validation), strict=True):
        positive = int(rows.targets.sum())
        assert (len(rows) - positive, positive) == said
        assert rows.x[0].size == data_set.features
    assert data_set.name in data.catalog().column("name")


@sets
@pytest.mark.parametrize("count", range(2, MOST + 1))
def test_there_are_rows_for_hospitals_that_nobody_has_changed(data_set: DataSet, count: int) -> None:
    settings = Settings(data=data_set.name, hospitals=data_set.hospitals[:count])
    assert settings_from(query_of(settings)) == settings
    assert settings.names[-1] == f"Hospital {'ABCDEF'[count - 1]}"


@sets
def test_the_code_of_a_strategy_makes_it(data_set: DataSet) -> None:
    import comity as co

    for each in offered(data_set).values():
        assert eval(each.code, {"co": co}) == each.strategy
