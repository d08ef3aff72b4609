"""How long a node takes to make its pages, and how large they are, with 1,000 plans and 100,000 tasks in its database.

Usage: python -m bench.pages [PLANS] [TASKS]. Plans and tasks are written as entries and come into the database by the
projection, as on a network: each task is added, started and done. Prints the median of a page's server time, from the
request to its last byte, beside the floor: the same database asked by sqlite3 for what the page shows, and nothing
made of it. Goals: 50 ms and 100 kB for each list, 2 s for the graph of 5,000 tasks.
"""

from __future__ import annotations

import sqlite3
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from sqlalchemy import Connection
from tests.unit.faces.web.conftest import Pages
from tests.unit.node.rest.conftest import Network

from comity.adapters.sql.log import Log
from comity.domain.entry import sign
from comity.domain.events import AnyEvent, OutputMade, TaskAdded, TaskDone, TaskInput, TaskOutput, TaskStarted
from comity.domain.words import Permission
from comity.faces.web.dress import dress

PLANS, TASKS, TIMES, GRAPH = 1000, 100_000, 21, 5000

BATCH = 300
"""Tasks of an entry, which holds 1,000 events at most."""

LISTS = {
    "/compute_plans": "SELECT body FROM plan_records ORDER BY created_at DESC LIMIT 30",
    "/compute_plans?ordering=-name": "SELECT body FROM plan_records",
    "/compute_plans?status=PLAN_STATUS_DONE&page=5": "SELECT body FROM plan_records",
    "/compute_plans?match=study": "SELECT body FROM plan_records",
    "/tasks": "SELECT body FROM task_records ORDER BY created_at DESC LIMIT 30",
    "/tasks?status=STATUS_DONE&page=100": "SELECT body FROM task_records ORDER BY created_at DESC LIMIT 30 OFFSET 2970",
    "/functions": "SELECT body FROM function_records LIMIT 30",
    "/search?q=study": "SELECT body FROM plan_records",
    "/": "SELECT body FROM plan_records ORDER BY created_at DESC LIMIT 30",
    "/entries": "SELECT leaf FROM leaves ORDER BY place DESC LIMIT 30",
}
"""Pages, and what of the database they show."""


def main(plans: int, tasks: int, folder: Path) -> None:
    """Print the figures."""
    network = Network(folder, ["a"], dress)
    begun = perf_counter()
    function = network.function(outputs={"model": {"kind": "ASSET_MODEL"}, "auc": {"kind": "ASSET_PERFORMANCE"}})["key"]
    network.build(function)
    keys = [network.plan(name=f"study {number}", tag="bench")["key"] for number in range(plans)]
    large = network.plan(name="large")["key"]
    for number, key in enumerate(keys):
        fill(network, key, function, tasks * (number + 1) // plans - tasks * number // plans)
    fill(network, large, function, GRAPH)
    print(f"{plans} plans, {tasks} tasks, seeded in {perf_counter() - begun:.0f} s; median of {TIMES}", flush=True)
    browser = Pages(network).browser()
    base = sqlite3.connect(folder / "a" / "node.db")
    for path, query in LISTS.items():
        tell(path, lambda path=path: browser.text(path), lambda query=query: base.execute(query).fetchall(), 50)
    for tab in ("", "/tasks"):
        path, query = f"/compute_plans/{keys[0]}{tab}", f"SELECT body FROM task_records WHERE plan = '{keys[0]}'"
        tell("one plan" + tab, lambda path=path: browser.text(path), lambda q=query: base.execute(q).fetchall(), 50)
    path, query = f"/compute_plans/{large}/workflow", f"SELECT body FROM task_records WHERE plan = '{large}'"
    tell(f"graph of {GRAPH}", lambda: browser.text(path), lambda: base.execute(query).fetchall(), 2000, times=5)
    network.close()


def fill(network: Network, plan: str, function: str, tasks: int) -> None:
    """Tasks of one plan, in chains of ten, done and measured; the node takes them as if the hub had ordered them."""
    place = network.places["a"]

    def take(connection: Connection) -> None:
        log = Log(connection, place.numbers["main"])
        for at in range(0, tasks, BATCH):
            for events in lives(plan, function, min(BATCH, tasks - at)):
                statement = log.next_statement("a", str(uuid.uuid4()), events)
                log.order(sign(statement, place.node.identity, {}), network.clock())

    place.node.database.write(take)


def lives(plan: str, function: str, tasks: int) -> list[list[AnyEvent]]:
    """The events of some tasks: added; started and done."""
    public = Permission(public=True)
    outputs = {name: TaskOutput(permission=public) for name in ("model", "auc")}
    keys = [str(uuid.uuid4()) for _ in range(tasks)]
    added, done = list[AnyEvent](), list[AnyEvent]()
    for each, key in enumerate(keys):
        parents = (TaskInput(identifier="models", parent=keys[each - 1], output="model"),) if each % 10 else ()
        added.append(TaskAdded(key=key, plan=plan, function=function, worker="a", inputs=parents, outputs=outputs))
        model = OutputMade(key=str(uuid.uuid4()), blob="sha256:" + "0" * 64, size=1)
        made = {"model": model, "auc": OutputMade(performance=repr((each % 90 + 1) / 100))}
        done += [TaskStarted(key=key, attempt=1), TaskDone(key=key, outputs=made)]
    return [added, done]


def tell(name: str, page: Callable[[], str], floor: Callable[[], object], goal: float, times: int = TIMES) -> None:
    """Print one page beside its floor, of interleaved turns."""
    ours, floors = list[float](), list[float]()
    for _ in range(times):
        ours.append(seconds(page))
        floors.append(seconds(floor))
    middle, bare, size = 1e3 * median(ours), 1e3 * median(floors), len(page().encode()) / 1000
    reached = middle <= goal and (size <= 100 or goal > 50)
    verdict = "reached" if reached else "MISSED"
    print(
        f"  {name:48}{middle:8.1f} ms{size:8.1f} kB  floor {bare:7.2f} ms  ratio {middle / bare:6.1f}  {verdict}",
        flush=True,
    )


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begun = perf_counter()
    work()
    return perf_counter() - begun


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    with TemporaryDirectory() as made:
        main(*(given or (PLANS, TASKS)), Path(made))
