"""Settings in a query string, for a link that leads to the same experiment: what is at its default is left out."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from comity.data.partition import Hospital
from comity.faces.playground.bounded import Range
from comity.faces.playground.data_sets import DATA_SETS, MOST, DataSet
from comity.faces.playground.settings import HOSPITALS, NOISE, POSITIVE, ROUNDS, ROWS, SEED, SHIFT, Settings
from comity.values.errors import InvalidInput, unknown

LONGEST = 2000
"""Characters."""

LETTERS = "abcdef"[:MOST]

SLIDERS: Mapping[str, Range] = {"rows": ROWS, "positive": POSITIVE, "noise": NOISE, "shift": SHIFT}
"""Of every hospital; in a query with the hospital's letter before, as `a.rows`."""

NAMES = (
    "data",
    "hospitals",
    *(f"{letter}.{name}" for letter in LETTERS for name in SLIDERS),
    "strategy",
    "rounds",
    "secure_sum",
    "epsilon",
    "seed",
)


def settings_from(query: str) -> Settings:
    """The settings of a query; raises InvalidInput or NotSupported for what cannot be.

    Hospitals beyond their number are not looked at, so that a form may send all of its fields.

    >>> settings_from("hospitals=3&c.positive=0.5&secure_sum=on").secure_sum
    True
    """
    given = _parsed(query)
    data = given.get("data", Settings().data)
    if data not in DATA_SETS:
        raise unknown("data set", data[:40], DATA_SETS)
    data_set = DATA_SETS[data]
    count = _whole(given, "hospitals", HOSPITALS, 2)
    if "epsilon" in given:
        raise InvalidInput(f"epsilon cannot be set: {Settings().reasons['epsilon']}")
    return Settings(
        data=data,
        hospitals=tuple(_hospital(given, letter, data_set) for letter in LETTERS[:count]),
        strategy=given.get("strategy", "FedAvg")[:40],
        rounds=_whole(given, "rounds", ROUNDS, data_set.rounds),
        secure_sum=_switch(given, "secure_sum"),
        seed=_whole(given, "seed", SEED, 0),
    )


def query_of(settings: Settings) -> str:
    """The query that leads to these settings, the same for the same.

    >>> query_of(Settings(rounds=30))
    'rounds=30'
    """
    plain = Settings(data=settings.data, hospitals=settings.data_set.hospitals[:2])
    made: dict[str, str] = {}
    if settings.data != Settings().data:
        made["data"] = settings.data
    if len(settings.hospitals) != 2:
        made["hospitals"] = str(len(settings.hospitals))
    for letter, hospital, usual in zip(LETTERS, settings.hospitals, settings.data_set.hospitals, strict=False):
        for name in SLIDERS:
            if getattr(hospital, name) != getattr(usual, name):
                made[f"{letter}.{name}"] = f"{getattr(hospital, name):g}"
    if settings.strategy != plain.strategy:
        made["strategy"] = settings.strategy
    if settings.rounds != settings.data_set.rounds:
        made["rounds"] = str(settings.rounds)
    if settings.secure_sum:
        made["secure_sum"] = "on"
    if settings.seed:
        made["seed"] = str(settings.seed)
    return urlencode(made)


def _parsed(query: str) -> dict[str, str]:
    if len(query) > LONGEST:
        raise InvalidInput(f"this link is longer than the {LONGEST} characters that an experiment takes")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:
        raise InvalidInput(f"this link cannot be read: {error}; copy it again, whole") from error
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in NAMES:
            raise unknown("setting", name[:40], NAMES)
        if name in given:
            raise InvalidInput(f"the setting {name} is given twice; give it once")
        given[name] = value
    return given


def _hospital(given: Mapping[str, str], letter: str, data_set: DataSet) -> Hospital:
    usual = data_set.hospitals[LETTERS.index(letter)]
    values = {
        name: range_.read(given[f"{letter}.{name}"]) if f"{letter}.{name}" in given else getattr(usual, name)
        for name, range_ in SLIDERS.items()
    }
    return Hospital(rows=int(values["rows"]), positive=values["positive"], noise=values["noise"], shift=values["shift"])


def _whole(given: Mapping[str, str], name: str, range_: Range, otherwise: int) -> int:
    return int(range_.read(given[name])) if name in given else otherwise


def _switch(given: Mapping[str, str], name: str) -> bool:
    value = given.get(name, "off")
    if value not in ("on", "off"):
        raise InvalidInput(f"{name} must be on or off, not {value[:40]!r}")
    return value == "on"
