"""What open pages cost a node that is at work: a hundred of them, held open while an experiment runs that they show.

Usage: python -m bench.open_pages [PAGES]. Each open page listens to the node's feed and asks for what has changed of it
whenever it is told to, as a browser does. Prints the node's processor seconds of the run, without pages and with them;
the floor is the same run without a page. Goal: half a core more.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from bench.chaos.network import Network, started

import comity as co
from comity.sdk.client import Client, embedded
from comity.sdk.network import Network as User

PAGES, ROUNDS, NAMES = 100, 40, ("org1", "org2")

GOAL = 0.5

SHOWN = (*["/compute_plans/{plan}"] * 7, "/compute_plans/{plan}/tasks", "/compute_plans/{plan}/workflow", "/")
"""What open pages show: seven of ten what the plan has measured."""

EXPERIMENT = co.Experiment(
    model=co.numpy.Linear(features=13, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.005), batch_size=4, steps=100),
    strategy=co.FedAvg(),
    metrics=[co.metrics.auc],
    rounds=ROUNDS,
)


def main(pages: int) -> None:
    """Print the figures."""
    with TemporaryDirectory() as folder, started(Path(folder) / "network", NAMES) as network:
        for name, site in zip(NAMES, co.data.heart(), strict=False):
            User(Client(lambda name=name: embedded(network.folder, name))).register("heart", site, authorize=NAMES)
        measured(network, 0)  # functions are built, sandboxes begun
        bare = 0.0
        for count in (0, pages):
            busy, wall, told = measured(network, count)
            print(f"  {count:4} pages open: {busy:.1f} processor s of the node over {wall:.1f} s", flush=True)
            bare = bare or busy
        cores = (busy - bare) / wall
        verdict = "reached" if cores < GOAL else "MISSED"
        print(f"  the pages cost {cores:.2f} cores, {told} times told: goal {GOAL} {verdict}", flush=True)


def measured(network: Network, pages: int) -> tuple[float, float, int]:
    """(processor seconds of the first node, seconds, pages sent again) of one experiment."""
    user = User(Client(lambda: embedded(network.folder, NAMES[0])))
    pid = network.daemons()[NAMES[0]]

    async def story() -> tuple[float, float, int]:
        said = next(each for each in network.said["nodes"] if each["organization"] == NAMES[0])
        connector, jar = aiohttp.TCPConnector(limit=0), aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(said["url"], connector=connector, cookie_jar=jar) as session:
            who = {"username": said["user"], "password": said["password"]}
            async with session.post("/login", data=who, allow_redirects=False) as answer:
                assert answer.status == 303
            told = [0] * pages
            begun, before = time.monotonic(), seconds(pid)
            running = await asyncio.to_thread(user.begin, EXPERIMENT, dict.fromkeys(NAMES, "heart"))
            targets = [SHOWN[each % len(SHOWN)].format(plan=running.key) for each in range(pages)]
            tasks = [asyncio.create_task(watch(session, told, each, target)) for each, target in enumerate(targets)]
            await asyncio.to_thread(running.wait)
            found = seconds(pid) - before, time.monotonic() - begun, sum(told)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return found

    return asyncio.run(story())


async def watch(session: aiohttp.ClientSession, told: list[int], number: int, page: str) -> None:
    """Hold a page open."""
    async with session.get(page) as answer:
        size = re.search(r'data-size="(\d+)"', await answer.text())
    assert size is not None
    plan = f"plan={page.split('/')[2]}&" if page != "/" else ""
    about = f"/feed?{plan}size={size[1]}"
    async with session.get(about, timeout=aiohttp.ClientTimeout()) as feed:
        async for line in feed.content:
            if line.startswith(b"data:"):
                async with session.get(page, headers={"comity-live": line[5:].decode().strip()}) as answer:
                    await answer.read()
                told[number] += 1


def seconds(pid: int) -> float:
    """Processor seconds of a process."""
    fields: Sequence[Any] = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PAGES)
