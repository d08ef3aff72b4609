"""Exact federated Cox regression on TCGA-BRCA, six regions, against independent fits on the pooled rows."""

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.utils import concordance_index
from scipy.optimize import minimize

import comity as co
from comity.faces.demos import survival

PENALTIES = (0.001, 0.01, 0.03)

FIVE = (
    "age_at_index",
    "ajcc_pathologic_stage_Stage IIA",
    "ajcc_pathologic_stage_Stage IIB",
    "ajcc_pathologic_stage_Stage IIIA",
    "ajcc_pathologic_stage_Stage IIIC",
)
"""Full rank, with a finite maximum of the likelihood."""

LEFT_OUT = ("race_", "primary_diagnosis_", "prior_malignancy_yes", "synchronous_malignancy_Not Reported", "tumor_stage")
"""Without columns of these names 25 are left, again of full rank and with a finite maximum."""

Y = ("time", "death")


@pytest.fixture(scope="module")
def sites():
    return co.data.brca()


@pytest.fixture(scope="module")
def runs(sites):
    return {l2: co.simulate(survival.experiment(l2), sites) for l2 in PENALTIES}


@pytest.mark.parametrize("l2", PENALTIES)
def test_all_test_patients_are_ranked_better_than_by_any_published_strategy(sites, runs, l2):
    risk = np.concatenate([runs[l2].predict(site.test.x) for site in sites])
    time, event = np.concatenate([site.test.y for site in sites]).T
    exact = concordance_index(time, -risk, event)
    assert exact >= 0.84
    assert runs[l2].scores("concordance")[1] == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("l2", PENALTIES)
def test_coefficients_are_those_of_the_stratified_model_on_pooled_rows(sites, runs, l2):
    expected = penalized_fit([(site.train.x, *site.train.y.T) for site in sites], l2)
    np.testing.assert_allclose(runs[l2].model["coef"], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("chosen", [FIVE, "25 columns"])
def test_unpenalized_estimates_and_standard_errors_are_those_of_lifelines(sites, chosen):
    columns = sites[0].train.columns
    kept = [name for name in columns if (name in chosen if chosen is FIVE else not name.startswith(LEFT_OUT))]
    assert len(kept) == (5 if chosen is FIVE else 25)
    narrow = [co.Site(site.name, part(site.train, kept)) for site in sites]
    experiment = co.Experiment(strategy=co.strategies.CoxRegression(ties="efron"), rounds=50)
    table = co.simulate(experiment, narrow).table()

    frame = pd.concat(
        pd.DataFrame(site.train.x, columns=kept).assign(site=site.name, **dict(zip(Y, site.train.y.T, strict=True)))
        for site in narrow
    )
    fitted = CoxPHFitter().fit(frame, *Y, strata=["site"], fit_options={"precision": 1e-12})
    assert table.column("column") == list(fitted.summary.index) == kept
    np.testing.assert_allclose(table.column("coefficient"), fitted.summary["coef"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(table.column("std error"), fitted.summary["se(coef)"], rtol=0, atol=1e-5)


def test_the_demo_beats_what_is_published_and_every_region_alone():
    methods = {method.name: method for method in survival.demo(iter).methods}
    federated = min(methods[f"Federated Cox, l2 {l2:g}"].pooled_test for l2 in PENALTIES)
    assert federated >= 0.84
    assert federated > max(m.published for m in methods.values() if m.published)
    assert federated > max(m.pooled_test for m in methods.values() if m.kind == "alone")


def part(rows, kept):
    return co.Rows(rows.x[:, [rows.columns.index(name) for name in kept]], rows.y, columns=tuple(kept))


def penalized_fit(strata, l2):
    """Coefficients (d,) of a Cox model with a baseline for each stratum, by a loop over the events."""
    rows = sum(len(x) for x, _, _ in strata)

    def objective(coef):
        """-log partial likelihood (Breslow) / rows + l2 |coef|², with gradient and Hessian."""
        value, gradient, hessian = 0.0, np.zeros_like(coef), np.zeros((len(coef), len(coef)))
        for x, time, event in strata:
            for died in np.flatnonzero(event == 1):
                at_risk = x[time >= time[died]]
                risk = np.exp(at_risk @ coef)
                share = risk / risk.sum()
                mean = share @ at_risk
                value += np.log(risk.sum()) - x[died] @ coef
                gradient += mean - x[died]
                hessian += (at_risk - mean).T @ ((at_risk - mean) * share[:, None])
        unit = np.eye(len(coef))
        return value / rows + l2 * coef @ coef, gradient / rows + 2 * l2 * coef, hessian / rows + 2 * l2 * unit

    start = np.zeros(strata[0][0].shape[1])
    coef = minimize(lambda c: objective(c)[:2], start, jac=True, method="L-BFGS-B").x
    for _ in range(5):
        _, gradient, hessian = objective(coef)
        coef = coef - np.linalg.solve(hessian, gradient)
    assert np.abs(objective(coef)[1]).max() < 1e-12
    return coef
