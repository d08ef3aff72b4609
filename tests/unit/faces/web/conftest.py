"""Nodes with pages and without a network, and browsers that are function calls."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.unit.node.rest.conftest import PASSWORD, Client, Network, Place, Reply

from comity.faces.web.dress import dress
from comity.node.accounts.roles import Role

FORM = "application/x-www-form-urlencoded"


@dataclass
class Browser:
    """One who looks at pages of one node, and keeps its cookies."""

    client: Client
    cookies: dict[str, str] = field(default_factory=dict[str, str])

    def get(self, target: str, **headers: str) -> Reply:
        return self._kept(self.client.call("GET", target, **self._headers(headers)))

    def send(self, target: str, fields: Mapping[str, Any], **headers: str) -> Reply:
        """Send a form with these fields and nothing else."""
        body = urlencode(fields, doseq=True).encode()
        return self._kept(self.client.call("POST", target, body, FORM, **self._headers(headers)))

    def submit(self, target: str, fields: Mapping[str, Any] = {}) -> Reply:
        """Send a form as a page of this session has it."""
        return self.send(target, {"csrf": self.csrf, **fields})

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.text("/settings"))
        assert found is not None
        return found[1]

    def text(self, target: str) -> str:
        """The page's HTML."""
        reply = self.get(target)
        assert reply.status == 200, (target, reply.status, reply.body)
        return reply.body.decode()

    def words(self, target: str) -> str:
        """What is read on a page, spaces and line ends alike."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.text(target))).split())

    def log_in(self, username: str, password: str = PASSWORD, then: str = "/") -> Reply:
        return self.send("/login", {"username": username, "password": password, "next": then})

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        shown = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"accept": "text/html,*/*", "cookie": shown, **more}

    def _kept(self, reply: Reply) -> Reply:
        for name, value in reply.headers.items():
            if name == "set-cookie":
                pair = value.split(";")[0]
                name, _, value = pair.partition("=")
                self.cookies[name] = value.strip('"')
        return reply


class Checked(HTMLParser):
    """Tags and attributes of a page, as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))


class Pages:
    """A network whose nodes have pages."""

    Checked, Browser = Checked, Browser

    def __init__(self, network: Network) -> None:
        self.network = network

    def stranger(self, owner: str = "a") -> Browser:
        """Someone who is not logged in."""
        return Browser(self.network.places[owner].anyone)

    def browser(self, owner: str = "a", role: Role = Role.ADMIN) -> Browser:
        """A user of this role, logged in."""
        place: Place = self.network.places[owner]
        place.client(role)
        made = self.stranger(owner)
        assert made.log_in(f"{role.value}-main").status == 303
        return made


@pytest.fixture
def pages(tmp_path: Path) -> Generator[Pages]:
    """The organizations a and b."""
    network = Network(tmp_path, ["a", "b"], dress)
    yield Pages(network)
    network.close()


@pytest.fixture(scope="module")
def steady_pages(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pages]:
    """The same for all tests of a module."""
    network = Network(tmp_path_factory.mktemp("steady"), ["a", "b"], dress)
    yield Pages(network)
    network.close()
