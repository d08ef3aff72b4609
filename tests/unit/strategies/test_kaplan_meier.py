"""Kaplan-Meier and log-rank against lifelines on the pooled rows."""

import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from lifelines.datasets import load_rossi, load_waltons
from lifelines.statistics import logrank_test, multivariate_logrank_test
from lifelines.utils import median_survival_times

from comity.strategies.kaplan_meier import KaplanMeier
from comity.values.errors import InvalidInput
from comity.values.rows import Rows

WEEKS = tuple(range(1, 53))


@pytest.fixture
def rossi():
    return load_rossi()


def rows_of(frame, group, time="week", event="arrest"):
    return Rows(frame[[group]].to_numpy(float), frame[[time, event]].to_numpy(float), (group,))


def test_curves_and_intervals_are_those_of_lifelines(rossi, analyze, dealt):
    strategy = KaplanMeier(times=WEEKS, group="fin")
    table = strategy.table(analyze(strategy, *dealt(rows_of(rossi, "fin"))))
    assert "exact" in table.title
    for value in (0, 1):
        rows = rossi[rossi.fin == value]
        expected = KaplanMeierFitter().fit(rows.week, rows.arrest, timeline=WEEKS)
        mine = [row for row in table.records() if row["group"] == f"fin = {value}"]
        limits = expected.confidence_interval_.loc[list(WEEKS)].to_numpy()
        np.testing.assert_allclose([row["survival"] for row in mine], expected.predict(list(WEEKS)), rtol=1e-12)
        inside = np.array([row["survival"] < 1 for row in mine])
        np.testing.assert_allclose(
            [row["95% low"] for row in mine if row["survival"] < 1], limits[inside, 0], rtol=1e-9
        )
        np.testing.assert_allclose(
            [row["95% high"] for row in mine if row["survival"] < 1], limits[inside, 1], rtol=1e-9
        )
        assert mine[-1]["at risk"] == (rows.week >= 52).sum()
        assert sum(row["events"] for row in mine) == rows.arrest.sum()


def test_greenwood_by_hand(analyze):
    """Four rows: S(1) = 3/4 with variance (3/4)² · 1/(4·3); one leaves; S(3) = 3/8 with + 1/(2·1)."""
    y = np.array([[1.0, 1], [2.0, 0], [3.0, 1], [4.0, 1]])
    strategy = KaplanMeier(times=(1, 2, 3, 4))
    found = strategy.model(analyze(strategy, Rows(np.zeros((2, 1)), y[:2]), Rows(np.zeros((2, 1)), y[2:])), {})
    np.testing.assert_allclose(found["survival"], [[3 / 4, 3 / 4, 3 / 8, 0]])
    np.testing.assert_allclose(found["variance"], [[9 / 16 / 12, 9 / 16 / 12, 9 / 64 * (1 / 12 + 1 / 2), 0]])


def test_the_median_and_its_interval_are_those_of_lifelines(analyze, dealt):
    data = load_waltons()
    data["control"] = (data.group == "control").astype(float)
    strategy = KaplanMeier(times=tuple(sorted(data["T"].unique())), group="control")
    medians = strategy.medians(analyze(strategy, *dealt(rows_of(data, "control", "T", "E"))))
    for row, value in zip(medians.rows, (0, 1), strict=True):
        part = data[data.control == value]
        expected = KaplanMeierFitter().fit(part["T"], part["E"])
        limits = median_survival_times(expected.confidence_interval_).to_numpy()[0]
        assert row[1:] == (expected.median_survival_time_, *limits)


@pytest.mark.parametrize("rows", range(2, 400, 2))
def test_when_exactly_half_have_had_the_event_the_median_is_then(rows, analyze):
    """Of 2k rows that die one by one the k-th ends half of them, however the product of 2k - 1 over 2k, ... rounds."""
    time = np.arange(1.0, rows + 1)
    strategy = KaplanMeier(times=tuple(time))
    medians = strategy.medians(analyze(strategy, Rows(np.zeros((rows, 1)), np.column_stack([time, np.ones(rows)]))))
    assert medians.column("median") == [rows / 2]


def test_a_median_that_is_not_reached_is_empty(rossi, analyze):
    strategy = KaplanMeier(times=WEEKS)
    assert strategy.medians(analyze(strategy, rows_of(rossi, "fin"))).rows == (("all", None, None, None),)


