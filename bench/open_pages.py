"""What open pages cost a node that is at work: a plan's page held open a hundred times while its experiment runs.

Usage: python -m bench.open_pages [PAGES]. Each open page listens to the node's feed and asks for the whole page again
whenever it is told to, as a browser does. Prints the node's processor seconds for a second of the run, without pages
and with them; the floor is the same run without a page. Goal: half a core more.
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

PAGES, ROUNDS, NAMES = 100, 12, ("org1", "org2")

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
        for count in (0, pages):
            busy, wall, told = measured(network, count)
            cores = f"{busy / wall:.2f} cores of the node over {wall:.1f} s"
            print(f"  {count:4} pages open: {cores}, {told} pages sent again", flush=True)


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
            tasks = [asyncio.create_task(watch(session, told, number)) for number in range(pages)]
            begun, before = time.monotonic(), seconds(pid)
            await asyncio.to_thread(user.run, EXPERIMENT, on=dict.fromkeys(NAMES, "heart"))
            found = seconds(pid) - before, time.monotonic() - begun, sum(told)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return found

    return asyncio.run(story())


async def watch(session: aiohttp.ClientSession, told: list[int], number: int) -> None:
    """Hold the latest plan's page open."""
    async with session.get("/compute_plans") as answer:
        found = re.search(r'href="(/compute_plans/[0-9a-f-]{36})"', await answer.text())
    page = found[1] if found else "/"
    async with session.get("/feed", timeout=aiohttp.ClientTimeout()) as feed:
        async for line in feed.content:
            if line.startswith(b"event: changed"):
                async with session.get(page) as answer:
                    await answer.read()
                told[number] += 1


def seconds(pid: int) -> float:
    """Processor seconds of a process."""
    fields: Sequence[Any] = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PAGES)
