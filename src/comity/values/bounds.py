"""What hyper-parameters may be; each raises InvalidInput that names the field and the value got."""

from collections.abc import Iterable
from dataclasses import fields
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np

from comity.values.errors import InvalidInput


def plain(settings: Any) -> None:
    """Make numpy's numbers among a new dataclass's fields Python's own: they would widen arrays, and JSON has none."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, np.generic):
            object.__setattr__(settings, field.name, value.item())


def positive(name: str, value: float) -> None:
    """Above 0 and finite."""
    _require(_number(value) and value > 0, name, "a number above 0", value)


def not_negative(name: str, value: float) -> None:
    """At least 0 and finite."""
    _require(_number(value) and value >= 0, name, "a number of at least 0", value)


def fraction(name: str, value: float) -> None:
    """At least 0 and below 1."""
    _require(_number(value) and 0 <= value < 1, name, "a number of at least 0 and below 1", value)


def count(name: str, value: int, *, least: int = 0) -> None:
    """A whole number, at least `least`.

    >>> count("sites_per_round", -1)
    Traceback (most recent call last):
    comity.values.errors.InvalidInput: sites_per_round must be a whole number of at least 0, not -1
    """
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
    _require(whole, name, f"a whole number of at least {least}", value)


def numbers(name: str, values: Iterable[float]) -> tuple[float, ...]:
    """At least one finite number, numpy's too; gives them as floats.

    >>> numbers("q", 0.5)
    Traceback (most recent call last):
    comity.values.errors.InvalidInput: q must be a list of finite numbers, not 0.5
    """
    listed = list[Any](values) if isinstance(values, Iterable) and not isinstance(values, str) else []
    plain = all(isinstance(value, Real) and not isinstance(value, bool) and isfinite(value) for value in listed)
    _require(bool(listed) and plain, name, "a list of finite numbers", values)
    return tuple(float(value) for value in listed)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _require(holds: bool, name: str, wanted: str, value: object) -> None:
    if not holds:
        raise InvalidInput(f"{name} must be {wanted}, not {value!r}")