def test_log_rank_is_that_of_lifelines(rossi, analyze, dealt):
    strategy = KaplanMeier(times=WEEKS, group="race")
    sites = dealt(rows_of(rossi, "race"))
    pooled, stratified = strategy.log_rank(analyze(strategy, *sites)).rows
    first, second = rossi[rossi.race == 0], rossi[rossi.race == 1]
    expected = logrank_test(first.week, second.week, first.arrest, second.arrest)
    assert pooled == ("all sites as one", pytest.approx(expected.test_statistic), 1, pytest.approx(expected.p_value))
    assert stratified[1:] == pytest.approx(by_strata(sites), rel=1e-9)


def by_strata(sites):
    """Chi², df and p by a loop over sites and event times: hypergeometric mean and variance of group 1."""
    from scipy.stats import chi2, hypergeom

    observed = expected = variance = 0.0
    for rows in sites:
        group, (time, event) = rows.x[:, 0] == 1, rows.y.T
        for t in np.unique(time[event == 1]):
            d, n = int(((time == t) & (event == 1)).sum()), int((time >= t).sum())
            chance = hypergeom(n, int((group & (time >= t)).sum()), d)
            observed += ((time == t) & (event == 1) & group).sum()
            expected, variance = expected + chance.mean(), variance + (chance.var() if n > 1 else 0.0)
    statistic = (observed - expected) ** 2 / variance
    return statistic, 1, chi2.sf(statistic, 1)


def test_log_rank_of_three_groups_is_that_of_lifelines_and_unseen_groups_do_not_count(rossi, analyze, dealt):
    values = tuple(range(7))
    rossi = rossi[rossi.prio <= 2]
    strategy = KaplanMeier(times=WEEKS, group="prio", values=values)
    pooled, _ = strategy.log_rank(analyze(strategy, *dealt(rows_of(rossi, "prio")))).rows
    expected = multivariate_logrank_test(rossi.week, rossi.prio, rossi.arrest)
    assert pooled[1:] == (pytest.approx(expected.test_statistic), 2, pytest.approx(expected.p_value))


def test_a_coarse_grid_says_what_it_moves_and_leaves_out(rossi, analyze):
    """Without censoring before them, survival at the times of a coarse grid is exact all the same."""
    strategy = KaplanMeier(times=(10, 20, 40))
    state = analyze(strategy, rows_of(rossi, "fin"))
    events = rossi.week[rossi.arrest == 1]
    late, on = (events > 40).sum(), events.isin([10, 20, 40]).sum()
    table = strategy.table(state)
    assert f"{len(events) - late - on} events moved" in table.title
    assert f"{late} events after its last time left out" in table.title
    expected = KaplanMeierFitter().fit(rossi.week, rossi.arrest).predict([10, 20, 40])
    np.testing.assert_allclose(table.column("survival"), expected, rtol=1e-12)


def test_what_cannot_be_done_is_refused(rossi, analyze):
    with pytest.raises(InvalidInput, match="did you mean 'fin'"):
        analyze(KaplanMeier(times=WEEKS, group="fim"), rows_of(rossi, "fin"))
    with pytest.raises(InvalidInput, match="list all values"):
        analyze(KaplanMeier(times=WEEKS, group="prio"), rows_of(rossi, "prio"))
    for times in ((), (2, 1), (1, float("nan"))):
        with pytest.raises(InvalidInput, match="times"):
            KaplanMeier(times=times)
    with pytest.raises(InvalidInput, match="values"):
        KaplanMeier(times=(1,), values=(1, 1))
    for given in ({"times": 12}, {"times": (1, 2), "values": 1}):
        with pytest.raises(InvalidInput, match="must be a list of finite numbers"):
            KaplanMeier(**given)
    with pytest.raises(InvalidInput, match="no column at site 'site 0' called 3"):
        analyze(KaplanMeier(times=WEEKS, group=3), rows_of(rossi, "fin"))
    with pytest.raises(InvalidInput, match="times below 0"):
        analyze(KaplanMeier(times=WEEKS), Rows(np.zeros((1, 1)), np.array([[-1.0, 1]])))


def test_only_the_group_column_has_to_be_complete(analyze):
    x, y = np.array([[0, np.nan], [1, 2.0]]), np.array([[1.0, 1], [2.0, 1]])
    strategy = KaplanMeier(times=np.array([1, 2]), group="arm")
    state = analyze(strategy, Rows(x, y, ("arm", "weight")))
    assert strategy.table(state).column("survival") == [0.0, 0.0, 1.0, 0.0]
    with pytest.raises(InvalidInput, match=r"'arm' holds values other than .*, or missing ones"):
        analyze(strategy, Rows(x[:, ::-1], y, ("arm", "weight")))
