"""What is done by pages: plans, approvals, users, tokens, looks; and that each is what the API does."""

from __future__ import annotations

import re

import pytest
from tests.unit.node.rest.test_rounds import Experiment, ground

from comity.domain.events import FunctionBuilding, FunctionReady
from comity.domain.records import Approval, Plan
from comity.node.accounts.roles import Role


def approval(pages, function):
    """What a says of the archive of a function."""
    place = pages.network.places["a"]
    page = pages.browser().text(f"/functions/{function}")
    archive = re.search(r'name="archive" value="(sha256:[0-9a-f]{64})"', page)
    return archive[1], lambda: place.read(Approval, f"a|{archive[1]}")


@pytest.fixture
def theirs(pages):
    """A function of b's that is built and waits for a's word."""
    network = pages.network
    key = network.function("b")["key"]
    network.write("b", FunctionBuilding(key=key), FunctionReady(key=key))
    return key


def test_a_steward_approves_the_archive_that_was_read(pages, theirs):
    steward = pages.browser("a", Role.STEWARD)
    assert '<b class="count" title="1 waiting">1</b>' in steward.text("/approvals")
    archive, said = approval(pages, theirs)
    other = "sha256:" + "0" * 64
    assert steward.submit(f"/functions/{theirs}/approve", {"archive": other}).status == 409
    assert steward.submit(f"/functions/{theirs}/approve", {"archive": archive}).status == 303
    assert said().approved
    words = steward.words("/approvals")
    assert "Approved by steward-main" in words
    assert 'class="count"' not in steward.text("/approvals")


def test_a_refusal_needs_a_reason_and_everybody_reads_it(pages, theirs):
    steward = pages.browser("a", Role.STEWARD)
    archive, said = approval(pages, theirs)
    assert steward.submit(f"/functions/{theirs}/refuse", {"archive": archive, "reason": " "}).status == 400
    assert steward.submit(f"/functions/{theirs}/refuse", {"archive": archive, "reason": "reads too much"}).status == 303
    assert not said().approved
    words = pages.browser("b", Role.AUDITOR).words(f"/functions/{theirs}")
    assert "a refused: reads too much" in words
    assert "May it run" not in words


def test_the_source_is_shown_beside_the_version_that_was_approved(pages, theirs):
    archive, _ = approval(pages, theirs)
    steward = pages.browser("a", Role.STEWARD)
    steward.submit(f"/functions/{theirs}/approve", {"archive": archive})
    network = pages.network
    files = {**network.ARCHIVE, "model.py": b"def train(inputs, outputs, properties):\n    return '<b>'\n"}
    body = {"name": "train", "permissions": network.PUBLIC, "inputs": {}, "outputs": {}}
    reply = network.client("b").upload("/function/", body, {"file": network.zipped(files), "description": b"# New"})
    page = steward.text(f"/functions/{reply.json['key']}")
    assert "Changed since the last version that was approved here" in page
    changed = re.findall(r'<tr class="(new|old)">.*?<td class="src">(.*?)</td></tr>', page)
    plain = [(kind, re.sub(r"<[^>]*>", "", line)) for kind, line in changed]
    assert ("old", "def train(inputs, outputs, properties): ...") in plain
    assert ("new", "    return &#39;&lt;b&gt;&#39;") in plain


def test_a_plan_is_cancelled_renamed_and_kept_as_favourite_by_its_owner(pages):
    plan = pages.network.plan()["key"]
    at = f"/compute_plans/{plan}"
    theirs = pages.browser("b")
    assert "Cancel plan" not in theirs.words(at)
    for act in ("cancel", "rename"):
        assert theirs.submit(f"{at}/{act}", {"name": "mine now"}).status == 403
    browser = pages.browser()
    assert browser.submit(f"{at}/rename", {"name": ""}).status == 400
    assert browser.submit(f"{at}/rename", {"name": "heart, again"}).status == 303
    assert "heart, again" in browser.words(at)
    assert browser.submit(f"{at}/favourite").status == 303
    assert "1–1 of 1 plan" in browser.words("/compute_plans?favourites=yes")
    assert "No plan is like that" in theirs.words("/compute_plans?favourites=yes")
    assert browser.submit(f"{at}/favourite").status == 303
    assert "No plan is like that" in browser.words("/compute_plans?favourites=yes")
    assert browser.submit(f"{at}/cancel").status == 303
    assert "Canceled" in browser.words(at)
    assert "Cancel plan" not in browser.words(at)
    assert browser.submit(f"{at}/cancel").status == 400


