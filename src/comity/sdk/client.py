"""A node's REST API as one of its users calls it, over the standard library's HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, final
from urllib.parse import urlencode, urlsplit

from comity.values.errors import (
    ComityError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    NotSupported,
    Unauthenticated,
    Unavailable,
)

ERRORS: Mapping[int, type[ComityError]] = {
    400: InvalidInput,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    501: NotSupported,
}

SECONDS = 150.0
"""That a node may take to answer; it gives another node 100 to send a file."""

PIECE = 1 << 20
PAGE = 1000


@final
@dataclass(frozen=True)
class Files:
    """A form: a value as JSON, and files beside it."""

    value: Any
    files: Sequence[tuple[str, Path]]


@final
@dataclass(frozen=True, kw_only=True)
class Account:
    """Where a node is, and as whom it is called: the holder of a token, or a user, who logs in."""

    url: str
    token: str = ""
    user: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(f"{self.url!r} is no address of a node, such as http://127.0.0.1:8000")


@final
class Client:
    """Calls to one node; the account is looked up, and its user logged in, at the first of them."""

    def __init__(self, account: Callable[[], Account]) -> None:
        self._account = account
        self._url = self._token = self._login = ""

    @property
    def url(self) -> str:
        """Where the node is."""
        return self._url or self._account().url.rstrip("/")

    def close(self) -> None:
        """Log out, where someone was logged in."""
        if self._login:
            self.call("DELETE", f"/active-api-tokens/?id={self._login}")
            self._url = self._token = self._login = ""

    def get(self, path: str, **query: Any) -> Any:
        """What the path shows."""
        return self.call("GET", path + (f"?{urlencode(query)}" if query else ""))

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """Every result of a list."""
        number = 1
        while True:
            page = self.get(path, **query, page=number, page_size=PAGE)
            yield from page["results"]
            if page["next"] is None:
                return
            number += 1

    def post(self, path: str, value: Any = None) -> Any:
        """What the node answers to a value."""
        return self.call("POST", path, json.dumps({} if value is None else value).encode())

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        """The answer, decoded; raises what it says if it is a refusal, Unavailable when there is none."""
        with self._answer(method, path, body, "application/json") as answer:
            return json.load(answer)

    def raw(self, path: str) -> bytes:
        """The answer as it came."""
        with self._answer("GET", path, None, "") as answer:
            return answer.read()

    def upload(self, path: str, form: Files) -> Any:
        """What the node answers to a form; files are read while they are sent."""
        boundary = token_hex(16)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="json"\r\n\r\n{json.dumps(form.value)}\r\n'
        pieces = _pieces(form, boundary, head.encode())
        with self._answer("POST", path, pieces, f"multipart/form-data; boundary={boundary}") as answer:
            return json.load(answer)

    def download(self, path: str, into: Path) -> int:
        """Bytes of what the path gives, now in the file: whole or not at all."""
        with self._answer("GET", path, None, "") as answer:
            length = int(answer.headers.get("content-length", "-1"))
            into.parent.mkdir(parents=True, exist_ok=True)
            part = into.with_name(f".{into.name}.part")
            with part.open("wb") as file:
                size = _copy(answer, file)
            if size != length >= 0:
                part.unlink()
                raise Unavailable(f"{path} broke off after {size} of {length} bytes; try again")
            part.replace(into)
            return size

    @contextmanager
    def _answer(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None, kind: str
    ) -> Generator[HTTPResponse]:
        if not self._url:
            self._log_in(self._account())
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = kind
        if self._token:
            headers["Authorization"] = f"Token {self._token}"
        parts = urlsplit(self._url)
        connection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(parts.netloc, timeout=SECONDS)
        try:
            try:
                connection.request(method, parts.path.rstrip("/") + path, body, headers)
                answer = connection.getresponse()
            except (OSError, HTTPException) as error:
                why = str(error) or type(error).__name__
                raise Unavailable(f"the node at {self._url} cannot be reached: {why}; is it running?") from error
            with answer:
                if answer.status >= 400:
                    raise _refusal(answer)
                yield answer
        except HTTPException as error:
            raise Unavailable(f"the node at {self._url} broke off in its answer: {error}; try again") from error
        finally:
            connection.close()

    def _log_in(self, account: Account) -> None:
        self._url, self._token = account.url.rstrip("/"), account.token
        if account.user:
            form = urlencode({"username": account.user, "password": account.password}).encode()
            with self._answer("POST", "/api-token-auth/", form, "application/x-www-form-urlencoded") as answer:
                made = json.load(answer)
            self._token, self._login = made["token"], made["id"]


def embedded(directory: Path, organization: str) -> Account:
    """The first admin of an organization of the network that `comity up` keeps in a folder."""
    here = directory / organization
    if not organization or not (here / "port").is_file():
        known = sorted(path.parent.name for path in directory.glob("*/admin-password"))
        if not known:
            raise NotFound(f"no network was started in {directory}; start one with comity up, or give --node URL")
        raise NotFound(f"say as which organization of {directory}: --as {' | '.join(known)}")
    url = f"http://127.0.0.1:{(here / 'port').read_text()}"
    return Account(url=url, user="admin", password=(here / "admin-password").read_text())


def _pieces(form: Files, boundary: str, head: bytes) -> Iterator[bytes]:
    yield head
    for name, path in form.files:
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _copy(answer: HTTPResponse, file: BinaryIO) -> int:
    size = 0
    while piece := answer.read(PIECE):
        size += file.write(piece)
    return size


def _refusal(answer: HTTPResponse) -> ComityError:
    data = answer.read(PIECE)
    try:
        said = json.loads(data)
        detail = said.get("detail") or "; ".join(str(each) for values in said.values() for each in values)
    except (ValueError, AttributeError, TypeError):
        detail = f"the node answered {answer.status}: {data[:200]!r}"
    return ERRORS.get(answer.status, Unavailable)(detail)
