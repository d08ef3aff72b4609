"""The floor of the playground's instant run: logistic regressions on needle biopsies by bare loops, and nothing else.

Two hospitals of 30 biopsies, 80 % and 20 % malignant; alone, together and on all, for three seeds and 20 rounds; AUC
and balanced accuracy after each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).parents[2] / "src" / "comity" / "data" / "files" / "breast_cancer" / "breast_cancer.csv"
ROUNDS, SEEDS, BATCH, LR = 20, 3, 8, 0.05
JOBS = [(seed, sites) for seed in range(SEEDS) for sites in ((0, 1), (0,), (1,), (2,))]


def biopsies() -> tuple[np.ndarray, ...]:
    """Measures and labels to train on, and those to measure on."""
    table = np.loadtxt(FILE, delimiter=",", skiprows=1)
    test = np.arange(len(table)) % 3 == 2
    x, y = table[:, :-1], 1.0 - table[:, -1]
    x = (x - x[~test].mean(0)) / x[~test].std(0)
    return x[~test], y[~test], x[test], y[test]


def job(data: tuple[np.ndarray, ...], seed: int, sites: tuple[int, ...]) -> list[tuple[float, float]]:
    """One way to train under one seed: its measures after each round."""
    x, y, test_x, test_y = data
    source = np.random.default_rng(seed)
    well, ill = (source.permutation(np.flatnonzero(y == label)) for label in (0, 1))
    dealt = [np.concatenate([well[:6], ill[:24]]), np.concatenate([well[6:30], ill[24:30]])]
    dealt.append(np.concatenate(dealt))
    weight, bias, measures = source.normal(size=30) / 30, 0.0, []
    total = sum(len(dealt[site]) for site in sites)
    for _ in range(ROUNDS):
        summed, summed_bias = np.zeros(30), 0.0
        for site in sites:
            own, own_bias, rows = weight.copy(), bias, source.permutation(dealt[site])
            for at in range(0, len(rows), BATCH):
                part = x[rows[at : at + BATCH]]
                error = (1 / (1 + np.exp(-(part @ own + own_bias))) - y[rows[at : at + BATCH]]) / len(part)
                own -= LR * (part.T @ error)
                own_bias -= LR * error.sum()
            summed += own * len(rows) / total
            summed_bias += own_bias * len(rows) / total
        weight, bias = summed, summed_bias
        score = test_x @ weight + bias
        high, low = score[test_y == 1], score[test_y == 0]
        measures.append(((high[:, None] > low).mean(), ((high > 0).mean() + (low <= 0).mean()) / 2))
    return measures
