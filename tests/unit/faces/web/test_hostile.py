"""Names, tags, metadata, descriptions and code of others are shown as they are, and never become part of a page."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from comity.faces.web.code import changes, highlighted
from comity.faces.web.prose import prose

PIECES = [
    "<script>alert(1)</script>", "</script>", "<img src=x onerror=alert(1)>", '" onmouseover="alert(1)', "' id='",
    "<!--", "-->", "]]>", "javascript:alert(1)", "{{ 7 * 7 }}", "{% raw %}", "&lt;", "&#60;", "\\u003c", "</title>",
    "</textarea>", "<svg/onload=alert(1)>", "\u2028", "\u202e", "\x7f", "a", " ", "=1+1", "%3Cscript%3E", "`", "é", "𝔘",
]  # fmt: skip
HOSTILE = (
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map(lambda each: "".join(each)[:100]).filter(str.strip)
)
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def skeleton(pages, page):
    """All tags of a page in their order, with the names of their attributes."""
    return [(tag, tuple(sorted(given))) for tag, given in pages.Checked(page).tags]


@pytest.fixture(scope="module")
def network(steady_pages):
    return steady_pages.network


@pytest.fixture(scope="module")
def function(steady_pages):
    """One that measures."""
    key = steady_pages.network.function(outputs={"auc": {"kind": "ASSET_PERFORMANCE"}})["key"]
    steady_pages.network.build(key)
    return key


@FEW
@given(name=HOSTILE, value=HOSTILE)
@example(name="</script><img src=x onerror=alert(1)>", value='"><img src=x onerror=alert(1)>')
def test_a_plans_words_change_no_tag_of_any_page(steady_pages, function, name, value):
    network, browser = steady_pages.network, steady_pages.browser()
    shown = list[list[object]]()
    for texts in (("plain", "word"), (name, value)):
        plan = network.plan(name=texts[0], tag=texts[1], metadata={"key": texts[1]})["key"]
        task = network.task(plan, function, outputs={"auc": {"permissions": network.PUBLIC, "transient": False}})
        network.add(task)
        network.run(task["key"], performance="0.5")
        targets = (
            f"/compute_plans?key={plan}",
            f"/compute_plans/{plan}",
            f"/compute_plans/{plan}/workflow",
            f"/compare?plans={plan}",
            f"/compute_plans/{plan}/entries",
        )
        shown.append([skeleton(steady_pages, browser.text(each)) for each in targets])
    assert shown[0][0] == shown[1][0]
    for plain, hostile in zip(*(each[1:] for each in shown), strict=True):
        assert {tag for tag, _ in plain} == {tag for tag, _ in hostile}
        assert {name for _, names in hostile for name in names} <= {name for _, names in plain for name in names}


@FEW
@given(wanted=HOSTILE)
def test_what_is_asked_for_changes_no_tag(steady_pages, wanted):
    browser = steady_pages.browser()
    for path in ("/search?q=", "/compute_plans?match=", "/compute_plans?tag=", "/entries?about=", "/login?next="):
        page, plain = (browser.get(path + quote(each)) for each in (wanted, "zzzz"))
        if plain.status == page.status == 200:
            tags = {(tag, name) for tag, names in skeleton(steady_pages, page.body.decode()) for name in names}
            known = {(tag, name) for tag, names in skeleton(steady_pages, plain.body.decode()) for name in names}
            assert not {each for each in tags - known if each[1].startswith("on") or each[0] in ("script", "img")}


@settings(max_examples=60)
@given(
    text=st.lists(
        st.sampled_from([*PIECES, "\n", "# ", "* ", "[a](", ")", "![", "<", "| a |\n|---|\n", "```"]), max_size=12
    )
)
def test_descriptions_bring_no_script_and_load_nothing(steady_pages, text):
    page = str(prose("".join(text)))
    for tag, attributes in steady_pages.Checked(page).tags:
        assert tag not in ("script", "img", "svg", "iframe", "style", "form", "input", "h1", "h2", "title", "textarea")
        assert attributes.keys() <= {"href", "rel", "title", "class", "start"}
        assert not re.match(r"(?i)\s*(javascript|data|vbscript):", attributes.get("href", ""))


@settings(max_examples=60)
@given(lines=st.lists(st.sampled_from([*PIECES, "\n", "def f():", '"""', "#", "'", "\t", "\\", "\r\n"]), max_size=15))
@pytest.mark.parametrize("name", ["m.py", "x.html", "no-ending"])
def test_code_is_shown_character_by_character(steady_pages, lines, name):
    text = "".join(lines)
    shown = highlighted(name, text)
    plain = [unescape(re.sub(r"</?span[^>]*>", "", str(each.html))) for each in shown]
    assert plain == re.sub(r"\r\n?", "\n", text).removesuffix("\n").split("\n")[: len(plain)]
    assert len(plain) >= text.count("\n")
    for each in shown:
        assert {tag for tag, _ in steady_pages.Checked(str(each.html)).tags} <= {"span"}
    for _, difference, _ in changes({name: "x\n"}, {name: text}):
        for each in difference:
            assert {tag for tag, _ in steady_pages.Checked(str(each.html)).tags} <= {"span"}
