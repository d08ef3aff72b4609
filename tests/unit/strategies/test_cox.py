"""Cox regression against lifelines (Efron) and statsmodels (Breslow) on the pooled rows, stratified by site."""

import numpy as np
import pytest
import statsmodels.api as sm
from lifelines import CoxPHFitter
from lifelines.datasets import load_rossi
from scipy.optimize import brentq

from comity.strategies.cox import CoxRegression
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site
from comity.values.strategy import Network


@pytest.fixture
def rossi():
    """432 released prisoners, weeks to arrest (so many ties), dealt to three sites; the frame names the site."""
    frame = load_rossi()
    frame["site"] = np.random.default_rng(0).integers(3, size=len(frame))
    return frame


def by_site(frame):
    covariates = [name for name in frame.columns if name not in ("week", "arrest", "site")]
    return [
        Rows(part[covariates].to_numpy(float), part[["week", "arrest"]].to_numpy(float), tuple(covariates))
        for _, part in frame.groupby("site")
    ]


def test_efron_is_lifelines_stratified_by_site(rossi, analyze):
    strategy = CoxRegression(ties="efron")
    state = analyze(strategy, *by_site(rossi))
    expected = CoxPHFitter().fit(rossi, "week", "arrest", strata=["site"], fit_options={"precision": 1e-12})
    table, summary = strategy.table(state), expected.summary
    assert table.column("column") == list(summary.index)
    for name, theirs, tolerance in [
        ("coefficient", "coef", 1e-7),
        ("std error", "se(coef)", 1e-7),
        ("z", "z", 1e-6),
        ("p", "p", 1e-6),
        ("95% low", "coef lower 95%", 1e-6),
        ("95% high", "coef upper 95%", 1e-6),
        ("hazard ratio", "exp(coef)", 1e-7),
        ("hazard ratio 95% low", "exp(coef) lower 95%", 1e-6),
        ("hazard ratio 95% high", "exp(coef) upper 95%", 1e-6),
    ]:
        np.testing.assert_allclose(table.column(name), summary[theirs], rtol=tolerance, err_msg=name)
    assert f"log partial likelihood {expected.log_likelihood_:.6g}" in table.title
    test = expected.log_likelihood_ratio_test()
    assert f"chi² {test.test_statistic:.5g} on 7 df, p {test.p_value:.3g}" in table.title
    assert "432 rows, 114 events, 3 strata" in table.title
    assert state.round <= 8


def test_breslow_is_statsmodels_stratified_by_site(rossi, analyze):
    strategy = CoxRegression(ties="breslow")
    table = strategy.table(analyze(strategy, *by_site(rossi)))
    covariates = rossi.drop(columns=["week", "arrest", "site"])
    model = sm.PHReg(rossi.week, covariates, status=rossi.arrest, strata=rossi.site, ties="breslow")
    expected = model.fit(method="newton", tol=1e-12, disp=False)
    np.testing.assert_allclose(table.column("coefficient"), expected.params, rtol=1e-7)
    np.testing.assert_allclose(table.column("std error"), expected.bse, rtol=1e-7)
    np.testing.assert_allclose(table.column("p"), expected.pvalues, rtol=1e-6)


def test_one_site_is_the_plain_model(rossi, analyze):
    strategy = CoxRegression()
    state = analyze(strategy, *by_site(rossi.assign(site=0)))
    expected = CoxPHFitter().fit(rossi.drop(columns="site"), "week", "arrest", fit_options={"precision": 1e-12})
    np.testing.assert_allclose(state.coef, expected.params_, rtol=1e-7)
    x = by_site(rossi.assign(site=0))[0].x
    centred = strategy.predict(strategy.model(state, {}), x - x.mean(axis=0))
    np.testing.assert_allclose(centred, expected.predict_log_partial_hazard(rossi), atol=1e-6)


def test_the_ridge_is_l2_times_the_squared_norm_beside_the_mean_over_all_rows(rossi, analyze):
    """lifelines' penalizer p adds p/2 · ‖scale · coef‖² to the mean, on columns it divides by their deviation."""
    l2, covariates = 0.02, rossi.columns.difference(["week", "arrest", "site"], sort=False)
    rossi = rossi.assign(**{name: rossi[name] / rossi[name].std() for name in covariates})
    strategy = CoxRegression(l2=l2)
    state = analyze(strategy, *by_site(rossi))
    expected = CoxPHFitter(penalizer=2 * l2).fit(
        rossi, "week", "arrest", strata=["site"], fit_options={"precision": 1e-12}
    )
    np.testing.assert_allclose(state.coef, expected.params_, rtol=1e-6)
    assert strategy.table(state).columns == ("column", "coefficient", "hazard ratio")


