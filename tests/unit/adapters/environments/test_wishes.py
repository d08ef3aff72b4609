"""Environments of requirements that are not locked: really built, from wheels in a folder."""

import asyncio
import subprocess
from importlib import metadata

import pytest

from comity.adapters.environments import interpreters
from comity.adapters.environments.builds import Builds
from comity.adapters.environments.interpreters import OWN
from comity.adapters.environments.venvs import Venvs
from comity.values.digest import digest
from comity.values.errors import BuildFailed
from comity.values.wanted import Install, Wanted, Wheel


@pytest.fixture
def wheels(tmp_path, wheel):
    """A folder with two versions of `tiny`, and `big`, which needs it."""
    for version in ("1.0", "2.0"):
        wheel(tmp_path / "wheels", "tiny", version, {"tiny.py": f"version = {version!r}\n"})
    wheel(tmp_path / "wheels", "big", "1.0", {"big.py": "import tiny\n"}, needs=["tiny<2"])
    return tmp_path / "wheels"


def wanted(*installs, python=OWN.minor):
    return Wanted(python=python, installs=installs)


def had(folder, builds, *orders):
    async def main():
        environments = Venvs(folder, builds)
        await environments.start()
        found = []
        for each in orders:
            async with environments.using(each) as environment:
                found.append(environment)
        return found, await environments.log(orders[-1])

    return asyncio.run(main())


def has(environment, code):
    command = [environment.python, "-I", "-B", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_what_is_wanted_is_there_with_what_it_needs_and_comity(tmp_path, wheels):
    builds = Builds(index="", wheels=wheels)
    (found,), log = had(tmp_path / "environments", builds, wanted(Install(requirements=("big",))))
    assert has(found, "import big, tiny; print(tiny.version)") == "1.0"
    assert has(found, "import comity.adapters.execution.base as base; print(base.__name__)")
    assert "big is needed, and it is not installed; so this is built:\nbig\n" in log


def test_installs_follow_each_other(tmp_path, wheels):
    first, second = Install(requirements=("tiny==1.0",)), Install(requirements=("tiny>1",))
    orders = [wanted(first), wanted(first, second), wanted(Install(requirements=("tiny",), constraints=("tiny<2",)))]
    found, _ = had(tmp_path / "environments", Builds(index="", wheels=wheels), *orders)
    assert [has(each, "import tiny; print(tiny.version)") for each in found] == ["1.0", "2.0", "1.0"]
    assert len({each.digest for each in found}) == 3


def test_a_wheel_of_the_function_is_known_by_its_bytes(tmp_path, wheel):
    paths = [wheel(tmp_path / name, "mine", "1.0", {"mine.py": f"who = {name!r}\n"}) for name in ("a", "b")]
    orders = [
        wanted(Install(wheels=(Wheel(name=path.name, digest=digest(path.read_bytes()), path=path),))) for path in paths
    ]
    found, _ = had(tmp_path / "environments", Builds(index=""), *orders)
    assert [has(each, "import mine; print(mine.who)") for each in found] == ["a", "b"]


def test_the_own_environment_serves_where_it_satisfies(tmp_path):
    numpy = metadata.version("numpy")
    builds = Builds(index="")
    order = wanted(Install(requirements=("numpy>=1.20", "setuptools>=999; python_version < '3'")))
    (found,), _ = had(tmp_path / "environments", builds, order)
    assert found.python == OWN.path
    assert found.warm == ("numpy",)
    for lacking in (
        Install(requirements=(f"numpy!={numpy}",)),
        Install(requirements=(f"numpy=={numpy} --hash=sha256:{'0' * 64}",)),
        Install(requirements=("numpy",), constraints=(f"numpy!={numpy}",)),
    ):
        with pytest.raises(BuildFailed, match="could not be installed"):
            had(tmp_path / "environments", builds, wanted(lacking))


def test_an_index_is_used_only_where_the_node_uses_one(tmp_path, wheels):
    order = wanted(Install(requirements=("tiny",), more=("https://example.org/simple",)))
    with pytest.raises(BuildFailed, match="names an index, and this node is told to use none"):
        had(tmp_path / "environments", Builds(index="", wheels=wheels), order)


def test_a_python_that_is_not_there_is_named(tmp_path, monkeypatch):
    with pytest.raises(BuildFailed, match=r"Python 3\.10 to 3\.13, not in python3\.9"):
        had(tmp_path / "environments", Builds(index=""), wanted(python=(3, 9)))
    monkeypatch.setattr(interpreters, "_candidates", lambda name: iter(()))
    absent = (3, 10) if OWN.minor != (3, 10) else (3, 12)
    with pytest.raises(BuildFailed, match="which is not on this node's machine; install it there"):
        had(tmp_path / "environments", Builds(index=""), wanted(python=absent))


def test_the_versions_found_are_those_of_all_others_and_nothing_is_built_twice(tmp_path, wheels):
    builds = Builds(index="", wheels=wheels)
    order = wanted(Install(requirements=("big",)))
    (found,), _ = had(tmp_path / "environments", builds, order)
    assert found.locked == ("big==1.0", "tiny==1.0")
    again, _ = had(tmp_path / "environments", builds, order, order.locked(found.locked), order)
    assert {each.python for each in again} == {found.python}
    assert {each.locked for each in again} == {found.locked}
    # another node, whose index has moved on
    order = wanted(Install(requirements=("tiny",)))
    (newer, older), _ = had(tmp_path / "others", builds, order, order.locked(("tiny==1.0",)))
    assert (newer.locked, older.locked) == (("tiny==2.0",), ("tiny==1.0",))


def test_the_own_environment_names_its_versions_and_serves_only_with_them(tmp_path):
    order = wanted(Install(requirements=("scipy",)))
    (found,), _ = had(tmp_path / "environments", Builds(index=""), order)
    assert set(found.locked) == {f"{name}=={metadata.version(name)}" for name in ("numpy", "scipy")}
    (again,), _ = had(tmp_path / "environments", Builds(index=""), order.locked(found.locked))
    assert again.python == OWN.path
    with pytest.raises(BuildFailed):
        had(tmp_path / "environments", Builds(index=""), order.locked(("numpy==1.0",)))
