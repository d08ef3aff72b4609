"""OpenAPI 3.1 documents from tables of routes; their schemas are those of the types that are decoded and answered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias, final

import msgspec
from msgspec import Meta

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data"
BYTES = "application/octet-stream"

Binary: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "binary"})]
"""Bytes that are no text: a body, or a file of a form."""

Whole: TypeAlias = Annotated[int, Meta(ge=1, le=10**9 - 1)]
"""A whole number of a query, from 1 on."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=10**15 - 1)]
"""A whole number of a query, from 0 on."""

Moment: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""A date of ISO 8601."""

REFERENCE = "#/components/schemas/{name}"


@final
@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path, in types that msgspec knows."""

    method: str
    path: str
    summary: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The type of each; those that the path names are in the path, all others in the query."""
    takes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The type of a body by its media type."""
    gives: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The type of the answer by its media type."""
    status: Sequence[int] = (200,)
    """Of that answer."""
    schemes: Sequence[str] = ()
    """Of security, any of which will do; empty where anyone may ask. "" stands for none."""


@final
@dataclass(frozen=True, kw_only=True)
class Program:
    """What a document is about."""

    title: str
    version: str
    description: str
    schemes: Mapping[str, Any]
    """How callers say who they are, by the names that operations give."""
    refusal: Any
    """The type of whatever is not answered."""


def document(program: Program, operations: Sequence[Operation], more: Sequence[Any] = ()) -> dict[str, Any]:
    """The document as JSON has it, with the schemas of `more` types too."""
    types = [program.refusal, *more]
    for each in operations:
        types += [*each.parameters.values(), *each.takes.values(), *each.gives.values()]
    found, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    schemas = {repr(kind): _portable(schema) for kind, schema in zip(types, found, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas, program)
    return {
        "openapi": "3.1.0",
        "info": {"title": program.title, "version": program.version, "description": program.description},
        "paths": paths,
        "components": {"schemas": _portable(components), "securitySchemes": dict(program.schemes)},
    }


def _operation(each: Operation, schemas: Mapping[str, Any], program: Program) -> dict[str, Any]:
    refusal = {"description": "Refused; the detail says why.", **_content({JSON: program.refusal}, schemas)}
    answers = {str(status): {"description": each.summary, **_content(each.gives, schemas)} for status in each.status}
    made: dict[str, Any] = {
        "summary": each.summary,
        "operationId": re.sub(r"\W+", "_", f"{each.method.lower()} {each.path}").strip("_"),
        "parameters": [_parameter(name, each.path, schemas[repr(kind)]) for name, kind in each.parameters.items()],
        "responses": {**answers, "default": refusal},
    }
    if each.description:
        made["description"] = each.description
    if each.takes:
        made["requestBody"] = {"required": True, **_content(each.takes, schemas)}
    if each.schemes:
        made["security"] = [{scheme: []} if scheme else {} for scheme in each.schemes]
        made["responses"]["401"] = refusal
    return made


def _parameter(name: str, path: str, schema: Any) -> dict[str, Any]:
    inside = f"{{{name}}}" in path
    return {"name": name, "in": "path" if inside else "query", "required": inside, "schema": schema}


def _content(types: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": {media: {"schema": schemas[repr(kind)]} for media, kind in types.items()}} if types else {}


def _portable(schema: Any) -> Any:
    """Patterns end as other languages write it: Python's `$` lets a line end follow, theirs does not."""
    if isinstance(schema, dict):
        return {
            name: each.replace(r"\Z", "$") if name == "pattern" and isinstance(each, str) else _portable(each)
            for name, each in schema.items()
        }
    return [_portable(each) for each in schema] if isinstance(schema, list | tuple) else schema
