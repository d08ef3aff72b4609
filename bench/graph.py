"""How long a browser takes to show the graph of a plan of 5,000 tasks, from the request to what is painted.

Usage: python -m bench.graph [TASKS] [TIMES]. The node is in this process and answers what Debian's Chromium asks;
the time goes from the request to the second frame after the page has loaded. The floor is the same for a page that
has that many bytes of text in it and nothing to draw. Goal: 2 s.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.pages import GRAPH, fill
from playwright.sync_api import Page, Route, sync_playwright
from tests.unit.faces.web.conftest import Browser, Pages
from tests.unit.node.rest.conftest import Network

from comity.faces.web.dress import dress

CHROMIUM = "/usr/bin/chromium"

HERE = "http://127.0.0.1"

NODE = ThreadPoolExecutor(1)

PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


def main(tasks: int, times: int, folder: Path) -> None:
    """Print the figures."""
    network = Network(folder, ["a"], dress)
    function = network.function(outputs={"model": {"kind": "ASSET_MODEL"}, "auc": {"kind": "ASSET_PERFORMANCE"}})["key"]
    network.build(function)
    plan = network.plan(name="large")["key"]
    fill(network, plan, function, tasks)
    node, path = Pages(network).browser(), f"/compute_plans/{plan}/workflow"
    bare = f"<!doctype html><title>text</title><pre>{escape(node.text(path))}</pre>"
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.route("**/*", lambda route: answer(route, node, bare))
        ours, floors = zip(*((shown(page, path), shown(page, "/bare")) for _ in range(times)), strict=True)
        page.goto(HERE + path)
        boxes = page.locator("svg a").count()
        chromium.close()
    network.close()
    took, least = median(ours), median(floors)
    verdict = "reached" if took <= 2 else "MISSED"
    print(f"graph of {tasks} tasks, {boxes} boxes, {len(bare) / 1e6:.2f} MB, median of {times}")
    print(f"  to paint {took:.2f} s, floor {least:.2f} s, ratio {took / least:.1f}  goal 2 s {verdict}")


def answer(route: Route, node: Browser, bare: str) -> None:
    """What the node answers to the browser."""
    target = route.request.url.removeprefix(HERE)
    if target == "/bare":
        return route.fulfill(body=bare, content_type="text/html")
    if route.request.resource_type == "eventsource":
        return route.abort()  # which would be asked for ever
    reply = NODE.submit(node.get, target).result()  # this thread belongs to the driver's event loop
    headers = {name: value for name, value in reply.headers.items() if name != "content-length"}
    route.fulfill(status=reply.status, headers=headers, body=reply.body)


def shown(page: Page, path: str) -> float:
    """Seconds until a page is painted."""
    begun = perf_counter()
    page.goto(HERE + path, wait_until="load")
    page.evaluate(PAINTED)
    return perf_counter() - begun


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    with TemporaryDirectory() as made:
        main(*(given + [GRAPH, 3][len(given) :]), Path(made))
