"""How the scores of positives and of negatives are spread: enough to rank rows across sites.

Bins are of equal width in arcsin √p, the transform that gives proportions equal variance, so that the
small scores of rare events are told apart: with 4,096 bins the first is 1.5e-7 wide, one in the middle 4e-4.
"""

from __future__ import annotations

import numpy as np

from comity.metrics._labelled import labelled
from comity.values.contribution import Contribution
from comity.values.rows import Rows
from comity.values.tree import Array


def score_histogram(predictions: Array, rows: Rows, bins: int) -> Contribution:
    """Counts (q, bins) of positives and of negatives by score, for each of q two-class questions."""
    score, positive, measured = labelled(predictions, rows).questions()  # (n, q)
    edges = np.sin(np.pi / 2 * np.arange(1, bins) / bins) ** 2
    questions = score.shape[1]
    cell = np.searchsorted(edges, score, side="right") + bins * np.arange(questions)  # (n, q)

    def count(chosen: Array) -> Array:
        return np.bincount(cell[chosen], minlength=questions * bins).reshape(questions, bins)

    return Contribution({"positives": count(measured & positive), "negatives": count(measured & ~positive)}, len(rows))
