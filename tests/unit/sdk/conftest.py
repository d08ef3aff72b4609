"""A node of canned answers, as the programs of a network's users see it."""

import io
import json

import pytest
from python_multipart import parse_form

from comity.sdk.client import Account, Client


class Canned:
    """What a node answers, and what it was asked."""

    def __init__(self, node):
        self.node = node
        self.client = Client(lambda: Account(url=node.url, token="t0"))

    def say(self, path, value, status=200, headers=None):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.node.answers[path] = (status, headers or {}, body)

    def list(self, noun, *found, query="page=1&page_size=1000"):
        self.say(f"/{noun}/?{query}", {"results": list(found), "next": None})

    def members(self, *names):
        """The first of them is whose node this is."""
        self.say("/organization/", [{"id": name, "is_current": name == names[0]} for name in names])

    def asked(self, method, path):
        """Bodies of the requests for a path."""
        return [body for how, where, _, body in self.node.requests if (how, where) == (method, path)]

    def posted(self, path):
        """Values that were posted there."""
        return [json.loads(body) for body in self.asked("POST", path)]

    def uploaded(self, path):
        """(value, contents of files by name) of each form that was sent there."""
        made = []
        for how, where, headers, body in self.node.requests:
            if (how, where) == ("POST", path):
                fields, files = {}, {}
                parse_form(
                    {k: v.encode() for k, v in headers.items() if k == "Content-Type"},
                    io.BytesIO(body),
                    lambda each, fields=fields: fields.update({each.field_name: each.value}),
                    lambda each, files=files: files.update({each.field_name: contents(each)}),
                )
                made.append((json.loads(fields[b"json"]), files))
        return made


def contents(file):
    file.file_object.seek(0)
    data = file.file_object.read()
    file.close()
    return data


@pytest.fixture
def canned(node):
    return Canned(node)
