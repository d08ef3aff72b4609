"""One field of an experiment set by its path, as in `train.optimizer.lr=0.01`."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

from comity.engine.declared import as_declared
from comity.engine.experiment import Experiment
from comity.values.errors import InvalidInput, unknown


def with_setting(experiment: Experiment, setting: str) -> Experiment:
    """The experiment with `path=value` applied; the value is JSON, or text when it is not.

    >>> from comity.strategies.cox import CoxRegression
    >>> with_setting(Experiment(strategy=CoxRegression()), "strategy.l2=0.5").strategy.l2
    0.5
    """
    path, equals, text = setting.partition("=")
    if not equals or not path:
        raise InvalidInput(f"a setting is written path=value, e.g. train.optimizer.lr=0.01, not {setting!r}")
    return _replaced(experiment, path.split("."), _value(text), path)


def _replaced(value: Any, keys: list[str], new: Any, path: str) -> Any:
    if not is_dataclass(value) or isinstance(value, type):
        raise InvalidInput(f"{path!r} goes into {value!r}, which has no fields")
    key, *rest = keys
    known = {field.name: field for field in fields(value) if field.init}
    if key not in known:
        raise unknown(f"field of {type(value).__name__}", key, known)
    old = getattr(value, key)
    if rest:
        return replace(value, **{key: _replaced(old, rest, new, path)})
    for each in (old, new):
        if not (each is None or isinstance(each, bool | int | float | str)):
            raise InvalidInput(f"{path}: only numbers, text and switches can be set, not {each!r}")
    return replace(value, **{key: as_declared(known[key], new)})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
