"""What hyper-parameters may be; each raises InvalidInput that names the field and the value got."""

from math import isfinite
from typing import Any

from comity.values.errors import InvalidInput


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


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _require(holds: bool, name: str, wanted: str, value: object) -> None:
    if not holds:
        raise InvalidInput(f"{name} must be {wanted}, not {value!r}")
