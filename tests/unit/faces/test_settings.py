"""What is set, and which source counts."""

import dataclasses
import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from comity.adapters.environments.builds import Builds
from comity.adapters.execution.isolation import Level
from comity.adapters.execution.limits import Limits as TaskLimits
from comity.adapters.execution.way import Way as Sandbox
from comity.faces.cli.main import app
from comity.faces.settings import HubSettings, NodeSettings, settings
from comity.hub.limits import Limits
from comity.hub.place import open_place as open_hub
from comity.values.errors import InvalidInput


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch):
    for name in os.environ:
        if name.startswith("COMITY_"):
            monkeypatch.delenv(name)


@pytest.fixture
def node(tmp_path):
    """Writes node.toml and reads the settings, with flags."""

    def read(written="", **flags):
        (tmp_path / "node.toml").write_text(written)
        return settings(NodeSettings, {"dir": tmp_path, **flags})

    return read


def test_there_is_a_default_for_everything(tmp_path):
    found = settings(HubSettings, {"dir": tmp_path})
    assert found == HubSettings(dir=tmp_path)
    assert found.limits == Limits()
    assert settings(NodeSettings, {"dir": tmp_path}).builds == Builds()


def test_a_flag_stands_above_the_environment_and_that_above_the_file(node, monkeypatch):
    written = 'port = 1\nhost = "192.0.2.1"\ntasks = 7\n[builds]\nseconds = 5\nindex = "https://one"'
    monkeypatch.setenv("COMITY_NODE_PORT", "2")
    monkeypatch.setenv("COMITY_NODE_HOST", "192.0.2.2")
    monkeypatch.setenv("COMITY_NODE_BUILDS__INDEX", "https://two")
    found = node(written, port=3, tasks=None)
    assert (found.port, found.host, found.tasks) == (3, "192.0.2.2", 7)
    assert found.builds == Builds(seconds=5, index="https://two")
    assert node(written, builds={"index": ""}).builds == Builds(seconds=5, index="")


def test_how_tasks_are_held_in_is_set(node, monkeypatch):
    monkeypatch.setenv("COMITY_NODE_SANDBOX__LIMITS__MEMORY", "1000")
    written = (
        '[sandbox]\ndemanded = "bubblewrap"\nshared = false\ndevices = ["0"]\n[sandbox.limits]\nmemory = 1\nfiles = 2'
    )
    found = node(written).sandbox
    assert found == Sandbox(
        demanded=Level.BUBBLEWRAP, shared=False, devices=("0",), limits=TaskLimits(memory=1000, files=2)
    )


def test_settings_do_not_change(node):
    with pytest.raises(ValidationError, match="frozen"):
        node().port = 1


def test_the_folder_is_named_by_the_environment(tmp_path, monkeypatch):
    (tmp_path / "hub.toml").write_text("port = 4\n[limits]\nparcels = 5")
    monkeypatch.setenv("COMITY_HUB_DIR", str(tmp_path))
    found = settings(HubSettings, {"dir": None})
    assert (found.dir, found.port) == (tmp_path, 4)
    assert found.limits == dataclasses.replace(Limits(), parcels=5)


def test_folders_of_data_are_several(node, monkeypatch):
    assert node('data = ["/a", "/b"]').data == (Path("/a"), Path("/b"))
    monkeypatch.setenv("COMITY_NODE_DATA", "/c:/d")
    assert node('data = ["/a", "/b"]').data == (Path("/c"), Path("/d"))


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("prot = 1", "the setting prot .COMITY_NODE_PROT.*not permitted"),
        ("port = 70000", "port .COMITY_NODE_PORT.*65535, not 70000"),
        ('port = "x"', "port .COMITY_NODE_PORT.*integer.*not 'x'"),
        ('data = ["here"]', "here depends on where the program is started; give an absolute path"),
        ("[builds]\nsecond = 1", "builds.second .COMITY_NODE_BUILDS__SECOND.*not 1"),
        ("[builds]\nseconds = 0", "builds .*seconds"),
        ('log_level = "loud"', "log_level .*'debug', 'info'.*not 'loud'"),
        ('dir = "/elsewhere"', "node.toml cannot say where it lies itself"),
        ("port =", "cannot be read"),
        ('[sandbox]\ndemanded = "jail"', "sandbox.demanded .COMITY_NODE_SANDBOX__DEMANDED.*'plain' or 'bubblewrap'"),
        ("[sandbox.limits]\nmemory = 0", "sandbox.limits .*memory"),
    ],
)
def test_what_cannot_be_is_named(node, written, named):
    with pytest.raises(InvalidInput, match=named):
        node(written)


def test_a_misspelt_variable_is_not_passed_over(node, monkeypatch):
    monkeypatch.setenv("COMITY_NODE_PROT", "1")
    with pytest.raises(InvalidInput, match="no setting 'COMITY_NODE_PROT'; did you mean 'COMITY_NODE_PORT'"):
        node()


def test_a_database_is_not_shown(node):
    secret = "postgresql+psycopg://user:secret@host/name"
    assert "secret" not in repr(node(f'database = "{secret}"'))
    with pytest.raises(InvalidInput) as refused:
        node("database = ['secret']")
    assert "secret" not in str(refused.value)


def test_commands_take_them(tmp_path, new_url, monkeypatch):
    monkeypatch.setenv("COMITY_HUB_DIR", str(tmp_path / "hub"))
    monkeypatch.setenv("COMITY_HUB_DATABASE", url := new_url("PostgreSQL"))
    place = open_hub(tmp_path / "hub", url)
    place.ready(name="main", hosts=["localhost"])
    place.database.close()
    (tmp_path / "hub" / "url").write_text("https://localhost:7070")
    done = CliRunner().invoke(app, ["hub", "invite", "a"])
    assert "comity node join" in done.stdout, done
    assert not (tmp_path / "hub" / "hub.db").exists()
