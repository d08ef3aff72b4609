"""Who dies between an append and its reply: at every point there is, once; the same comes out each time."""

from __future__ import annotations

import asyncio
import io
import tarfile
import uuid
from collections import Counter
from itertools import zip_longest
from typing import Any

from msgspec.structs import replace

from comity.domain.entry import read_leaf, read_statement
from comity.domain.events import (
    FunctionInput,
    FunctionOutput,
    FunctionRegistered,
    PlanRegistered,
    TaskAdded,
    TaskDone,
    TaskInput,
    TaskOutput,
)
from comity.domain.records import Function, Model, Performance, Plan, Task
from comity.domain.words import Permission, written
from comity.values.errors import Conflict


def key(word: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, word))


def archive() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as packed:
        for name, data in (("m.py", b"def f(i, o, p): ...\n"), ("function.json", b'{"entry": "m:f"}')):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return made.getvalue()


MODEL = FunctionInput("ASSET_MODEL", optional=True)
TRAIN, MEASURE, PLAN, FIRST, SECOND, THIRD = map(key, ("train", "measure", "plan", "first", "second", "third"))
OPEN = TaskOutput(Permission(public=True))
TRANSIENT = TaskOutput(Permission(public=True), transient=True)


async def say(network: Any, who: str, kind: Any, key: str, events: Any) -> None:
    """What a patient user does: ask again until it is there."""

    def there() -> bool:
        return bool(network.log(who, lambda log: log.records.get(kind, key)))

    while not there():
        process, part = network.processes[who], network.parts[who]
        texts: dict[str, Any] = {}
        made = []
        for event in events:
            if label := getattr(event, "name", None):
                name, beside = written(label, bytes(16))
                made.append(replace(event, name=name))
                texts |= beside
            else:
                made.append(event)
        work = asyncio.ensure_future(part.following.insist(made, texts))
        death = asyncio.ensure_future(process.died.wait())
        await asyncio.wait([work, death], return_when=asyncio.FIRST_COMPLETED, timeout=10)
        death.cancel()
        if work.done():
            if isinstance(error := work.exception(), Conflict):
                continue  # an earlier attempt had been kept
            assert error is None, error
        else:
            work.cancel()
            await asyncio.sleep(0.01)


async def functions_of_b(network: Any) -> None:
    """One that trains and one that measures, ready."""
    blob = network.parts["b"].exchange.blobs._blobs.put([archive()])
    public, models = Permission(public=True), {"model": MODEL}
    functions = (
        FunctionRegistered(
            key=TRAIN,
            name="train",
            archive=blob,
            description=blob,
            permission=public,
            inputs=models,
            outputs={"model": FunctionOutput("ASSET_MODEL")},
        ),
        FunctionRegistered(
            key=MEASURE,
            name="measure",
            archive=blob,
            description=blob,
            permission=public,
            inputs=models,
            outputs={"performance": FunctionOutput("ASSET_PERFORMANCE")},
        ),
    )
    await say(network, "b", Function, TRAIN, functions)
    await network.until(lambda: {(TRAIN,), (MEASURE,)} <= {tuple(each) for each in ready(network)})


async def story(network: Any) -> dict[str, Any]:
    """b registers two functions and a plan; a trains, b trains on from there, a measures that.

    What a has trained is transient: it is released, and deleted at both, once b is done.
    """
    await functions_of_b(network)
    await say(network, "b", Plan, PLAN, [PlanRegistered(key=PLAN, name="plan")])
    tasks = (
        TaskAdded(key=FIRST, plan=PLAN, function=TRAIN, worker="a", outputs={"model": TRANSIENT}),
        TaskAdded(
            key=SECOND,
            plan=PLAN,
            function=TRAIN,
            worker="b",
            inputs=(TaskInput("model", parent=FIRST, output="model"),),
            outputs={"model": OPEN},
        ),
        TaskAdded(
            key=THIRD,
            plan=PLAN,
            function=MEASURE,
            worker="a",
            inputs=(TaskInput("model", parent=SECOND, output="model"),),
            outputs={"performance": OPEN},
        ),
    )
    await say(network, "b", Task, FIRST, tasks)
    await network.until(lambda: settled(network))
    return outcome(network)


def ready(network: Any) -> list[Any]:
    return network.rows("b", "select key from function_records where status = 'FUNCTION_STATUS_READY'")


def settled(network: Any) -> bool:
    """Whether everything is done, said and known everywhere, and nothing is left behind."""
    if network.rows("hub", "select count(*) from task_records where status = 'STATUS_DONE'") != [(3,)]:
        return False
    if network.rows("hub", "select count(*) from model_records where blob = ''") != [(1,)]:
        return False
    sizes = {network.rows(name, "select count(*) from leaves")[0] for name in ("hub", "a", "b")}
    silent = not any(
        network.rows(name, f"select * from {box}") for name in "ab" for box in ("outbox", "sending", "released")
    )
    return len(sizes) == 1 and silent and not any(network.folder.glob("*/channels/1/scratch/*"))


