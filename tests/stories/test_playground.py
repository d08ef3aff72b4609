"""`comity playground` in a real browser: sliders are moved, a run is watched, and its link leads back to it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Generator

import pytest
from tests.stories.accessibility import barriers
from tests.stories.conftest import COMITY, SECONDS

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def address() -> Generator[str]:
    """Of a playground that would begin a run at once."""
    command = [COMITY, "playground", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["url"]
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 0
    process.stdout.close()


class Page:
    """A page, and everything that it should not have done."""

    def __init__(self, browser, address: str, **how) -> None:
        self.context = browser.new_context(**how)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("console", lambda said: self.errors.append(said.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda asked: self._check(asked.url, address))
        self.page.goto(address)

    def _check(self, url: str, address: str) -> None:
        if not url.startswith(address.partition("/playground")[0] + "/"):
            self.errors.append(f"asked another host: {url}")

    def slide(self, name: str, key: str, times: int) -> None:
        """Move a slider by the keyboard."""
        control = self.page.locator(f'[name="{name}"]')
        control.focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def figures(self) -> list[str]:
        """Of the table, however it is broken into lines."""
        return [" ".join(each.split()) for each in self.page.locator(".band-cell").all_inner_texts()]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


def test_sliders_are_moved_and_a_run_is_watched_to_its_reading(address, browser):
    here = Page(browser, f"{address}?data=breast_cancer", viewport={"width": 1440, "height": 900})
    page, expect = here.page, playwright.expect
    expect(page.get_by_text("30 biopsies: 24 malignant, 6 benign")).to_be_visible()
    expect(page.get_by_label("Secure sum")).to_be_disabled()
    page.locator('[name="hospitals"][value="2"]').focus()
    page.keyboard.press("ArrowRight")  # three of them
    expect(page.get_by_label("Secure sum")).to_be_enabled()
    here.slide("c.rows", "ArrowRight", 2)
    expect(page.get_by_text("50 biopsies: 20 malignant, 30 benign")).to_be_visible()
    here.slide("a.shift", "ArrowRight", 12)
    here.slide("rounds", "ArrowLeft", 12)
    page.get_by_label("Secure sum").focus()
    page.keyboard.press("Space")
    expect(page).to_have_url(
        re.compile(r"\?data=breast_cancer&hospitals=3&a.shift=1.2&c.rows=50&rounds=8&secure_sum=on")
    )
    page.get_by_role("button", name="Run").press("Enter")
    expect(page.locator(".curves polyline").first).to_be_visible(timeout=1000 * SECONDS)
    expect(page.get_by_role("heading", name="What it says")).to_be_visible(timeout=1000 * SECONDS)
    expect(page.locator(".verdict")).to_contain_text("By AUC, training together reaches")
    expect(page.get_by_text("It does not hide what a model tells of a patient")).to_be_visible()
    expect(page.locator("#said")).to_contain_text("Done. By AUC")
    assert page.locator(".results tbody tr").count() == 5
    figures = here.figures()
    phone = {"width": 390, "height": 800}
    again = Page(browser, page.url, color_scheme="dark", viewport=phone, bypass_csp=True)
    assert barriers(again.page) == []
    again.page.emulate_media(color_scheme="dark")
    again.page.get_by_role("button", name="Run").click()
    expect(again.page.locator(".verdict")).to_be_visible(timeout=1000 * SECONDS)
    assert again.figures() == figures
    wide = "document.documentElement.scrollWidth <= window.innerWidth"
    assert again.page.evaluate(wide), "a phone has to scroll sideways"
    assert barriers(again.page) == []
    assert here.errors == again.errors == []


def test_hospitals_that_want_too_much_cannot_be_run(address, browser):
    here = Page(browser, f"{address}?data=breast_cancer&a.rows=110&b.rows=110&a.positive=0.9&b.positive=0.35")
    expect = playwright.expect
    here.slide("b.positive", "ArrowRight", 2)
    expect(here.page.get_by_role("alert")).to_contain_text("These hospitals need 149 biopsies that are malignant")
    expect(here.page.get_by_role("button", name="Run")).to_be_disabled()
    here.slide("b.positive", "ArrowLeft", 2)
    expect(here.page.get_by_role("alert")).to_be_hidden()
    expect(here.page.get_by_role("button", name="Run")).to_be_enabled()
    assert here.errors == []


def test_a_run_can_be_stopped(address, browser):
    here = Page(browser, f"{address}?data=heart&rounds=50")
    here.page.get_by_role("button", name="Run").click()
    playwright.expect(here.page.locator(".curves polyline").first).to_be_visible(timeout=1000 * SECONDS)
    here.page.get_by_role("button", name="Stop").click()
    playwright.expect(here.page.locator("#said")).to_have_text("Stopped.")
    playwright.expect(here.page.get_by_role("button", name="Run")).to_be_visible()
    assert here.errors == []
