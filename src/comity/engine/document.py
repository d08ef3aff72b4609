"""Experiments as canonical JSON, and back.

A value of comity becomes {"type": its public name, its fields}, with fields at their default left
out; a value of a user's own class likewise, its type being what the class is known by
(`names.reference`); a callable becomes what it is known by. So equal experiments have one digest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

from comity.engine.declared import as_declared
from comity.engine.experiment import Experiment
from comity.engine.names import local_reference, public_name, reference
from comity.values.digest import Digest, canonical, digest
from comity.values.errors import ComityError, InvalidInput, NotSupported, a

Naming: TypeAlias = Callable[[Callable[..., Any]], Mapping[str, str]]
"""What a callable is known by."""

Kinds: TypeAlias = Callable[[str], type]
"""The class of a public name, e.g. "strategies.FedAvg"; raises InvalidInput for a name it does not know."""

WHOLE = 2**53
"""From here on canonical JSON has no whole numbers; they are written as text."""
LARGE = re.compile("-?[0-9]{16,100}")


def to_json(experiment: Experiment) -> str:
    """The experiment as canonical JSON text; raises NotSupported for lambdas and closures."""
    return canonical(encode(experiment, reference)).decode()


def experiment_digest(experiment: Experiment) -> Digest:
    """What an experiment is named by: the digest of its canonical JSON."""
    return digest(canonical(encode(experiment, reference)))


def fingerprint(experiment: Experiment) -> Digest:
    """What tells an experiment from another on this machine, its number of rounds aside, unless noise hangs on that.

    Unlike its digest it also exists for lambdas and closures, which are known by their source.
    """
    rounds = experiment.rounds if experiment.record_dp or experiment.site_dp else 1
    return digest(canonical(encode(replace(experiment, rounds=rounds), local_reference)))


def encode(value: Any, name: Naming) -> Any:
    """A part of an experiment as plain JSON."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, int) and abs(value) >= WHOLE:
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [encode(each, name) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Mapping):
        return _mapping(value, name)  # pyright: ignore[reportUnknownArgumentType]
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        held = {f.name: getattr(value, f.name) for f in fields(value) if f.init and not _at_default(value, f)}
        return {"type": public_name(kind) or dict(name(kind)), **_mapping(held, name)}
    if callable(value):
        return dict(name(value))
    raise NotSupported(f"{a(value)} cannot be written as JSON; use numbers, text, named functions and dataclasses")


def decode(document: Any, kinds: Kinds) -> Any:
    """What `encode` made the document of; raises InvalidInput when it is of nothing.

    Imports the modules that it names, and calls the classes that it names with the fields it gives:
    read only documents you trust.
    """
    if isinstance(document, list):
        return tuple(decode(each, kinds) for each in document)  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(document, dict):
        return document
    entries: dict[str, Any] = dict(document)  # pyright: ignore[reportUnknownArgumentType]
    if "callable" in entries:
        return _resolve(entries)
    if "type" not in entries:
        return {key: decode(each, kinds) for key, each in entries.items()}
    kind = _kind(entries.pop("type"), kinds)
    return _made(kind, {key: decode(each, kinds) for key, each in entries.items()})


def _mapping(value: Mapping[Any, Any], name: Naming) -> dict[str, Any]:
    for key in value:
        if not isinstance(key, str) or key in ("type", "callable"):
            raise NotSupported(f"the key or field {key!r} cannot be written as JSON here; call it otherwise")
    return {key: encode(each, name) for key, each in value.items()}


def _at_default(value: Any, declared: Field[Any]) -> bool:
    held, default = getattr(value, declared.name), declared.default
    if declared.default_factory is not MISSING:
        default = declared.default_factory()
    # True equals 1, but a switch is no number
    return default is not MISSING and isinstance(held, bool) == isinstance(default, bool) and bool(held == default)


def _kind(named: Any, kinds: Kinds) -> type:
    found: Any = kinds(named) if isinstance(named, str) else decode(named, kinds)
    if not (isinstance(found, type) and is_dataclass(found)):
        raise InvalidInput(f"{str(named)[:80]} names no class with fields; was this written by another version?")
    return found


def _made(kind: type, entries: Mapping[str, Any]) -> Any:
    known = {f.name: f for f in fields(kind) if f.init}
    for key in entries:
        if key not in known:
            raise InvalidInput(f"{kind.__name__} has no field {key!r}; its fields are {', '.join(known)}")
    for key, field in known.items():
        if key not in entries and field.default is MISSING and field.default_factory is MISSING:
            raise InvalidInput(f"{kind.__name__} needs {key}, which is not given")
    given = {key: as_declared(known[key], _whole(known[key], each)) for key, each in entries.items()}
    try:
        return kind(**given)
    except ComityError:
        raise
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # A class may rely on what its caller's types promise; a document promises nothing.
        raise InvalidInput(f"{kind.__name__} cannot be made of these fields: {error}") from error


def _whole(declared: Field[Any], value: Any) -> Any:
    """A whole number that was too large for canonical JSON, as itself again."""
    large = declared.type in ("int", int) and isinstance(value, str) and LARGE.fullmatch(value)
    return int(value) if large and abs(int(value)) >= WHOLE else value


def _resolve(entries: Mapping[str, Any]) -> Any:
    named = entries["callable"]
    module, _, name = named.partition(":") if isinstance(named, str) else ("", "", "")
    if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise InvalidInput(f"a callable is named as module:name, not {str(named)[:80]!r}")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InvalidInput(f"{named} is not here ({error}); put its module on the path") from error
    if not callable(found):
        raise InvalidInput(f"{named} is {a(found)} and cannot be called")
    now = reference(found)
    if now != dict(entries):
        raise InvalidInput(f"{named} is here as {now}, but the experiment was made with {dict(entries)}")
    return found
