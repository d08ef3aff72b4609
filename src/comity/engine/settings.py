"""One field of an experiment set by its path, as in `train.optimizer.lr=0.01`."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

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
    names = [field.name for field in fields(value) if field.init]
    if key not in names:
        raise unknown(f"field of {type(value).__name__}", key, names)
    old = getattr(value, key)
    if not rest:
        simple = old is None or isinstance(old, bool | int | float | str)
        if not simple:
            raise InvalidInput(f"{path!r} is {old!r}; only numbers, text and switches can be set")
        wanted = type(old)
        if isinstance(old, float) and isinstance(new, int) and not isinstance(new, bool):
            new = float(new)
        if old is not None and type(new) is not wanted and not (isinstance(old, int) and isinstance(new, float)):
            raise InvalidInput(f"{path!r} is a {wanted.__name__} ({old!r}); {new!r} is none")
        return replace(value, **{key: new})
    return replace(value, **{key: _replaced(old, rest, new, path)})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
