"""The pages of two nodes in a real browser: a steward lets an experiment in, its owner watches it and works with it.

The tests of this file are one story and follow each other. In all of it no page says an error in the console, and none
asks another host for anything.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
from bench.chaos.network import Node
from tests.stories.accessibility import barriers
from tests.stories.conftest import SECONDS

import comity as co
from comity.sdk.client import Account, Client
from comity.sdk.network import Network

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

ROUNDS = 6

NAMES = ["clinic", "hospital"]

EXPERIMENT = co.Experiment(
    model=co.numpy.Linear(features=13, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.005), batch_size=4, steps=20),
    strategy=co.Scaffold(),  # whose sites remember something between rounds
    metrics=[co.metrics.accuracy, co.metrics.auc],
    rounds=ROUNDS,
    seed=1,
)

RENEW = """async () => {
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  document.getElementById("charts").replaceWith(document.importNode(page.getElementById("charts"), true));
  document.dispatchEvent(new CustomEvent("comity:changed"));
}"""
"""What a page does once it is told that there is more to draw."""

BROKEN = b"def work(inputs, outputs, task_properties):\n    raise ValueError('no such column')\n"


class Story:
    """The network, a browser, and everything that its pages should not have done."""

    def __init__(self, browser, said) -> None:
        self.said = {each["organization"]: each for each in said["nodes"]}
        self.nodes = {name: Node(each) for name, each in self.said.items()}
        self.errors: list[str] = []
        self._browser = browser
        self._pages: dict[str, object] = {}

    def network(self, name: str) -> Network:
        """As the administrator of an organization."""
        node = self.said[name]
        account = Account(url=node["url"], user=node["user"], password=node["password"])
        return Network(Client(lambda: account))

    def page(self, name: str, **how):
        """A page at an organization's node, logged in; the same one at each call without more words."""
        if name in self._pages and not how:
            return self._pages[name]
        node, page = self.said[name], self.stranger(name, **how)
        page.goto("/compute_plans")
        page.fill("#username", node["user"])
        page.fill("#password", node["password"])
        page.keyboard.press("Enter")
        page.wait_for_url("**/compute_plans")
        if not how:
            self._pages[name] = page
        return page

    def stranger(self, name: str, **how):
        """A page at an organization's node, of someone who is not known to it."""
        url = self.said[name]["url"]
        context = self._browser.new_context(base_url=url, viewport={"width": 1440, "height": 900}, **how)
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        page.on("console", lambda said: self.errors.append(said.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda asked: self._check(asked.url, url))
        return page

    def _check(self, url: str, own: str) -> None:
        if not url.startswith((own + "/", "data:", "blob:")):
            self.errors.append(f"asked another host: {url}")


@pytest.fixture(scope="module")
def story(start_for_all, tmp_path_factory) -> Generator[Story]:
    folder = tmp_path_factory.mktemp("pages") / "network"
    started = start_for_all('"hub"', "up", "--ask", "--json", "--names", ",".join(NAMES), "--dir", folder)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield Story(browser, json.loads(started.said))
        browser.close()


@pytest.fixture(autouse=True)
def nothing_wrong(story):
    yield
    assert story.errors == []


@pytest.fixture(scope="module")
def sites():
    """The data of both, under the names of their organizations."""
    return {name: replace(site, name=name) for name, site in zip(NAMES, co.data.heart(), strict=False)}


@pytest.fixture(scope="module")
def run(story, sites):
    """An experiment over both, in a thread: it waits for the hospital's word, which a test gives."""
    for name, site in sites.items():
        story.network(name).register("heart", site, authorize=NAMES)
    on = dict.fromkeys(NAMES, "heart")
    # Whatever fails here, the process ends: nobody would give the word that the experiment waits for.
    thread = threading.Thread(target=lambda: story.network("clinic").run(EXPERIMENT, on=on), daemon=True)
    thread.start()
    yield thread
    thread.join(SECONDS)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def watched(story, run) -> str:
    """The experiment's page at its owner's node, opened while it waits."""
    page = story.page("clinic")
    page.locator("table a[href^='/compute_plans/']").first.click(timeout=SECONDS * 1000)
    playwright.expect(page.locator("#facts")).to_contain_text(f"0 of {ROUNDS}")
    return page.url


def test_a_steward_reads_and_approves_by_the_keyboard_alone(story, watched):
    page = story.page("hospital")
    page.goto("/")
    playwright.expect(page.get_by_role("heading", name="Waits for you")).to_be_visible()
    while True:
        page.goto("/approvals")
        waiting = page.locator("tr", has_text="Waits for a word")
        if not waiting.count():
            break
        reach(page, waiting.first.get_by_role("link").inner_text())
        page.keyboard.press("Enter")
        page.wait_for_url("**/functions/**")
        playwright.expect(page.locator("#decide")).to_contain_text("sha256:")
        reach(page, "Approve")
        page.keyboard.press("Enter")
        page.wait_for_url("**/approvals")
    playwright.expect(page.locator("#list")).to_contain_text("Approved by admin")


def test_the_owner_sees_it_run_without_loading_the_page_again(story, watched):
    page = story.page("clinic")
    page.evaluate("document.body.dataset.kept = 'yes'")
    playwright.expect(page.locator("#facts")).to_contain_text(f"{ROUNDS} of {ROUNDS}", timeout=SECONDS * 1000)
    playwright.expect(page.locator("#facts")).to_contain_text("Done", timeout=SECONDS * 1000)
    playwright.expect(page.get_by_text("Resume", exact=True)).to_be_visible()  # where Cancel was
    assert page.evaluate("document.body.dataset.kept") == "yes"
    page.reload()
    playwright.expect(page.locator(".chart")).to_have_count(2)
    playwright.expect(page.locator(".chart").first.locator(".line")).to_have_count(3)


def test_figures_show_where_the_pointer_is_and_can_be_pinned(story, watched):
    page = story.page("clinic")
    plot = page.locator(".chart").first.locator(".plot > svg")
    plot.hover(position={"x": 200, "y": 20})
    tip = page.locator(".chart").first.locator(".tip")
    playwright.expect(tip).to_contain_text("round")
    playwright.expect(tip).to_contain_text("all sites")
    plot.click(position={"x": 200, "y": 20})
    page.mouse.move(0, 0)
    playwright.expect(tip).to_be_visible()
    page.locator(".chart").first.get_by_role("button", name="hospital").click()
    playwright.expect(tip).not_to_contain_text("hospital")
    page.evaluate(RENEW)
    hospital = page.locator(".chart").first.get_by_role("button", name="hospital")
    playwright.expect(hospital).to_have_attribute("aria-pressed", "false")
    playwright.expect(page.locator(".chart").first.locator(".line:visible")).to_have_count(2)
    for kind in ("SVG", "PNG"):
        with page.expect_download() as given:
            page.locator(".chart").first.get_by_role("button", name=kind).click()
        assert given.value.suggested_filename == f"accuracy.{kind.lower()}"
        assert Path(given.value.path()).stat().st_size > 2000


def test_the_graph_leads_to_a_task_and_a_failed_one_shows_its_line(story, watched):
    page = story.page("clinic")
    page.goto(watched + "/workflow")
    page.get_by_role("button", name="Fit").click()
    page.locator("a.box", has_text="local 2").first.click()
    page.wait_for_url("**/tasks/*")
    playwright.expect(page.locator("main")).to_contain_text("contribution")
    playwright.expect(page.locator("main")).to_contain_text("Took")
    node = story.nodes["clinic"]
    function = node.function(BROKEN, {}, {})
    plan = node.post("/compute_plan/", {"key": "aaaaaaaa-0000-4000-8000-000000000001", "name": "broken"})["key"]
    task = {"key": "aaaaaaaa-0000-4000-8000-000000000002", "function_key": function, "worker": "clinic"}
    rest = {"compute_plan_key": plan, "inputs": [], "outputs": {}, "tag": None, "metadata": None, "rank": None}
    node.post("/task/bulk_create/", {"tasks": [{**task, **rest}]})
    page.goto(f"/tasks/{task['key']}")
    playwright.expect(page.locator("main")).to_contain_text("Why it failed", timeout=SECONDS * 1000)
    playwright.expect(page.locator("main")).to_contain_text("ValueError: no such column")
    playwright.expect(page.locator("main")).to_contain_text("line 2")
    page.locator("summary", has_text="Log").click()
    playwright.expect(page.locator("pre.log")).to_contain_text("Traceback (most recent call last)")


def test_an_experiment_is_resumed_and_ends_as_one_that_had_more_rounds(story, watched, sites):
    page = story.page("clinic")
    page.goto(watched)
    page.get_by_text("Resume", exact=True).click()
    page.get_by_label("Rounds in all").fill(str(ROUNDS + 2))
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url(lambda url: url != watched)
    playwright.expect(page.locator("#facts")).to_contain_text(f"{ROUNDS + 2} of {ROUNDS + 2}", timeout=SECONDS * 1000)
    made = story.network("clinic").attach(page.url.split("/")[-1]).wait()
    assert made.digest == co.simulate(replace(EXPERIMENT, rounds=ROUNDS + 2), list(sites.values())).digest


def test_plans_are_ticked_and_compared(story, watched):
    page = story.page("clinic")
    page.goto("/compute_plans")
    for box in page.locator("td.tick input").all():
        box.check()
    page.get_by_role("button", name="Compare the ticked").click()
    page.wait_for_url("**/compare?*")
    playwright.expect(page.locator("table").first).to_contain_text("train.steps")
    playwright.expect(page.locator(".chart").first).to_contain_text("all sites")


def test_a_plan_is_cancelled_by_the_keyboard_alone(story, watched):
    node, page = story.nodes["clinic"], story.page("clinic")
    function = node.function(b"def work(inputs, outputs, task_properties):\n    return\n", {}, {})
    plan = node.post("/compute_plan/", {"key": "aaaaaaaa-0000-4000-8000-000000000003", "name": "long"})["key"]
    task = {"key": "aaaaaaaa-0000-4000-8000-000000000004", "function_key": function, "worker": "hospital"}
    rest = {"compute_plan_key": plan, "inputs": [], "outputs": {}, "tag": None, "metadata": None, "rank": None}
    page.goto(f"/compute_plans/{plan}/workflow")
    playwright.expect(page.locator("#graph")).to_contain_text("No task yet")
    node.post("/task/bulk_create/", {"tasks": [{**task, **rest}]})
    playwright.expect(page.locator("a.box")).to_be_visible()  # the page follows
    page.get_by_role("button", name="Fit").click()
    page.goto(f"/compute_plans/{plan}/tasks")
    playwright.expect(page.locator("#list")).to_contain_text("approval by hospital")
    reach(page, "Cancel plan")
    page.keyboard.press("Enter")
    reach(page, "Cancel this plan")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#facts")).to_contain_text("Canceled")


def test_a_token_is_made_and_used(story):
    page = story.page("clinic")
    page.goto("/manage_tokens")
    page.get_by_label("What it is for").fill("story")
    page.get_by_role("button", name="Make a token").click()
    token = page.locator("[role=status] code").first.inner_text()
    account = Account(url=story.said["clinic"]["url"], token=token)
    assert Client(lambda: account).get("/info/")["user"] == "admin"
    page.goto("/manage_tokens")
    playwright.expect(page.locator("main")).not_to_contain_text(token)


def test_no_page_has_a_barrier_in_light_or_dark(story, watched):
    plan = watched.split("/")[-1]
    node = story.nodes["clinic"]
    dataset = node.get("/data_manager/")["results"][0]["key"]
    theirs = story.nodes["hospital"].get("/approval/")["results"][0]["function"]["key"]
    at = f"/compute_plans/{plan}"
    targets = [
        *("/", "/compute_plans", "/tasks", "/datasets", "/functions", "/organizations", "/entries", "/search?q=scaf"),
        *(at, f"{at}/tasks", f"{at}/workflow", f"{at}/participation", f"{at}/privacy", f"{at}/entries"),
        *(f"/compare?plans={plan}", f"/datasets/{dataset}", "/tasks/aaaaaaaa-0000-4000-8000-000000000002"),
        *("/compute_plans?match=nothing", "/compute_plans?ordering=nonsense"),
        *("/manage_users", "/manage_tokens", "/settings", "/reset_password/admin"),
    ]
    found = barriers(story.page("clinic", bypass_csp=True), targets)  # axe brings styles of its own
    found += barriers(story.page("hospital", bypass_csp=True), ["/approvals", f"/functions/{theirs}"])
    stranger = story.stranger("clinic", bypass_csp=True)
    found += barriers(stranger, ["/nowhere"])
    stranger.goto("/login")
    stranger.fill("#username", "nobody")
    stranger.fill("#password", "nothing")
    stranger.keyboard.press("Enter")
    playwright.expect(stranger.get_by_role("alert")).to_be_visible()
    found += barriers(stranger)
    story.errors = [each for each in story.errors if "404" not in each and "400" not in each]
    assert found == []


def test_on_a_phone_nothing_is_wider_than_the_screen_and_the_menu_opens(story, watched):
    page = story.page("clinic", has_touch=True)
    page.set_viewport_size({"width": 390, "height": 844})
    for target in ("/", "/compute_plans", watched, watched + "/workflow", "/entries", "/manage_tokens"):
        page.goto(target)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, target
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Datasets").click()
    page.wait_for_url("**/datasets")


def test_without_scripts_everything_is_painted_at_first_and_can_be_read_and_done(story, watched):
    page = story.page("clinic", java_script_enabled=False)
    expect = playwright.expect
    for target, sign in (
        ("/", "#overview table tbody tr"),
        ("/compute_plans", "#list tbody tr"),
        (watched, ".chart .line path"),
        (watched + "/workflow", "a.box text"),
        (watched + "/participation", "#parts rect.done"),
        (watched + "/entries", "#list .entry"),
        ("/tasks", "#list tbody tr"),
        ("/entries", "#list .entry"),
        ("/playground?data=breast_cancer", ".hospital img"),
    ):
        page.goto(target, wait_until="commit")
        expect(page.locator(sign).first).to_be_visible()
    page.goto(watched)
    page.locator(".figures summary").first.click()
    assert re.search(r"0\.\d+", page.locator(".figures table").first.inner_text())
    page.get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.url == watched


def reach(page, name: str) -> None:
    """Press Tab until the focus is on what is called so."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            return
    raise AssertionError(f"the keyboard does not come to {name}")
