"""What a result says, in plain words, and what it does not.

One method is called better than another only where their bands do not touch: each of its three runs was better than
each of the other's. Were both equally good, chance would do that, one way or the other, in one of ten comparisons
(2 · 3! 3! / 6!). Where bands touch, the reading says that these runs cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from comity.engine.simulate import FEDERATED
from comity.engine.sites import POOLED
from comity.faces.playground.experiment import methods
from comity.faces.playground.results import METRIC_NAMES, Band, Results


def reading(results: Results) -> list[str]:
    """Paragraphs about a complete run: the verdict first, how far to trust it last."""
    auc, balanced = (_against_each(results, metric) for metric in METRIC_NAMES)
    made = [auc, _against_pooled(results)]
    if balanced != auc.replace(METRIC_NAMES["auc"], METRIC_NAMES["balanced_accuracy"]):
        made.append(balanced)
    made += [_threshold(results), _privacy(results), _caveat(results)]
    return [each for each in made if each]


def standard_error(auc: float, negatives: int, positives: int) -> float:
    """Of an AUC measured on so many rows, by chance of who is among them (Hanley and McNeil, Radiology 1982, eq. 2).

    >>> round(standard_error(0.78, 114, 42), 3)
    0.046
    """
    one, two = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (one - auc * auc) + (negatives - 1) * (two - auc * auc)
    return sqrt(spread / (positives * negatives))


def shown(band: Band, digits: int = 2) -> tuple[str, str]:
    """(mean, from the least to the most) in figures.

    >>> shown(Band((0.75, 0.78, 0.84)))
    ('0.79', '(0.75 to 0.84)')
    """
    return f"{band.mean:.{digits}f}", f"({band.least:.{digits}f} to {band.most:.{digits}f})"


def digits_of(bands: Sequence[Band]) -> int:
    """How many decimals these take: one more where all lie close together."""
    return 2 if max(band.most for band in bands) - min(band.least for band in bands) >= 0.1 else 3


def _against_each(results: Results, metric: str) -> str:
    together, name = _last(results, FEDERATED, metric), METRIC_NAMES[metric]
    alone = {hospital: _last(results, hospital, metric) for hospital in results.settings.names}
    beaten = [hospital for hospital, band in alone.items() if together.above(band)]
    better = [hospital for hospital, band in alone.items() if band.above(together)]
    unclear = [hospital for hospital in alone if hospital not in beaten and hospital not in better]
    led = f"By {name}, training together reaches {_said(results, together, metric)}."
    if len(beaten) == len(alone):
        return f"{led} That is better than every hospital alone: no run of any of them was as good as any run together."
    said = [led]
    if better:
        said.append(f"{_listed(better)} alone {'is' if len(better) == 1 else 'are'} better than that, in every run.")
    if beaten:
        said.append(f"It is better than {_listed(beaten)} alone, in every run.")
    if unclear:
        whom = "any hospital alone" if len(unclear) == len(alone) else f"{_listed(unclear)} alone"
        said.append(f"These runs cannot tell it from {whom}: the bands overlap.")
    if better:
        said.append("Here training together did not pay for all.")
    elif not beaten:
        said.append("So there is no winner here.")
    return " ".join(said)


def _against_pooled(results: Results) -> str:
    together, pooled = (_last(results, method, "auc") for method in (FEDERATED, POOLED))
    said = _said(results, pooled, "auc")
    if pooled.above(together):
        return (
            f"With all rows in one place the AUC would be {said}: better than together, in every run. That is "
            "what it costs here to leave the data where they are."
        )
    if together.above(pooled):
        return f"With all rows in one place the AUC would be {said}: less than together, in every run."
    return (
        f"With all rows in one place the AUC would be {said}. These runs cannot tell that from training "
        "together, which leaves the data where they are."
    )


def _threshold(results: Results) -> str:
    """Why balanced accuracy can fall behind AUC, where it does for a hospital with an odd mix of patients."""
    settings = results.settings
    odd = [
        name
        for name, hospital in zip(settings.names, settings.hospitals, strict=True)
        if abs(hospital.positive - 0.5) >= 0.2
        and _last(results, name, "auc").mean - _last(results, name, "balanced_accuracy").mean > 0.1
    ]
    if not odd:
        return ""
    one = len(odd) == 1
    return (
        f"{_listed(odd)} {'sees' if one else 'see'} a one-sided mix of {settings.data_set.rows[1]}, and alone "
        f"{'answers' if one else 'answer'} too often with the class met most: scores can be in a good order (AUC) and "
        "answers still be bad (balanced accuracy)."
    )


def _caveat(results: Results) -> str:
    negatives, positives = results.settings.data_set.validation
    value = min(max(_last(results, FEDERATED, "auc").mean, 0.5), 0.99)
    error = standard_error(value, negatives, positives)
    rows, ill = results.settings.data_set.rows[1], results.settings.data_set.classes[1]
    return (
        f"Bands go from the lowest to the highest of three runs, in which {rows} are dealt and models begun anew; of "
        "two methods that are equally good, chance parts the bands in one of ten comparisons. All are measured on "
        f"the same {negatives + positives} {rows}, {positives} of them {ill}: by chance of who is among these, any AUC "
        f"here has a standard error of about {error:.2f} besides."
    )


def _privacy(results: Results) -> str:
    if not results.settings.secure_sum:
        return ""
    return (
        "Updates were summed securely: whoever combined them saw no hospital's own. That hides whose an update is. It "
        "does not hide what a model tells of a patient, which is for differential privacy to limit, and that was off."
    )


def _said(results: Results, band: Band, metric: str) -> str:
    every = [_last(results, method, metric) for method in methods(results.settings)]
    return " ".join(shown(band, digits_of(every)))


def _last(results: Results, method: str, metric: str) -> Band:
    band = results.last(method, metric)
    assert band is not None, "a reading is of a complete run"
    return band


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
