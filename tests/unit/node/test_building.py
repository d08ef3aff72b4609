"""What becomes of a build that cannot be, and when the next one begins."""

import asyncio
import errno
from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace

import pytest

from comity.domain.events import FunctionBuilding, FunctionFailed, FunctionReady
from comity.domain.records import Function
from comity.domain.words import Permission
from comity.node.building import Building
from comity.values.errors import BuildFailed, DecodeError


def function_of(digit):
    return Function(
        key="11111111-1111-1111-1111-111111111111".replace("1", digit),
        owner="a",
        name="",
        archive="sha256:" + "0" * 64,
        description="sha256:" + "0" * 64,
        inputs={},
        outputs={},
        permission=Permission(),
        created_at=1,
    )


FUNCTION = function_of("1")


def built(tmp_path, error, *, log="what was printed\n"):
    """(what was said, the log) of a build that ends in an error."""
    said = []

    async def insist(events, texts):
        said.extend(events)

    async def read(work):
        return False

    async def answer(given):
        return given

    async def have(exchange, function):
        raise error

    following = SimpleNamespace(organization="a", insist=insist, read=read)
    bundles = SimpleNamespace(
        is_image=lambda exchange, function: answer(True),
        held=nullcontext,
        have=have,
        build_log=lambda function: answer(log),
    )
    judging = SimpleNamespace(deny=lambda function: answer(None))
    building = Building(SimpleNamespace(following=following), bundles, judging, folder=tmp_path)
    asyncio.run(asyncio.wait_for(building._built(FUNCTION), 10))
    return said, building.log_of(FUNCTION.key).read_text()


@pytest.mark.parametrize(
    "error",
    [
        BuildFailed("the line RUN error ended with status 127"),
        DecodeError("no bundle"),
        RuntimeError("a case that nobody has thought of"),
        OSError(errno.ENAMETOOLONG, "File name too long"),
        BuildFailed("left 'a\udcff', which is a link"),
    ],
)
def test_whatever_goes_wrong_is_a_build_that_failed_and_has_a_log(tmp_path, error):
    said, log = built(tmp_path, error)
    assert [type(each) for each in said] == [FunctionBuilding, FunctionFailed]
    assert str(error).encode(errors="backslashreplace").decode() in log
    assert ("what was printed" in log) == isinstance(error, BuildFailed)


def test_a_full_disk_is_no_fault_of_the_function(tmp_path):
    with pytest.raises(OSError, match="No space left"):
        built(tmp_path, OSError(errno.ENOSPC, "No space left on device"))


def test_while_images_wait_one_is_always_being_built(tmp_path):
    """Whoever sees that one is ready sees the next one under way: both are said in one breath."""
    said = []
    functions = [function_of(each) for each in "123"]

    async def insist(events, texts):
        said.append([(type(each), each.key) for each in events])

    async def answer(given=None):
        return given

    @asynccontextmanager
    async def using(function):
        yield SimpleNamespace(locked=())

    following = SimpleNamespace(organization="a", insist=insist, read=lambda work: answer(False))
    bundles = SimpleNamespace(
        is_image=lambda *_: answer(True),
        held=nullcontext,
        have=lambda *_: asyncio.sleep(0),
        using=using,
        settle=lambda *_: answer(),
    )
    judging = SimpleNamespace(deny=lambda function: answer())

    async def all_of_them():
        building = Building(SimpleNamespace(following=following), bundles, judging, folder=tmp_path)
        await asyncio.wait_for(asyncio.gather(*map(building._built, functions)), 10)

    asyncio.run(all_of_them())
    first, second, third = (each.key for each in functions)
    assert said == [
        [(FunctionBuilding, first)],
        [(FunctionReady, first), (FunctionBuilding, second)],
        [(FunctionReady, second), (FunctionBuilding, third)],
        [(FunctionReady, third)],
    ]