def resumed(browser, experiment, **given):
    """The reply to the form by which an experiment goes on."""
    at = f"/compute_plans/{experiment.plan}"
    fields = dict(re.findall(r'name="(rounds|key)" .*?value="([^"]*)"', browser.text(at)))
    return browser.submit(f"{at}/resume", {**fields, **given})


def test_an_experiment_that_was_cancelled_goes_on_with_its_state_and_memories(pages):
    network, browser = pages.network, pages.browser()
    experiment = Experiment(network, *ground(network), experiment='{"rounds":2,"seed":3}')
    at = f"/compute_plans/{experiment.plan}"
    assert "Resume" not in browser.words(at)
    assert browser.submit(f"{at}/resume", {"rounds": "3"}).status == 409
    experiment.ended("init", 0)
    experiment.trained(1)
    experiment.cancel()
    assert "Resume" not in pages.browser("b").words(at)
    assert pages.browser("b").submit(f"{at}/resume", {"rounds": "3"}).status == 403
    assert "1 round is done" in browser.words(at)
    fields = re.search(r'name="key" value="([0-9a-f-]{36})"', browser.text(at))
    for wrong in ("1", "", "-1", "two", "9" * 7):
        assert resumed(browser, experiment, rounds=wrong).status == 400
    reply = resumed(browser, experiment, rounds="3")
    assert reply.status == 303, reply.body[-600:]
    assert reply.headers["location"] == f"/compute_plans/{fields[1]}"
    grown = network.places["a"].read(Plan, fields[1]).growth
    assert (grown.continues, grown.after, grown.rounds) == (experiment.plan, 1, 3)
    assert grown.experiment == '{"rounds":3,"seed":3}'
    assert grown.start == experiment.model(experiment.key("step", 1), "state")
    assert grown.memories == {site: experiment.model(experiment.key("local", 1, site), "memory") for site in "ab"}
    assert "study" in browser.words(reply.headers["location"])
    again = browser.submit(f"{at}/resume", {"rounds": "3", "key": fields[1]})
    assert again.headers["location"] == reply.headers["location"]
    assert "1–2 of 2 plans" in browser.words("/compute_plans")


@pytest.mark.parametrize(
    ("growth", "said"),
    [
        ({"experiment": '{"privacy":[{"type":"privacy.RecordDP"}],"rounds":2}'}, "RecordDP has promised an ε"),
        ({"selected": [["a"], ["b"]]}, "was drawn for 2 rounds"),
    ],
)
def test_an_experiment_that_cannot_go_on_says_why(pages, growth, said):
    network, browser = pages.network, pages.browser()
    experiment = Experiment(network, *ground(network), **growth)
    experiment.ended("init", 0)
    for number, sites in ((1, "a"), (2, "b")) if "selected" in growth else ((1, "ab"),):
        for site in sites:
            experiment.ended("local", number, site)
        experiment.conduct()
        experiment.ended("sum", number)
        experiment.ended("step", number)
        experiment.conduct()
    experiment.cancel()
    assert said in browser.words(f"/compute_plans/{experiment.plan}")
    assert resumed(browser, experiment, rounds="9").status in (409, 501)
    assert 'name="rounds"' not in browser.text(f"/compute_plans/{experiment.plan}")


def test_columns_of_metadata_are_the_users_own(pages):
    pages.network.plan(metadata={"disease": "heart", "dose": "2"})
    browser, other = pages.browser(), pages.browser("a", Role.AUDITOR)
    assert browser.submit("/compute_plans/columns", {"columns": "dose, disease, dose"}).status == 303
    assert re.search(r"<td>2</td><td>heart</td>", browser.text("/compute_plans"))
    assert "<td>heart</td>" not in other.text("/compute_plans")
    assert browser.submit("/compute_plans/columns", {"columns": ",".join("abcdefghijkl")}).status == 400


def test_a_token_is_shown_once_and_does_what_was_chosen(pages):
    browser = pages.browser("a", Role.SCIENTIST)
    reply = browser.submit("/manage_tokens", {"note": "notebook", "days": "30", "scopes": "read"})
    found = re.search(r"Your new token: .*?<code>([\w-]{43})</code>", reply.body.decode(), re.DOTALL)
    client = pages.network.places["a"].shows(found[1])
    assert client.get("/compute_plan/").status == 200
    assert client.post("/compute_plan/", {"key": "x"}).status == 403
    page = browser.text("/manage_tokens")
    assert found[1] not in page
    assert "notebook" in page
    token = re.search(r'notebook.*?action="/manage_tokens/([0-9a-f-]{36})/revoke"', page, re.DOTALL)
    assert browser.submit(f"/manage_tokens/{token[1]}/revoke").status == 303
    assert client.get("/compute_plan/").status == 401
    for wrong in ({"days": "30"}, {"days": "9999", "scopes": "read"}, {"days": "30", "scopes": "approve"}):
        assert browser.submit("/manage_tokens", wrong).status == 400


