"""An OpenAPI document as a page that loads nothing: no script, no image, nothing of any host."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
summary { cursor: pointer; padding: .2rem 0 }
code, pre { font: .9rem/1.4 ui-monospace, monospace }
pre { background: color-mix(in srgb, currentColor 7%, transparent); overflow: auto; padding: .8rem }
"""

POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy to serve the page with."""


def page(document: Mapping[str, Any]) -> str:
    """The page, of documents such as `comity.adapters.openapi` makes."""
    info = document["info"]
    operations = [
        _operation(f"{method.upper()} {path}", each)
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    ]
    schemas = [
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_shown(each)}</details>'
        for name, each in sorted(document["components"]["schemas"].items())
    ]
    title = escape(f"{info['title']} {info['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><style>' + STYLE + f"</style><h1>{title}</h1>"
        f"<p>{escape(info['description'])}</p><h2>Requests</h2>{''.join(operations)}<h2>Types</h2>{''.join(schemas)}"
    )


def _operation(name: str, each: Mapping[str, Any]) -> str:
    parts = [f"<p>{escape(each['description'])}</p>" if "description" in each else ""]
    parts += [
        f"<p><code>{escape(given['name'])}</code> in the {escape(given['in'])}</p>{_shown(given['schema'])}"
        for given in each["parameters"]
    ]
    parts += _contents("The body", [each.get("requestBody", {})])
    answers = [answer for status, answer in each["responses"].items() if status.isdigit() and int(status) < 400]
    parts += _contents("The answer", answers[:1])
    return (
        f"<details><summary><code>{escape(name)}</code> {escape(each['summary'])}</summary>{''.join(parts)}</details>"
    )


def _contents(what: str, each: Iterable[Mapping[str, Any]]) -> list[str]:
    contents = [given.get("content", {}) for given in each]
    return [
        f"<p>{what}: <code>{escape(media)}</code></p>{_shown(given['schema'])}"
        for content in contents
        for media, given in content.items()
    ]


def _shown(schema: Any) -> str:
    """A schema whose references are links."""
    text = escape(json.dumps(schema, indent=2))
    return "<pre>" + re.sub(r"#/components/schemas/(\w+)", _link, text) + "</pre>"


def _link(found: re.Match[str]) -> str:
    return f'<a href="#{found[1]}">{found[1]}</a>'
