"""What lies in deploy/ is what the command line and the settings take; no container is started."""

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from comity.faces.cli.main import app
from comity.faces.settings import HubSettings, NodeSettings, settings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
UNITS = sorted(DEPLOY.glob("*.service"))
KINDS = {"hub": HubSettings, "node": NodeSettings}


def parse(words):
    """Raise unless `comity` takes these words; nothing is run."""
    command, words = get_command(app), list(words)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("comity", words)


@pytest.fixture(params=SERVICES)
def service(request):
    return request.param, SERVICES[request.param]


def test_there_are_a_hub_and_a_node():
    assert list(SERVICES) == ["hub", "node"]
    assert [each.stem for each in UNITS] == ["comity-hub", "comity-node"]


def test_what_a_container_runs_can_be_run(service):
    name, said = service
    parse(said["command"])
    assert said["command"] == [name, "start"]
    compile(said["healthcheck"]["test"][-1], "healthcheck", "exec")


def test_what_a_container_sets_can_be_set(service, monkeypatch):
    name, said = service
    for each in os.environ:
        if each.startswith("COMITY_"):
            monkeypatch.delenv(each)
    for each, value in said["environment"].items():
        assert each.startswith(f"COMITY_{name.upper()}_") or each in ("HTTPS_PROXY", "NO_PROXY")
        monkeypatch.setenv(each, value)
    found = settings(KINDS[name], {})
    mounted = [each.split(":")[1] for each in said["volumes"]]
    assert any(found.dir.is_relative_to(each) for each in mounted), "what it keeps must outlive the container"
    outside, inside = said["ports"][0].split(":")[-2:]
    assert int(inside) == found.port
    assert int(outside) == KINDS[name].model_fields["port"].default
    if name == "node":
        assert [str(each) for each in found.data] == mounted[1:]


def test_the_hub_alone_listens_to_the_outside():
    assert SERVICES["hub"]["ports"] == ["7070:7070"]
    assert all(each.startswith("127.0.0.1:") for each in SERVICES["node"]["ports"])


def test_an_image_has_what_is_copied_and_called():
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r'^ENTRYPOINT \["comity"\]$', text, re.MULTILINE)
    kept = [each[1:] for each in (DEPLOY / "Dockerfile.dockerignore").read_text().split() if each[0] == "!"]
    assert {"pyproject.toml", "constraints.txt", "src"} <= set(kept)
    assert all((ROOT / each).exists() for each in kept)
    for each in SERVICES.values():
        assert (DEPLOY / each["build"]["context"] / each["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


@pytest.mark.parametrize("path", [*UNITS, DEPLOY / "compose.yaml"], ids=lambda path: path.name)
def test_every_command_that_is_named_can_be_run(path):
    text = path.read_text()
    named = re.findall(r"comity ((?:hub|node) [^\n`]*)", text) + re.findall(r"run --rm node ([^\n]*)", text)
    assert len(named) >= 1
    for each in named:
        parse(shlex.split(each))