def test_users_are_added_changed_and_removed_but_for_the_last_administrator(pages):
    admin = pages.browser()
    reply = admin.submit("/manage_users", {"username": "ada", "role": "steward"})
    password = re.search(r"ada can log in with the password: .*?<code>([^<]+)</code>", reply.body.decode(), re.DOTALL)
    ada = pages.stranger()
    assert ada.log_in("ada", password[1]).status == 303
    assert "steward" in ada.words("/settings")
    assert password[1] not in admin.text("/manage_users")
    assert admin.submit("/manage_users", {"username": "ada", "role": "steward"}).status == 409
    assert admin.submit("/manage_users/ada/role", {"role": "auditor"}).status == 303
    assert "auditor" in ada.words("/settings")
    assert admin.submit("/manage_users/ada/role", {"role": "auditor", "expires": "2099-05-04"}).status == 303
    assert "4 May 2099, 23:59:59" in admin.words("/manage_users")
    kept = {"role": "steward", "expires": "2099-05-04", "was": "2099-05-04"}
    assert admin.submit("/manage_users/ada/role", kept).status == 303
    assert admin.submit("/manage_users/ada/role", {"role": "auditor", "was": "2099-05-04"}).status == 303
    assert "2099" not in admin.words("/manage_users")
    assert admin.submit("/manage_users/ada/role", {"role": "auditor", "expires": "soon"}).status == 400
    never = {"role": "admin", "expires": "2099-05-04"}
    assert admin.submit("/manage_users/admin-main/role", never).status == 409
    for act in ("remove", "role"):
        reply = admin.submit(f"/manage_users/admin-main/{act}", {"role": "auditor"})
        assert reply.status == 409
        assert b"last" in reply.body
    assert admin.submit("/manage_users/ada/remove").status == 303
    assert ada.get("/settings").status == 303


def test_a_password_is_renewed_once_by_the_word_that_was_given(pages):
    admin, place = pages.browser(), pages.network.places["a"]
    place.client(Role.SCIENTIST)
    reply = admin.submit("/manage_users/scientist-main/reset")
    word = re.search(r"give this word: .*?<code>([\w-]{43})</code>", reply.body.decode(), re.DOTALL)[1]
    user = pages.stranger()
    assert user.get("/reset_password/scientist-main").status == 200
    new = {"word": word, "password": "battery staple correct"}
    assert user.send("/reset_password/admin-main", new).status == 400
    assert user.send("/reset_password/scientist-main", {**new, "password": "short"}).status == 400
    assert user.send("/reset_password/scientist-main", new).status == 303
    assert user.send("/reset_password/scientist-main", new).status == 400
    assert user.log_in("scientist-main", "battery staple correct").status == 303


def test_ones_own_password_is_changed_with_the_old_one(pages):
    browser = pages.browser()
    new = {"new": "battery staple correct", "again": "battery staple correct"}
    assert browser.submit("/settings/password", {**new, "old": "wrong"}).status == 400
    assert browser.submit("/settings/password", {**new, "old": pages.network.PASSWORD, "again": "x"}).status == 400
    assert browser.submit("/settings/password", {**new, "old": pages.network.PASSWORD}).status == 303
    assert browser.get("/settings").status == 303
    assert browser.log_in("admin-main", "battery staple correct").status == 303


def test_the_theme_is_kept_in_the_browser(pages):
    browser = pages.stranger()
    reply = browser.send("/theme", {"theme": "dark", "next": "/login?next=%2Ftasks"})
    assert reply.headers["location"] == "/login?next=%2Ftasks"
    assert 'data-theme="dark"' in browser.text("/login")
    assert browser.send("/theme", {"theme": "pink"}).status == 400


def test_a_dataset_is_withdrawn_with_what_was_made_from_it(pages):
    dataset = pages.network.dataset()["key"]
    browser = pages.browser("a", Role.STEWARD)
    assert "no model was made from it" in re.sub(
        r"\s+", " ", browser.submit(f"/datasets/{dataset}/withdraw", {"reason": "consent"}).body.decode()
    )
    assert "Withdrawn" in browser.words(f"/datasets/{dataset}")
    assert pages.browser("b").submit(f"/datasets/{dataset}/withdraw").status == 403
