"""What a field's annotation says about a value that comes from a document or a command line."""

from __future__ import annotations

from dataclasses import Field
from typing import Any

from comity.values.errors import InvalidInput

WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}


def as_declared(field: Field[Any], value: Any) -> Any:
    """The value as the field holds it; raises InvalidInput when it is of another kind.

    Only switches, numbers and text are judged; of anything else the class itself knows more. A whole
    number becomes a float where floats belong, for canonical JSON writes 1.0 as 1.
    """
    annotation = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
    wanted, _, optional = annotation.partition(" | ")
    if wanted not in WORDS or (value is None and optional == "None"):
        return value
    if wanted == "float" and type(value) is int:
        return float(value)
    if type(value).__name__ != wanted:
        raise InvalidInput(f"{field.name} must be {WORDS[wanted]}, not {repr(value)[:80]}")
    return value
