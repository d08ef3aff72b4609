"""The page, with scripts and without; what follows from its address; and who may ask for what."""

from __future__ import annotations

import asyncio
import io
import re
from functools import partial
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.image import imread
from tests.unit.faces.playground.conftest import Alone, Answer
from tests.unit.faces.playground.test_running import LONG, none_left
from tests.unit.faces.web.conftest import Browser, Checked
from tests.unit.node.rest.conftest import Network

from comity.faces.playground.limits import Limits
from comity.faces.web.dress import dress

QUICK = "data=breast_cancer&rounds=2"


def words(answer: Answer) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def ask(alone: Alone, method: str, target: str, body: str = "", **headers: str) -> Answer:
    return alone.do(alone.visitor().ask(method, target, body, **headers))


def test_the_page_shows_the_settings_of_its_address(alone: Alone) -> None:
    page = ask(alone, "GET", "/playground?data=heart&hospitals=3&c.positive=0.25&strategy=Scaffold&secure_sum=on")
    assert page.status == 200
    controls = {given.get("name", ""): given for tag, given in Checked(page.text).tags if tag == "input"}
    assert controls["c.positive"]["value"] == "0.25"
    assert "checked" in controls["secure_sum"]
    assert "disabled" in controls["epsilon"]
    assert "Differential privacy is not part of comity yet" in words(page)
    assert "60 patients: 15 ill, 45 healthy" in words(page)
    chosen = [given["value"] for tag, given in Checked(page.text).tags if tag == "option" and "selected" in given]
    assert chosen == ["Scaffold"]


def test_every_control_has_a_label_and_every_picture_words(alone: Alone) -> None:
    tags = Checked(ask(alone, "GET", "/playground").text).tags
    labelled = {given["for"] for tag, given in tags if tag == "label" and "for" in given}
    for tag, given in tags:
        if tag in ("input", "select") and given.get("type") not in ("hidden", "radio"):
            assert given["id"] in labelled
        if tag == "img":
            assert "alt" in given
        assert not {name for name in given if name.startswith("on") or name == "style"}


