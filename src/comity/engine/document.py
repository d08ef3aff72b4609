"""Experiments as canonical JSON, and back.

A value of comity becomes {"type": its public name, its fields}, with fields at their default left
out; a callable becomes what it is known by (`names.reference`). So two experiments have one digest
exactly when they have one meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from typing import Any

from comity.engine.experiment import Experiment
from comity.engine.names import public_name, reference
from comity.values.digest import Digest, canonical, digest
from comity.values.errors import InvalidInput, NotSupported

Kinds = Callable[[str], type]
"""The class of a public name, e.g. "strategies.FedAvg"; raises InvalidInput for a name it does not know."""


def to_json(experiment: Experiment) -> str:
    """The experiment as canonical JSON text; raises NotSupported for lambdas and closures."""
    return canonical(encode(experiment, reference)).decode()


def experiment_digest(experiment: Experiment) -> Digest:
    """What an experiment is named by: the digest of its canonical JSON."""
    return digest(canonical(encode(experiment, reference)))


def encode(value: Any, name: Callable[[Callable[..., Any]], Mapping[str, str]]) -> Any:
    """A part of an experiment as plain JSON; `name` says what a callable is known by."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [encode(each, name) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Mapping):
        return {str(key): encode(each, name) for key, each in value.items()}  # pyright: ignore
    if is_dataclass(value) and not isinstance(value, type):
        set_fields = {f.name: getattr(value, f.name) for f in fields(value) if f.init and not _at_default(value, f)}
        return {"type": public_name(type(value)), **{key: encode(each, name) for key, each in set_fields.items()}}
    if callable(value):
        return dict(name(value))
    raise NotSupported(f"a {type(value).__name__} cannot be written as JSON; use numbers, text or named functions")


def decode(document: Any, kinds: Kinds) -> Any:
    """What `encode` made the document of. Imports the modules that it names: read only documents you trust."""
    if isinstance(document, list):
        return tuple(decode(each, kinds) for each in document)  # pyright: ignore
    if not isinstance(document, Mapping):
        return document
    entries: dict[str, Any] = dict(document)  # pyright: ignore[reportUnknownArgumentType]
    if "callable" in entries:
        return _resolve(entries)
    if "type" not in entries:
        return {key: decode(each, kinds) for key, each in entries.items()}
    kind = kinds(entries.pop("type"))
    known = {f.name: f for f in fields(kind)}
    extra = sorted(set(entries) - set(known))
    if extra:
        raise InvalidInput(f"{kind.__name__} has no field {extra[0]!r}; its fields are {', '.join(known)}")
    return kind(**{key: _as_declared(known[key], decode(each, kinds)) for key, each in entries.items()})


def _as_declared(declared: Field[Any], value: Any) -> Any:
    # Canonical JSON writes 1.0 as 1.
    return float(value) if declared.type in ("float", float) and isinstance(value, int) else value


def _at_default(value: Any, declared: Field[Any]) -> bool:
    held = getattr(value, declared.name)
    if declared.default_factory is not MISSING:
        return bool(held == declared.default_factory())
    return declared.default is not MISSING and type(held) is type(declared.default) and bool(held == declared.default)


def _resolve(entries: Mapping[str, str]) -> Any:
    module, _, name = entries["callable"].partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InvalidInput(f"{entries['callable']} is not here ({error}); put its module on the path") from error
    now = reference(found)
    if now != dict(entries):
        raise InvalidInput(f"{entries['callable']} is here as {now}, but the experiment was made with {dict(entries)}")
    return found
