"""What whoever operates a hub or a node may set: addresses, paths, limits, and where secrets lie; never code.

A flag stands above the environment, that above the file `hub.toml` or `node.toml` in the program's own folder, and that
above the default.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, final

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from comity.adapters.environments.builds import Builds
from comity.adapters.execution.way import Way
from comity.faces.playground.limits import Limits as Playground
from comity.hub.limits import Limits
from comity.node.opaque import Opaque
from comity.values.errors import InvalidInput, unknown

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

Port: TypeAlias = Annotated[int, Field(ge=0, le=65535)]


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"{path} depends on where the program is started; give an absolute path")
    return path


Absolute: TypeAlias = Annotated[Path, AfterValidator(_absolute)]

_config = partial(SettingsConfigDict, frozen=True, extra="forbid", env_nested_delimiter="__")


@final
class HubSettings(BaseSettings):
    """Of `comity hub`."""

    model_config = _config(env_prefix="COMITY_HUB_", use_attribute_docstrings=True)

    dir: Path = Path("comity-hub")
    """Where the hub keeps everything; by flag or environment, since the file lies in it."""
    host: str = "0.0.0.0"
    """Address to listen at."""
    port: Port = 7070
    """The one open port; 0 lets the system choose."""
    url: str = ""
    """How nodes reach it; `https://THIS-MACHINE:PORT` unless given."""
    name: str = "comity"
    """Of the channel that the first start makes."""
    certificate: Absolute | None = None
    """PEM file, with those of the authorities between; `tls.crt` in `dir` unless given, made if it is not there."""
    certificate_key: Absolute | None = None
    """PEM file of its private key; `tls.key` in `dir` unless given."""
    database: str = Field("", repr=False)
    """URL of a PostgreSQL database, `postgresql+psycopg://USER@HOST/NAME`, instead of a file in `dir`. Its password is
    best kept in the file that PGPASSFILE names."""
    log_level: Level = "info"
    """From which on events are logged, on standard error."""
    limits: Limits = Limits()
    """What one organization may ask of the hub, in the table `[limits]`."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: Any, init_settings: Any, env_settings: Any, dotenv_settings: Any, file_secret_settings: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """In which order sources count; pydantic-settings asks for it."""
        return _sources(init_settings, env_settings, cls, "hub.toml")


@final
class NodeSettings(BaseSettings):
    """Of `comity node` and `comity doctor`."""

    model_config = _config(env_prefix="COMITY_NODE_", use_attribute_docstrings=True)

    dir: Path = Path("comity-node")
    """Where the node keeps everything; by flag or environment, since the file lies in it."""
    host: str = "127.0.0.1"
    """Address that the organization's own users call."""
    port: Port = 8000
    """Port of REST and pages; 0 lets the system choose."""
    data: Annotated[tuple[Absolute, ...], NoDecode, BeforeValidator(lambda given: _several(given))] = ()
    """Folders below which data samples may lie; in the environment with `:` between."""
    tasks: Annotated[int, Field(ge=1, le=1000)] = 2
    """How many tasks run at once; as many more at most for plans that would wait for tasks that do not end."""
    opaque: Opaque = "deny"
    """Functions with files that nobody can read, such as SubstraFL's pickles: `deny` refuses them, `ask` and `allow`
    leave them to a steward."""
    ca_file: Annotated[FilePath, AfterValidator(_absolute)] | None = None
    """PEM file of the authorities that are trusted for the hub instead of its own certificate: that of a proxy which
    inspects TLS."""
    database: str = Field("", repr=False)
    """URL of a PostgreSQL database, `postgresql+psycopg://USER@HOST/NAME`, instead of a file in `dir`. Its password is
    best kept in the file that PGPASSFILE names."""
    log_level: Level = "info"
    """From which on events are logged, on standard error."""
    builds: Builds = Builds()
    """Where what functions require comes from, in the table `[builds]`."""
    sandbox: Way = Way()
    """How tasks are held in, in the table `[sandbox]`."""
    playground: Playground = Playground()
    """How much of the machine visitors' experiments with public data may take, in the table `[playground]`."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: Any, init_settings: Any, env_settings: Any, dotenv_settings: Any, file_secret_settings: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """In which order sources count; pydantic-settings asks for it."""
        return _sources(init_settings, env_settings, cls, "node.toml")


S = TypeVar("S", HubSettings, NodeSettings)


def settings(kind: type[S], flags: Mapping[str, Any]) -> S:
    """The settings, with the flags that are not None; raises InvalidInput for what does not exist or cannot be."""
    prefix = str(kind.model_config.get("env_prefix"))
    _check_names(kind, prefix)
    try:
        found = kind(**{name: value for name, value in flags.items() if value is not None})
    except (SettingsError, TOMLDecodeError, UnicodeError) as error:
        raise InvalidInput(f"the settings cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(each) for each in first["loc"])
        got = "" if name == "database" else f", not {first['input']!r:.120}"
        said = first["msg"].removeprefix("Value error, ")
        variable = prefix + name.replace(".", "__").upper()
        raise InvalidInput(f"the setting {name} ({variable}): {said}{got}; see docs/howto/configuration.md") from error
    return found.model_copy(update={"dir": found.dir.absolute()})


def level(name: Level) -> int:
    """The level's number.

    >>> level("warning") == logging.WARNING
    True
    """
    return logging.getLevelNamesMapping()[name.upper()]


def _sources(
    flags: Any, environment: Any, kind: type[BaseSettings], file: str
) -> tuple[PydanticBaseSettingsSource, ...]:
    folder = flags().get("dir") or environment().get("dir") or kind.model_fields["dir"].default
    written = TomlConfigSettingsSource(kind, Path(folder) / file)
    if "dir" in written():
        raise SettingsError(f"{Path(folder) / file} cannot say where it lies itself; leave dir out of it")
    return flags, environment, written


def _check_names(kind: type[BaseSettings], prefix: str) -> None:
    known = [prefix + name.upper() for name in kind.model_fields]
    for variable in os.environ:
        name = variable.partition("__")[0]
        if variable.startswith(prefix) and name not in known:
            raise unknown("setting", name, known)


def _several(given: Any) -> Any:
    return [each for each in given.split(os.pathsep) if each] if isinstance(given, str) else given
