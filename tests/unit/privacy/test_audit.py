"""A canary audit: what DP-SGD is claimed to promise is held against what somebody can tell who sees every step.

Canaries are rows whose gradients lie along directions of their own, as long as the clip allows or longer; half of them
are there. Whoever guesses which, by the best score there is, is right so often that ε must be at least so large
(Kairouz, Oh and Viswanath 2015, theorem 2.1, with Clopper-Pearson bounds of 99.9 %; the threshold is chosen on one half
of the guesses and judged on the other). Since no canary's direction is another's, one run of five hundred is as good as
five hundred runs of one. Mechanisms that are broken on purpose must be found out, and the right one not.
"""

from math import log

import numpy as np
import pytest
from scipy.stats import beta

import comity as co
from comity.engine.repeatable import repeatable
from comity.privacy import epsilon
from comity.values.dp_sgd import DPSGD
from comity.values.model import Training
from comity.values.seed import batches

CANARIES = 500
DELTA = 1e-3
MODEL = co.numpy.Linear(CANARIES, "squared")
TRAIN = co.Train(optimizer=co.SGD(1e-3), batch_size=1, steps=1)
X = 100.0 * np.eye(CANARIES)


def lower_bound(present, absent):
    """What ε is at least, from scores of canaries that were there and of others that were not."""
    tuning = [scores[::2] for scores in (present, absent)]
    judged = [scores[1::2] for scores in (present, absent)]
    found = 0.0
    for flip in (1, -1):  # "it was there" of high scores, and "it was not" of low ones
        thresholds = np.quantile(flip * np.concatenate(tuning), np.linspace(0.5, 0.9999, 60))
        best = max(thresholds, key=lambda at, flip=flip: _ratio(tuning, at, flip))
        found = max(found, _ratio(judged, best, flip))
    return found


def _ratio(scores, threshold, flip):
    present, absent = scores if flip > 0 else scores[::-1]
    right, wrong = int(np.sum(flip * present > threshold)), int(np.sum(flip * absent > threshold))
    most_wrong = beta.ppf(0.999, wrong + 1, len(absent) - wrong)
    least_right = beta.ppf(0.001, right, len(present) - right + 1) if right else 0.0
    return log((least_right - DELTA) / most_wrong) if least_right > DELTA else 0.0


def audited(claimed, runs, *, noise=None, score=None, begin=lambda run: None):
    """The bound of so many runs of one claimed (rate, noise, steps), with another noise, or a score that knows more."""
    rate, multiplier, steps = claimed
    used = multiplier if noise is None else noise
    present, absent = [], []
    for run in range(runs):
        begin(run)
        there = np.random.default_rng(run).permutation(CANARIES) < CANARIES // 2
        rows = co.Rows(X[there], -np.ones(CANARIES // 2))
        how = DPSGD(clip=1.0, noise_multiplier=used, sampling_rate=rate, random=repeatable(run, "audit"))
        params = {"weight": np.zeros(CANARIES), "bias": np.zeros(())}
        seen = []
        for _ in range(steps):
            before, given = params, Training(params=params, rows=rows, train=TRAIN, seed=run, dp_sgd=how)
            params = MODEL.fit(given).params
            seen.append((before["weight"] - params["weight"]) / 1e-3 * rate * (CANARIES // 2))
        shown = np.array(seen)  # (steps, canaries): 1 + noise where a canary was in the sample
        scores = (score or likelihood)(shown, rate, max(used, 0.1), there)
        present.append(scores[there])
        absent.append(scores[~there])
    return lower_bound(np.concatenate(present), np.concatenate(absent))


def likelihood(shown, rate, noise, there):
    """The logarithm of how much likelier it is that the canary was there, its samples being unknown."""
    return np.logaddexp(np.log1p(-rate) if rate < 1 else -np.inf, log(rate) + (2 * shown - 1) / (2 * noise**2)).sum(
        axis=0
    )


WHOLE = (1, 0.8, 1)
SAMPLED = (0.02, 0.8, 50)
CLAIMED = {
    each: epsilon(DELTA, sampling_rate=each[0], noise_multiplier=each[1], steps=each[2]) for each in (WHOLE, SAMPLED)
}


@pytest.mark.parametrize(("claimed", "runs"), [(WHOLE, 80), (SAMPLED, 60)], ids=["whole", "sampled"])
def test_the_right_mechanism_keeps_what_it_claims_and_the_audit_is_not_blind(claimed, runs):
    found = audited(claimed, runs)
    assert 0.25 * CLAIMED[claimed] < found <= CLAIMED[claimed]


@pytest.mark.parametrize("noise", [0.0, 0.4], ids=["no noise", "half noise"])
def test_less_noise_than_claimed_is_found_out(noise):
    assert audited(WHOLE, 80, noise=noise) > CLAIMED[WHOLE]


def test_gradients_that_are_not_clipped_are_found_out(monkeypatch):
    monkeypatch.setattr(DPSGD, "factors", lambda self, norms: np.ones(len(norms)))
    assert audited(WHOLE, 20) > CLAIMED[WHOLE]


def test_fixed_batches_counted_as_poisson_samples_are_found_out(monkeypatch):
    """Shuffled passes whose order follows from the run's seed, as in training without privacy: one of fifty."""
    rate, _, steps = SAMPLED
    rows = CANARIES // 2
    order, known = {}, {}

    def begin(run):
        drawn = list(batches(rows, int(rate * rows), steps, run))
        order["left"] = iter(drawn)
        known["steps"] = np.array([np.isin(np.arange(rows), each) for each in drawn])  # (steps, rows)

    def knowing(shown, rate, noise, there):
        """What is seen in the steps of a canary that is there; of another, in those of one in its place."""
        places = np.empty((steps, CANARIES), bool)
        places[:, there] = places[:, ~there] = known["steps"]
        return (shown * places).sum(axis=0)

    monkeypatch.setattr(DPSGD, "sample", lambda self, rows: next(order["left"]))
    assert audited(SAMPLED, 80, score=knowing, begin=begin) > CLAIMED[SAMPLED]
