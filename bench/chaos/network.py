"""A network of processes as `comity up` starts it, seen from outside."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

BASE = b"comity.adapters.execution.base"

BOUNDARY = "c0a5"

ENDING = 30.0
"""Seconds that the network has to end when it is told to."""


class Away(Exception):
    """Whether the request was served is not known: the connection broke, or the answer was 503."""


class Node:
    """One organization's REST interface."""

    def __init__(self, said: Mapping[str, str]) -> None:
        self.organization, self.url = said["organization"], said["url"]
        login = urlencode({"username": said["user"], "password": said["password"]}).encode()
        self._token = ""
        self._token = self._call("POST", "/api-token-auth/", login, "application/x-www-form-urlencoded")["token"]

    def get(self, path: str, **query: Any) -> Any:
        """What is there, asked for until the node answers."""
        while True:
            try:
                return self._call("GET", path + (f"?{urlencode(query)}" if query else ""))
            except Away:
                time.sleep(0.05)

    def read(self, path: str) -> bytes:
        """A file's bytes."""
        with self.opened(path) as answer:
            return answer.read()

    def opened(self, path: str) -> HTTPResponse:
        """A file, once the node has it."""
        return urlopen(Request(self.url + path, headers={"Authorization": f"Token {self._token}"}), timeout=120)

    def post(self, path: str, body: Any) -> Any:
        """Raises Away when it may have been served or not, HTTPError when it was refused."""
        return self._call("POST", path, json.dumps(body).encode(), "application/json")

    def upload(self, path: str, body: Any, files: Mapping[str, bytes]) -> Any:
        """A form with files."""
        parts = [b'Content-Disposition: form-data; name="json"\r\n\r\n' + json.dumps(body).encode()]
        for name, data in files.items():
            head = f'Content-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
            parts.append(head.encode() + data)
        line = f"--{BOUNDARY}".encode()
        form = b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"
        return self._call("POST", path, form, f"multipart/form-data; boundary={BOUNDARY}")

    def function(self, code: bytes, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str:
        """The key of a function `work` that everybody may use, once it is built."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, data in (("work.py", code), ("function.json", b'{"entry": "work:work"}')):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        permissions = {"public": True, "authorized_ids": []}
        body = {"name": "work", "permissions": permissions, "inputs": inputs, "outputs": outputs}
        key = self.upload("/function/", body, {"file": packed.getvalue(), "description": b"nothing"})["key"]
        while self.get(f"/function/{key}/")["status"] != "FUNCTION_STATUS_READY":
            time.sleep(0.02)
        return key

    def _call(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        request = Request(self.url + path, data=body, method=method)
        if kind:
            request.add_header("Content-Type", kind)
        if self._token:
            request.add_header("Authorization", f"Token {self._token}")
        try:
            with urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code == 503:
                raise Away from error
            raise
        except (URLError, OSError, ValueError) as error:
            raise Away from error


class Network:
    """The processes below one `comity up`; no other process is ever touched."""

    def __init__(self, folder: Path, pid: int, said: Mapping[str, Any]) -> None:
        self.folder = folder
        self.said = said
        self.nodes = {each["organization"]: Node(each) for each in said["nodes"]}
        self.pid = pid

    def processes(self, kind: str) -> list[int]:
        """The processes that are now `hub`, `node`, `base`, `zygote` or `task`."""
        daemons = self.daemons()
        if kind in ("hub", "node"):
            return sorted(pid for name, pid in daemons.items() if (name == "hub") == (kind == "hub"))
        return sorted(pid for node in daemons.values() for pid in below(node, kind))

    def daemons(self) -> dict[str, int]:
        """Hub and nodes that run now, by name."""
        return {name: pid for pid in children(self.pid) if (name := self._name(pid))}

    def kill(self, pid: int) -> bool:
        """SIGKILL, if that still is a process of this network."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)  # from here on the number cannot come to mean another process
            try:
                if self.pid in ancestors(pid):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    return True
            finally:
                os.close(handle)
        return False

    def _name(self, pid: int) -> str:
        """Whose folder a daemon holds."""
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                path = link.readlink()
                if path.name == "lock" and path.parent.parent == self.folder:
                    return path.parent.name
        return ""


@contextmanager
def started(folder: Path, organizations: int | Sequence[str]) -> Iterator[Network]:
    """A network of so many organizations, or of these, in this folder, new or as it was left; ended at the end."""
    program = Path(sys.executable).with_name("comity")
    number = isinstance(organizations, int)
    who = ["--organizations", str(organizations)] if number else ["--names", ",".join(organizations)]
    command = [program, "up", "--json", *who, "--dir", folder]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        (folder.parent / f"{folder.name}.log").open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=folder.parent) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"the network did not start; {log.name} says why")
            yield Network(folder, process.pid, json.loads(line))
        finally:
            process.terminate()
            try:
                process.wait(ENDING)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def children(pid: int) -> list[int]:
    """A process's children."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def below(node: int, kind: str) -> list[int]:
    """The processes that run a node's tasks: of each sandbox its base, the zygotes of that, and their tasks."""
    started = [pid for pid in children(node) if BASE in _command(pid)]
    bases: list[int] = []
    for pid in started:
        bases += children(pid) if _command(pid).split(b"\0")[0].endswith(b"/bwrap") else [pid]
    found = {"base": bases, "zygote": [pid for base in bases for pid in children(base)]}
    return found[kind] if kind in found else [pid for zygote in found["zygote"] for pid in children(zygote)]


def ancestors(pid: int) -> set[int]:
    """A process's parent, its parent, and so on."""
    found: set[int] = set()
    with suppress(OSError, IndexError):
        while pid > 1:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            found.add(pid)
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
