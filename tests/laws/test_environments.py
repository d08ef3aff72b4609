"""Laws of Environments, for the fake and for virtual environments. A new one is one row."""

import asyncio

import pytest

from comity.adapters.environments import own
from comity.adapters.environments.builds import Builds
from comity.adapters.environments.venvs import Venvs
from comity.ports.environments import EnvironmentsInMemory
from comity.values.errors import BuildFailed
from comity.values.requirements import decode

TINY = decode(["comity-tiny==1.0"])
ABSENT = decode(["absent==1.0"])


async def fake(folder, wheels):
    return EnvironmentsInMemory(own.environment(()), failing={"absent"})


async def venvs(folder, wheels):
    made = Venvs(folder, Builds(index="", wheels=wheels))
    await made.start()
    return made


@pytest.fixture(params=[fake, venvs])
def law(request, tmp_path, wheel):
    """Runs a law on a new store, which can install comity-tiny and nothing else."""
    wheel(tmp_path / "wheels", "comity_tiny", "1.0", {"comity_tiny.py": "value = 1\n"})

    def run(work):
        async def main():
            await work(await request.param(tmp_path / "environments", tmp_path / "wheels"))

        asyncio.run(main())

    return run


def test_without_requirements_nothing_is_built(law):
    async def work(environments):
        assert await environments.has(())
        async with environments.using(()) as environment:
            assert environment.python.exists()
        assert await environments.log(()) == ""

    law(work)


def test_it_is_there_once_it_was_asked_for(law):
    async def work(environments):
        assert not await environments.has(TINY)
        assert await environments.log(TINY) == ""
        async with environments.using(TINY) as first:
            assert await environments.has(TINY)
        async with environments.using(TINY) as second:
            assert second == first
        assert "comity-tiny==1.0" in await environments.log(TINY)

    law(work)


def test_what_cannot_be_built_is_said_and_logged(law):
    async def work(environments):
        for _ in range(2):
            with pytest.raises(BuildFailed):
                async with environments.using(ABSENT):
                    pass
            assert not await environments.has(ABSENT)
            assert "absent==1.0" in await environments.log(ABSENT)
        async with environments.using(TINY):
            pass  # others are not affected

    law(work)


def test_many_who_ask_at_once_get_the_same(law):
    async def work(environments):
        async def ask():
            async with environments.using(TINY) as environment:
                return environment

        found = await asyncio.gather(*(ask() for _ in range(5)))
        assert set(found) == {found[0]}

    law(work)
