"""What the templates of the playground are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from comity.faces.credit import credit
from comity.faces.playground.chart import chart, mark, strip
from comity.faces.playground.data_sets import DATA_SETS
from comity.faces.playground.experiment import methods
from comity.faces.playground.offered import offered
from comity.faces.playground.query import LETTERS, SLIDERS, query_of, settings_from
from comity.faces.playground.reading import digits_of, reading, shown
from comity.faces.playground.results import METRIC_NAMES, Band, Results, title_of
from comity.faces.playground.settings import HOSPITALS, ROUNDS, SEED, SEEDS, Settings
from comity.values.errors import NotSupported

LABELS: Mapping[str, str] = {"noise": "Noise", "shift": "Shift"}

ABOUT: Mapping[str, str] = {
    "auc": "how well scores put the ill above the healthy; 0.5 is chance",
    "balanced_accuracy": "the share of right answers, ill and healthy counting the same; 0.5 is chance",
}


def form(settings: Settings) -> Mapping[str, Any]:
    """The controls at these settings."""
    data = settings.data_set
    beyond = data.hospitals[len(settings.hospitals) :]
    return {
        "settings": settings,
        "data": data,
        "data_sets": [
            {"set": each, "query": query_of(Settings(data=name, hospitals=each.hospitals[:2]))}
            for name, each in DATA_SETS.items()
        ],
        "counts": range(int(HOSPITALS.least), int(HOSPITALS.most) + 1),
        "hospitals": [
            {"letter": letter, "hospital": each, "shown": at < len(settings.hospitals)}
            for at, (letter, each) in enumerate(zip(LETTERS, [*settings.hospitals, *beyond], strict=True))
        ],
        "sliders": [
            ("rows", data.rows[1].capitalize(), SLIDERS["rows"]),
            ("positive", data.classes[1].capitalize(), SLIDERS["positive"]),
            *((name, label, SLIDERS[name]) for name, label in LABELS.items()),
        ],
        "strategies": offered(data),
        "rounds": ROUNDS,
        "seed": SEED,
        "dealt": dealt(settings),
        "query": query_of(settings),
        "credit": credit(settings.data),
        "what_runs": f"{len(methods(settings))} ways to train, {SEEDS} times each.",
    }


def dealt(settings: Settings) -> Mapping[str, Any]:
    """What the hospitals get, and what therefore does not apply."""
    query, data = query_of(settings), settings.data_set
    return {
        "query": query,
        "reasons": {**settings.reasons, "run": data.missing},
        "hospitals": {
            letter: {
                "picture": f"/playground/samples/{letter}.png?{query}",
                "text": f"{sum(counts)} {data.rows[1]}: {counts[1]} {data.classes[1]}, {counts[0]} {data.classes[0]}",
            }
            for letter, counts in zip(LETTERS, settings.dealt, strict=False)
        },
    }


def as_far_as_it_applies(query: str) -> Settings:
    """The settings of a query, without a secure sum where that does not apply: its control has just been disabled."""
    try:
        return settings_from(query)
    except NotSupported:
        return settings_from(query.replace("secure_sum=on", "secure_sum=off"))


def drawn(results: Results) -> Mapping[str, Any]:
    """The results so far."""
    bands = {
        (method, metric): band
        for method in methods(results.settings)
        for metric in METRIC_NAMES
        if (band := results.last(method, metric))
    }
    known = {metric: [band for (_, of), band in bands.items() if of == metric] for metric in METRIC_NAMES}
    return {
        "results": results,
        "metrics": [
            {"name": name, "about": ABOUT[metric], "chart": Markup(chart(results, metric))}
            for metric, name in METRIC_NAMES.items()
        ],
        "rows": [
            {
                "title": title_of(method),
                "mark": mark(method),
                "bands": [
                    _cell(method, band, known[metric]) if (band := bands.get((method, metric))) else None
                    for metric in METRIC_NAMES
                ],
            }
            for method in methods(results.settings)
        ],
        "paragraphs": reading(results) if results.complete else [],
    }


def _cell(method: str, band: Band, among: Sequence[Band]) -> Mapping[str, Any]:
    low, high = min(each.least for each in among), max(each.most for each in among)
    mean, span = shown(band, digits_of(among))
    return {"strip": Markup(strip(band, method, low, max(high, low + 1e-6))), "mean": mean, "span": span}