def test_two_rows_by_hand(analyze):
    """L(b) = e^b/(2e^b + 2) · 1/(e^b + 2) · 1 for times 1, 2, 4 (3 censored): maximal at e^b = √2."""
    y = np.array([[1.0, 1], [2.0, 1], [3.0, 0], [4.0, 1]])
    state = analyze(CoxRegression(), Rows(np.array([[1.0], [0.0], [1.0], [0.0]]), y))
    np.testing.assert_allclose(np.exp(state.coef), [np.sqrt(2)], rtol=1e-12)


def test_columns_far_from_zero_cost_no_digits(rossi, analyze):
    """A shift of a column changes nothing, however large."""
    moved = [Rows(rows.x + 1e6, rows.y, rows.columns) for rows in by_site(rossi)]
    near, far = analyze(CoxRegression(), *by_site(rossi)), analyze(CoxRegression(), *moved)
    np.testing.assert_allclose(far.coef, near.coef, rtol=1e-7)


def test_a_step_that_overshoots_is_halved():
    """Full Newton steps raise the objective here, because of a row far out; the root by bisection."""
    x = np.array([1093, 16, 63, 1, 0, 0, 0, 0, 0, 5.0])
    time = np.array([1, 2, 10, 4, 5, 9, 8, 3, 6, 7.0])
    cox, site = CoxRegression(), Site("A", Rows(x[:, None], np.column_stack([time, np.ones(10)])))
    state, best = cox.init({}, Network(1)), list[float]()
    while not cox.finished(state):
        state = cox.step(state, cox.local(state, {}, site)[0])
        best.append(state.objective)
    assert best == sorted(best, reverse=True)
    assert len(set(best[:5])) == 3, "two of these rounds only halved a step"

    def score(coef):
        sets = [(x[time >= t], np.exp(coef * (x[time >= t] - 1093))) for t in time]
        return x.sum() - sum((row @ risk) / risk.sum() for row, risk in sets)

    np.testing.assert_allclose(state.coef, [brentq(score, 0, 0.1, xtol=1e-15)], rtol=1e-9)


def test_a_column_with_a_monotone_likelihood_is_named(rossi, analyze):
    """No event among those with the gene: its hazard ratio is 0, its coefficient -∞."""
    gene = (np.arange(len(rossi)) % 10 == 0) & (rossi.arrest == 0)
    with pytest.raises(InvalidInput, match=r"no finite estimate exists.*grow without end: gene;"):
        analyze(CoxRegression(), *by_site(rossi.assign(gene=gene.astype(float))))
    analyze(CoxRegression(l2=0.001), *by_site(rossi.assign(gene=gene.astype(float))))


def test_columns_that_the_risk_sets_cannot_tell_apart_are_named(rossi, analyze):
    frame = rossi.assign(twice=2 * rossi.age, hospital=rossi.site == 1)
    with pytest.raises(
        InvalidInput, match="2 columns do not vary or follow from the columns before them: twice, hospital"
    ):
        analyze(CoxRegression(), *by_site(frame.astype(float)))


def test_what_cannot_be_fitted_is_refused(analyze):
    x = np.zeros((2, 1))
    with pytest.raises(InvalidInput, match="no event in 2 rows"):
        analyze(CoxRegression(), Rows(x, np.array([[1.0, 0], [2.0, 0]])))
    with pytest.raises(InvalidInput, match=r"1 \(event\) or 0"):
        analyze(CoxRegression(), Rows(x, np.array([[1.0, 0], [2.0, 2]])))
    with pytest.raises(InvalidInput, match="did you mean 'efron'"):
        CoxRegression(ties="effron")  # pyright: ignore
    with pytest.raises(InvalidInput, match="no way to handle ties called None"):
        CoxRegression(ties=None)  # pyright: ignore
    with pytest.raises(InvalidInput, match="l2"):
        CoxRegression(l2=-1)
