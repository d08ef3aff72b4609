"""Experiments read from their JSON."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from pathlib import Path

from comity.engine import document
from comity.engine.experiment import Experiment
from comity.engine.names import public_name
from comity.values.errors import ComityError, InvalidInput, a, unknown


def read_experiment(text: str) -> Experiment:
    """The experiment that `experiment.to_json()` wrote, of which a report holds the text in experiment.json.

    Imports the modules and calls the classes that the text names, so read only texts you trust. Raises
    InvalidInput when a module is missing or is another version than the experiment was made with.
    """
    if isinstance(text, Path) or str(text).endswith(".json"):
        raise InvalidInput(
            f"give the JSON text itself, not a path to it: read_experiment(Path({str(text)!r}).read_text())"
        )
    try:
        made = document.decode(json.loads(text), kind)
    except ComityError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"this is not the JSON of an experiment: {error}") from error
    if not isinstance(made, Experiment):
        raise InvalidInput(f"this is {a(made)}, not an experiment")
    return made


def kind(name: str) -> type:
    """The class that a document calls by this name."""
    import comity

    package, _, last = name.rpartition(".")
    if package not in ("", "strategies", "metrics", "privacy", "compression", "torch", "sklearn", "numpy"):
        raise unknown("type", name, ())
    place = getattr(comity, package) if package else comity
    found = getattr(place, last, None)
    if not (isinstance(found, type) and is_dataclass(found) and public_name(found) == name):
        raise unknown("type", last, [each for each in dir(place) if each[:1].isupper()])
    return found
