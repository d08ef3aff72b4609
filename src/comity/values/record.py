"""Frozen dataclasses of trees and numbers, to a tree and back, bit for bit.

Fields may be annotated Tree, Array, int, float, bool or one of these `| None`. A strategy's state is
such a record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Optional, TypeVar

import numpy as np

from comity.values.errors import InvalidInput, a
from comity.values.tree import Array, Tree

R = TypeVar("R")

KINDS: Mapping[Any, str] = {Tree: "Tree", Array: "Array", int: "int", float: "float", bool: "bool"}

NAMES = {**KINDS, **{Optional[kind]: f"{name} | None" for kind, name in KINDS.items()}}  # noqa: UP045, Tree is no class
"""How each annotation is written, for dataclasses whose annotations are not text."""

NUMBERS: Mapping[type, Any] = {bool: np.bool_, int: np.int64, float: np.float64}


def to_tree(record: Any) -> Tree:
    """The record's fields by name: numbers become arrays without axes, None and empty trees are left out."""
    made: dict[str, Any] = {}
    for each in fields(record):
        value = getattr(record, each.name)
        if isinstance(value, (Mapping, np.ndarray)):
            made[each.name] = value
        elif type(value) in NUMBERS:
            if type(value) is int and not -(2**63) <= value < 2**63:
                raise InvalidInput(f"{type(record).__name__}.{each.name} is {value}, which does not fit in 64 bits")
            made[each.name] = np.asarray(value, dtype=NUMBERS[type(value)])
        elif value is not None:
            raise InvalidInput(f"{type(record).__name__}.{each.name} is {a(value)}; use trees, arrays, numbers or None")
    return made


def from_tree(kind: type[R], stored: Tree) -> R:
    """The record of this kind that `to_tree` made `stored` from; raises InvalidInput when it does not fit."""
    declared = {each.name: _annotation(kind, each.name, each.type) for each in fields(kind)}  # pyright: ignore
    extra = sorted(set(stored) - set(declared))
    if extra:
        raise InvalidInput(f"{kind.__name__} has no field {extra[0]!r}; was this stored by another strategy?")
    return kind(**{name: _restore(kind, name, annotation, stored.get(name)) for name, annotation in declared.items()})


def _annotation(kind: type, name: str, annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else NAMES.get(annotation, str(annotation))
    text = re.sub(r"\w+\.", "", text)  # co.tree.Tree is Tree
    if text not in NAMES.values():
        raise InvalidInput(f"{kind.__name__}.{name} is declared {text}; declare Tree, Array, int, float or bool")
    return text


def _restore(kind: type, name: str, annotation: str, value: Array | Tree | None) -> Any:
    wanted, _, optional = annotation.partition(" | ")
    if value is None:
        if optional == "None":
            return None
        if wanted == "Tree":
            return {}
        raise InvalidInput(f"{kind.__name__}.{name} is missing from what was stored")
    if isinstance(value, Mapping) != (wanted == "Tree"):
        raise InvalidInput(f"{kind.__name__}.{name} should be {wanted} but another kind of value was stored")
    if wanted in ("int", "float", "bool"):
        number, python = np.asarray(value), {"int": int, "float": float, "bool": bool}[wanted]
        if number.shape != () or number.dtype != NUMBERS[python]:
            raise InvalidInput(
                f"{kind.__name__}.{name} should be one {wanted} but is {number.dtype} of shape {number.shape}"
            )
        return python(number)
    return value
