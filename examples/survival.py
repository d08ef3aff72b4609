"""Six regions fit one Cox model, exactly: comity run examples/survival.py"""

import comity as co

experiment = co.Experiment(
    strategy=co.strategies.CoxRegression(l2=0.01, ties="efron"),
    metrics=[co.metrics.concordance],
    rounds=30,
)

sites = co.data.brca()