def test_what_cannot_be_is_told_on_the_page(alone: Alone) -> None:
    page = ask(alone, "GET", "/playground?rounds=99")
    assert page.status == 400
    assert "the number of rounds must be from 1 to 50, not 99" in words(page)
    page = ask(alone, "GET", "/playground?data=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in page.text


def test_without_scripts_a_form_gives_the_final_result(alone: Alone) -> None:
    page = ask(alone, "POST", "/playground", f"{QUICK}&hospitals=2&f.rows=30&strategy=FedAvg")
    assert page.status == 200
    assert "By AUC, training together reaches" in words(page)
    assert len(re.findall(r"<svg class=\"curves\"", page.text)) == 2
    assert "0 to 2." in words(page)
    for drawing in re.findall(r"<svg class=.*?</svg>", page.text):
        ElementTree.fromstring(drawing)  # raises for what is not well-formed
    refused = ask(alone, "POST", "/playground", "data=heart&secure_sum=on")
    assert (refused.status, "at least three" in words(refused)) == (400, True)


def test_a_run_is_told_as_it_comes_and_ends_with_a_reading(alone: Alone) -> None:
    answer = ask(alone, "GET", f"/playground/run?{QUICK}")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *drawn, end = answer.events
    assert end == ("end", {})
    assert {name for name, _ in drawn} == {"drawn"}
    done = [data["done"] for _, data in drawn]
    assert done == sorted(done)
    assert done[-1] == drawn[-1][1]["planned"] == 2 * 3 * 4
    assert drawn[-1][1]["said"][0].startswith("By AUC")
    assert "cannot tell" in drawn[-1][1]["html"] or "better" in drawn[-1][1]["html"]


def test_a_run_that_cannot_be_says_why(alone: Alone) -> None:
    answer = ask(alone, "GET", "/playground/run?rounds=0")
    assert answer.events == [("refused", {"why": "the number of rounds must be from 1 to 50, not 0"})]


@pytest.mark.parametrize(("method", "target"), [("GET", f"/playground/run?{LONG}"), ("POST", "/playground")])
def test_who_leaves_ends_the_run(alone: Alone, method: str, target: str) -> None:
    async def story() -> None:
        workers = alone.playground.workers
        answer, leave = alone.visitor().begin(method, target, LONG if method == "POST" else "")
        while not (workers._base and Path(f"/proc/{workers._base.pid}/task/{workers._base.pid}/children").read_text()):
            await asyncio.sleep(0.01)
        leave.set()
        await answer.end()
        await none_left(workers)
        assert "end" not in [name for name, _ in answer.events] if method == "GET" else answer.status == 499

    alone.do(story())


def test_one_address_has_no_third_run(alone: Alone) -> None:
    async def story() -> None:
        visitor = alone.visitor("192.0.2.9")
        begun = [visitor.begin("GET", f"/playground/run?{LONG}") for _ in range(2)]
        for answer, _ in begun:
            await answer.more.wait()
        third = await visitor.ask("GET", f"/playground/run?{QUICK}")
        assert third.events[0][0] == "refused"
        assert "from your address" in third.events[0][1]["why"]
        for answer, leave in begun:
            leave.set()
            await answer.end()

    alone.do(story())


@pytest.mark.parametrize(("method", "target"), [("GET", f"/playground/run?{QUICK}"), ("POST", "/playground")])
@pytest.mark.parametrize("headers", [{"sec_fetch_site": "cross-site"}, {"origin": "https://evil.example"}])
def test_other_sites_cannot_have_anything_run(alone: Alone, method: str, target: str, headers: dict[str, str]) -> None:
    assert ask(alone, method, target, QUICK if method == "POST" else "", **headers).status == 403


def test_the_samples_are_a_picture_of_what_was_dealt(alone: Alone) -> None:
    answer = ask(alone, "GET", "/playground/samples/b.png?b.rows=30&b.positive=0.5")
    assert answer.headers["content-type"] == "image/png"
    pixels = (imread(io.BytesIO(answer.body)) * 255).round().astype(int)  # (h, w, 4)
    assert pixels.shape == (2 * 34, 20 * 34, 4)
    corners = pixels[::34, ::34].reshape(-1, 4)
    assert [corner.tolist() for corner in corners[[0, 14, 15, 29, 30]]] == [
        [0xE6, 0x49, 0x80, 255],
        [0xE6, 0x49, 0x80, 255],
        [0x86, 0x8E, 0x96, 255],
        [0x86, 0x8E, 0x96, 255],
        [0, 0, 0, 0],
    ]
    noisy = ask(alone, "GET", "/playground/samples/b.png?b.rows=30&b.positive=0.5&b.noise=1")
    assert noisy.body != answer.body
    assert ask(alone, "GET", "/playground/samples/c.png").status == 404
    assert ask(alone, "GET", "/playground/samples/a.png?a.rows=9").status == 400
    table = ask(alone, "GET", "/playground/samples/a.png?data=heart")
    assert np.asarray(imread(io.BytesIO(table.body))).shape == (5 * 34, 20 * 34, 4)


def test_the_experiment_can_be_taken_along(alone: Alone) -> None:
    answer = ask(alone, "GET", "/playground/script.py?data=heart&rounds=3")
    assert answer.headers["content-disposition"] == 'attachment; filename="playground.py"'
    compile(answer.text, "playground.py", "exec")
    assert ask(alone, "GET", "/playground/script.py?rounds=0").status == 400


def test_without_pytorch_images_cannot_be_run_and_the_page_says_how(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comity.faces.playground.data_sets.find_spec", lambda name: None)
    page = ask(alone, "GET", "/playground")
    (run,) = [given for tag, given in Checked(page.text).tags if tag == "button" and given.get("id") == "run"]
    assert "disabled" in run
    assert "This needs PyTorch, which is not installed: pip install 'comity[torch]'" in words(page)
    assert "needs PyTorch" in ask(alone, "GET", "/playground/run").events[0][1]["why"]
    assert ask(alone, "GET", "/playground?data=heart").text.count("needs PyTorch") == 0


def test_alone_it_is_the_only_page_and_keeps_how_it_looks(alone: Alone) -> None:
    assert ask(alone, "GET", "/").headers["location"] == "/playground"
    chosen = ask(alone, "POST", "/theme", "theme=dark&next=/playground?rounds=3")
    assert (chosen.status, chosen.headers["location"]) == (303, "/playground?rounds=3")
    assert 'data-theme="dark"' in ask(alone, "GET", "/playground", cookie=chosen.headers["set-cookie"]).text
    assert "/login" not in ask(alone, "GET", "/playground").text


def test_every_node_has_one_unless_its_operator_says_no(tmp_path: Path) -> None:
    for each in ("yes", "no"):
        (tmp_path / each).mkdir()
    network = Network(tmp_path / "yes", ["a"], dress)
    browser = Browser(network.places["a"].anyone)
    assert "Breast ultrasound" in browser.words("/playground")
    assert browser.get("/playground/dealt?data=heart").json["query"] == "data=heart"
    network.places["a"].client()
    browser.log_in("admin-main")
    assert 'href="/playground" aria-current="page"' in browser.text("/playground")
    network.close()
    without = Network(tmp_path / "no", ["a"], partial(dress, playground=Limits(enabled=False)))
    browser = Browser(without.places["a"].anyone)
    assert browser.get("/playground").status == 404
    without.places["a"].client()
    browser.log_in("admin-main")
    assert "/playground" not in browser.text("/settings")
    without.close()