def outcome(network: Any) -> dict[str, Any]:
    """What the network came to, without what a restart may change: times, and how many attempts there were."""
    logs = {name: network.rows(name, "select leaf from leaves order by place") for name in ("hub", "a", "b")}
    assert logs["a"] == logs["b"] == logs["hub"]
    events = [event for (leaf,) in logs["hub"] for event in read_statement(read_leaf(leaf).statement).events]
    commits = {name: {row[0] for row in network.rows(name, "select task from commits")} for name in "ab"}
    models = network.log("hub", lambda log: [log.records.find(Model, "task", task) for task in (FIRST, SECOND)])
    measured = network.log("hub", lambda log: log.records.find(Performance, "plan", PLAN))
    return {
        "done": Counter(event.key for event in events if isinstance(event, TaskDone)),
        "commits": commits,
        "models": [[(each.key, each.blob, each.size) for each in found] for found in models],
        "performances": [(each.task, each.value) for each in measured],
        "blobs": {name: sum(file.is_file() for file in network.folder.glob(f"{name}/blobs/*")) for name in "ab"},
        "kinds": sorted({type(event).__name__ for event in events}),
    }


def split(points: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    middle = len(points) // 2
    return points[:middle], points[middle:]


def test_death_at_every_point_leads_to_the_same_log(play):
    wanted, calm = play(story)
    assert wanted["done"] == {FIRST: 1, SECOND: 1, THIRD: 1}
    assert wanted["commits"] == {"a": {FIRST, THIRD}, "b": {SECOND}}
    assert wanted["models"][0][0][1] == ""
    assert wanted["blobs"] == {"a": 4, "b": 4}  # the archive, the second model, and two of sum/1
    assert len(calm.reached) > 50
    by_process = [[point for point in calm.reached if point[0] == name] for name in ("hub", "a", "b")]
    missed: list[tuple[str, str]] = []
    halves = [half for points in by_process for half in split(points)]
    for points in zip_longest(*halves):  # each dies twice in a run, so that there are fewer
        faults = [point for point in points if point is not None]
        found, network = play(story, *faults)
        assert found == wanted, faults
        missed += network.faults
    for point in missed:  # the death of another led past it
        found, network = play(story, point)
        assert (found, network.faults) == (wanted, set()), point


class Always(set[tuple[str, str]]):
    """Points at which every process dies that comes there."""

    def remove(self, point: tuple[str, str]) -> None: ...


def test_a_plan_that_waits_for_an_absent_node_holds_up_no_other(play):
    async def stuck(network: Any) -> None:
        other, alone = key("other plan"), key("alone")
        await functions_of_b(network)
        network.faults = Always({("a", "before POST /parcels")})
        await say(network, "b", Plan, PLAN, [PlanRegistered(key=PLAN, name="stuck")])
        tasks = [TaskAdded(key=FIRST, plan=PLAN, function=TRAIN, worker="a", outputs={"model": OPEN})]
        tasks += [
            TaskAdded(
                key=key(f"child {number}"),
                plan=PLAN,
                function=TRAIN,
                worker="b",
                inputs=(TaskInput("model", parent=FIRST, output="model"),),
                outputs={"model": OPEN},
            )
            for number in range(30)
        ]
        await say(network, "b", Task, FIRST, tasks)
        await network.until(lambda: done(network, FIRST))
        await say(network, "b", Plan, other, [PlanRegistered(key=other, name="other")])
        task = TaskAdded(key=alone, plan=other, function=TRAIN, worker="b", outputs={"model": OPEN})
        await say(network, "b", Task, alone, [task])
        await network.until(lambda: done(network, alone))
        assert not done(network, key("child 0"))
        network.faults = set()
        await network.until(lambda: all(done(network, key(f"child {number}")) for number in range(30)))

    play(stuck)


def test_what_is_deleted_while_it_is_committed_is_stored_again(play):
    """It was the same as a released model, which went just then."""

    async def told(network: Any) -> None:
        await functions_of_b(network)
        store, deleted = network.parts["b"].exchange.blobs, list[str]()
        put = store.put

        def lost_once(chunks: Any, expected: Any = None) -> Any:
            name = put(chunks, expected)
            if not deleted:
                store.delete(name)
                deleted.append(name)
            return name

        store.put = lost_once
        await say(network, "b", Plan, PLAN, [PlanRegistered(key=PLAN, name="plan")])
        task = TaskAdded(key=FIRST, plan=PLAN, function=TRAIN, worker="b", outputs={"model": OPEN})
        await say(network, "b", Task, FIRST, [task])
        await network.until(lambda: done(network, FIRST))
        assert store.size(deleted[0]) is not None

    play(told)


def done(network: Any, task: str) -> bool:
    return bool(network.rows("b", f"select 1 from task_records where key = '{task}' and status = 'STATUS_DONE'"))
