"""Every page: who may see it, what a browser may load for it, and that it says what the API says."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert
from tests.unit.node.rest.test_rounds import Experiment, ground

from comity.adapters.sql.log import Log
from comity.adapters.sql.schema import checkpoints
from comity.faces.web.routes import ROUTES
from comity.ledger.checkpoint import Checkpoint, sign_checkpoint
from comity.ledger.merkle import leaf_hash, verify_inclusion
from comity.node import overview
from comity.node.accounts.roles import RIGHTS, Right, Role
from comity.node.rest.routes import ROUTES as API
from comity.values.errors import InvalidInput

NOWHERE = "11111111-2222-4333-8444-555555555555"


def signed(network):
    """The hub signs the log as it stands, and a's node keeps that."""
    place = network.places["a"]

    def keep(connection):
        log = Log(connection, place.numbers["main"])
        made = Checkpoint("example.org/log", log.size, log.tree.root())
        note = sign_checkpoint(made, "example.org/log", Ed25519PrivateKey.generate())
        connection.execute(insert(checkpoints).values(channel=log.channel, size=log.size, note=note))

    place.node.database.write(keep)


@pytest.fixture(scope="module")
def things(steady_pages):
    """Something of every kind, by the nouns of addresses, and the browsers of each role."""
    network = steady_pages.network
    functions, sites = ground(network)
    experiment = Experiment(network, functions, sites)
    experiment.ended("init", 0)
    for site in "ab":
        experiment.ended("local", 1, site)
    experiment.conduct()
    function = network.function(
        outputs={"model": {"kind": "ASSET_MODEL"}, "acc": {"kind": "ASSET_PERFORMANCE"}}, name="measure"
    )["key"]
    theirs = network.function("b", name="theirs")["key"]
    for each in (function, theirs):
        network.build(each)
    plan = network.plan(name="of tasks", tag="first", metadata={"disease": "heart"})["key"]
    outputs = {name: {"permissions": network.PUBLIC, "transient": False} for name in ("model", "acc")}
    done, failed, idle = (network.task(plan, function, outputs=outputs) for _ in range(3))
    network.add(done, failed, idle)
    model = network.run(done["key"], performance="0.875", durations={"task_execution": 1500000, "save_outputs": 500000})
    network.plan(name="=1+1", tag="formula")
    trace = (
        'Traceback (most recent call last):\n  File "model.py", line 7, in train\n    x / 0\nZeroDivisionError: no\n'
    )
    network.fail(failed["key"], trace)
    signed(network)
    keys = {
        "entries": "1",
        "compute_plans": plan,
        "experiment": experiment.plan,
        "tasks": failed["key"],
        "done": done["key"],
        "models": model,
        "datasets": sites["a"]["dataset"],
        "functions": theirs,
    }
    browsers = {role: steady_pages.browser("a", role) for role in Role}
    return keys, browsers


def address(route, keys):
    noun = route.path.split("/")[1]
    if route.path.endswith(("/participation", "/privacy", "/participation.csv")):
        noun = "experiment"
    return route.path.replace("{key}", keys.get(noun, "admin-main"))


GETS = [each for each in ROUTES if each.method == "GET" and each.path != "/feed"]
SIGNED = [each for each in GETS if each.needs != "anyone"]


@pytest.mark.parametrize("route", SIGNED, ids=lambda each: each.path)
def test_a_page_shows_itself_to_those_who_may_see_it(steady_pages, things, route):
    keys, browsers = things
    target = address(route, keys)
    for role, browser in browsers.items():
        may = route.needs == "user" or route.needs in RIGHTS[role]
        reply = browser.get(target)
        assert reply.status == (200 if may else 403), (role, reply.body[-300:])
    reply = steady_pages.stranger().get(target)
    assert (reply.status, reply.body) == (303, b"")
    assert reply.headers["location"].startswith("/login?next=")


@pytest.mark.parametrize(
    "route", [each for each in ROUTES if "{key}" in each.path], ids=lambda e: f"{e.method} {e.path}"
)
def test_what_is_not_there_is_said_to_be_so(things, route):
    _, browsers = things
    target = route.path.replace("{key}", NOWHERE)
    browser = browsers[Role.ADMIN]
    if route.method == "GET":
        assert browser.get(target).status == (200 if route.needs == "anyone" else 404)
    elif route.needs != "anyone":
        fields = {"name": "x", "reason": "x", "archive": "x", "role": "auditor", "rounds": "2"}
        assert browser.submit(target, fields).status in (404, 409)


@pytest.mark.parametrize("route", [each for each in ROUTES if each.method == "POST"], ids=lambda each: each.path)
def test_a_form_is_taken_from_those_who_may_send_it_alone(steady_pages, things, route):
    keys, browsers = things
    if route.needs == "anyone":
        return
    target = address(route, {**keys, "compute_plans": NOWHERE, "functions": NOWHERE, "datasets": NOWHERE})
    assert steady_pages.stranger().send(target, {}).headers["location"] == "/login"
    for role in Role:
        assert browsers[role].send(target, {}).status == 403
        if isinstance(route.needs, Right) and route.needs not in RIGHTS[role]:
            assert browsers[role].submit(target).status == 403


@pytest.mark.parametrize("route", [each for each in GETS if "." not in each.path], ids=lambda each: each.path)
def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_of_its_own(steady_pages, things, route):
    keys, browsers = things
    browser = browsers[Role.ADMIN] if route.needs != "anyone" else steady_pages.stranger()
    reply = browser.get(address(route, keys))
    if not reply.headers["content-type"].startswith("text/html"):
        assert reply.headers["x-content-type-options"] == "nosniff"
        return
    policy = dict(each.strip().split(" ", 1) for each in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert reply.headers["cache-control"] == "no-store"
    page = reply.body.decode()
    ids = list[str]()
    for tag, given in steady_pages.Checked(page).tags:
        assert not any(name.startswith("on") or name == "style" for name in given), (tag, given)
        assert tag not in ("style", "iframe", "object", "embed", "base")
        assert tag != "script" or "src" in given or given.get("type") == "application/json"
        for name in ("src", "href", "action", "formaction"):
            assert not re.match(r"(?i)\s*(https?:|//|data:|javascript:)", given.get(name, "")) or "rel" in given
        ids += [given["id"]] if "id" in given else []
        if tag == "form" and given.get("method") == "post" and given["action"] not in ("/theme", "/login"):
            assert route.needs == "anyone" or page.count('name="csrf"') >= 1
    assert len(ids) == len(set(ids))
    assert "<h1>" in page
    assert '<html lang="en"' in page


def test_no_page_has_an_address_of_the_api():
    ours = {each.path.rstrip("/") for each in ROUTES}
    assert not ours & {each.path.rstrip("/") for each in API}
    assert all(not each.path.endswith("/") or each.path == "/" for each in ROUTES)


def test_those_who_speak_the_api_never_get_html(steady_pages, things):
    client = steady_pages.network.client()
    for kind in ("*/*", "application/json;version=0.0", ""):
        reply = client.call("GET", "/nowhere/", accept=kind)
        assert (reply.status, reply.headers["content-type"]) == (404, "application/json")
    listed = client.call("GET", "/compute_plan/", accept="text/html,*/*")
    assert listed.headers["content-type"] == "application/json"
    assert client.call("GET", "/compute_plan").status == 307
    reply = steady_pages.stranger().get("/nowhere")
    assert (reply.status, reply.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_static_files_are_kept_for_ever_under_their_digests(steady_pages):
    stranger = steady_pages.stranger()
    files = re.findall(r'"(/static/[0-9a-f]{16}/[a-z]+\.[a-z]+)"', stranger.text("/login"))
    assert len(files) >= 5
    for each in files:
        reply = stranger.get(each)
        assert reply.status == 200
        assert "immutable" in reply.headers["cache-control"]
    assert stranger.get("/static/0000000000000000/page.js").status == 404
    assert stranger.get("/static/0000000000000000/..%2f..%2f__init__.py").status == 404


def test_a_plans_page_has_a_line_for_each_organization_and_the_figures(things):
    keys, browsers = things
    page = browsers[Role.AUDITOR].text(f"/compute_plans/{keys['compute_plans']}")
    assert "acc by rank: a" in page
    assert re.search(r'<td class="figure">0\.875</td>', page)
    words = browsers[Role.AUDITOR].words(f"/compute_plans/{keys['compute_plans']}")
    assert "Failed" in words
    assert "A task failed: see which, and why" in words
    assert "disease heart" in words


def test_a_failed_task_shows_the_error_and_the_line(things):
    keys, browsers = things
    words = browsers[Role.SCIENTIST].words(f"/tasks/{keys['tasks']}")
    assert "ZeroDivisionError: no model.py , line 7: x / 0" in words
    done = browsers[Role.SCIENTIST].words(f"/tasks/{keys['done']}")
    assert "task execution 1 s" in done
    assert "0.875" in done
    assert f'href="/models/{keys["models"]}/file"' in browsers[Role.SCIENTIST].text(f"/tasks/{keys['done']}")


def test_an_experiment_shows_who_took_part_and_its_lanes(things):
    keys, browsers = things
    at = f"/compute_plans/{keys['experiment']}"
    words = browsers[Role.AUDITOR].words(f"{at}/participation")
    assert "a 1 of 2" in words
    assert "after 2 h 46 min with those that have, if they are 1 of 2 at least" in words
    page = browsers[Role.AUDITOR].text(f"{at}/workflow")
    assert page.count('class="box ') == len(re.findall(r'href="/tasks/[0-9a-f-]{36}" class="box', page))
    assert "local 1, b: Done" in page
    one_round = browsers[Role.AUDITOR].text(f"{at}/workflow?round=1")
    assert 0 < one_round.count('class="box ') < page.count('class="box ')


def test_lists_are_filtered_sorted_and_paged_by_their_addresses(things):
    keys, browsers = things
    browser = browsers[Role.AUDITOR]
    assert "1–1 of 1 plan" in browser.words("/compute_plans?tag=first")
    assert "1–1 of 1 task" in browser.words("/tasks?status=STATUS_FAILED&match=")
    second = browser.words("/tasks?page=2&page_size=3&ordering=rank")
    assert re.search(r"4–6 of \d+ tasks Previous Page 2 of \d+ Next", second)
    assert browser.get("/tasks?nonsense=1").status == 400
    assert browser.get("/tasks?ordering=nonsense").status == 400
    assert browser.get("/tasks?page=0").status == 400
    assert browser.get("/tasks?match=%00").status == 400
    rows = browser.text("/tasks.csv?status=STATUS_FAILED").splitlines()
    assert len(rows) == 2
    assert keys["tasks"] in rows[1]


def test_an_entry_is_proven_to_stand_in_the_log_that_was_signed(things):
    _, browsers = things
    proof = json.loads(browsers[Role.AUDITOR].text("/entries/3/proof"))
    _, size, root, *_ = proof["checkpoint"].split("\n")
    path = [b64decode(each) for each in proof["path"]]
    leaf = leaf_hash(b64decode(proof["leaf"]))
    verify_inclusion(path, leaf=leaf, index=3, size=int(size), root=b64decode(root))
    with pytest.raises(InvalidInput):
        verify_inclusion(path, leaf=leaf, index=4, size=int(size), root=b64decode(root))
    for nothing in (size, "x", "-1", "9" * 17):
        assert browsers[Role.AUDITOR].get(f"/entries/{nothing}/proof").status == 404


def test_every_list_is_a_file_of_what_its_page_shows(things):
    keys, browsers = things
    browser = browsers[Role.ADMIN]

    def rows(target):
        return list(csv.DictReader(io.StringIO(browser.text(target))))

    assert [each["key"] for each in rows("/plans.csv?tag=first")] == [keys["compute_plans"]]
    assert [each["key"] for each in rows("/plans.csv?metadata_key=disease&metadata_value=hea")] == [
        keys["compute_plans"]
    ]
    assert rows("/plans.csv?metadata_key=disease&metadata_value=lung") == []
    assert browser.get("/plans.csv?metadata_value=hea").status == 400
    assert [each["name"] for each in rows("/plans.csv?tag=formula")] == ["'=1+1"]
    assert {each["part"] for each in rows(f"/compute_plans/{keys['experiment']}/participation.csv")} == {
        "took part",
        "waits",
    }
    names = [each["username"] for each in rows("/manage_users.csv?ordering=-username")]
    assert names == sorted(names, reverse=True)
    assert [each["username"] for each in rows("/manage_users.csv?match=steward")] == ["steward-main"]
    assert [each["name"] for each in rows("/organizations.csv?ordering=-name")] == ["b", "a"]
    assert {each["kind"] for each in rows("/manage_tokens.csv?match=session")} == {"session"}
    assert {each["owner"] for each in rows("/approvals.csv")} == {"b"}
    assert rows("/approvals.csv?match=nothing") == []
    places = [int(each["place"]) for each in rows("/entries.csv?author=b")]
    assert places == sorted(places, reverse=True)
    for path in ("/manage_users", "/organizations", "/approvals", "/manage_tokens"):
        assert browser.get(f"{path}?ordering=nonsense").status == 400
        assert 'aria-sort="descending"' in browser.text(f"{path}?ordering=-{ORDER[path]}")


ORDER = {
    "/manage_users": "created",
    "/organizations": "last_entry",
    "/approvals": "waiting",
    "/manage_tokens": "expires",
}


def test_search_finds_by_name_and_a_key_leads_there(things):
    keys, browsers = things
    browser = browsers[Role.AUDITOR]
    assert "Functions measure" in browser.words("/search?q=meas")
    assert keys["done"][:8] in browser.text(f"/search?q={keys['done'][:6]}")
    assert browser.get(f"/search?q={keys['done']}").headers["location"] == f"/tasks/{keys['done']}"
    assert browser.get(f"/search?q={keys['models']}").headers["location"] == f"/tasks/{keys['done']}"
    for nothing in ("", "%25", "qqqq", "_", "%5C", "%F4%8F%BF%BF"):
        assert browser.get(f"/search?q={nothing}").status == 200


def test_compared_plans_show_what_differs(things):
    keys, browsers = things
    words = browsers[Role.AUDITOR].words(f"/compare?plans={keys['compute_plans']}&plans={keys['experiment']}")
    assert "metadata: disease heart –" in words
    assert browsers[Role.AUDITOR].get(f"/compare?plans={uuid.uuid4()}").status == 404


def test_without_anything_pages_say_what_to_do(pages):
    browser = pages.browser()
    for target, said in (
        ("/", "A network, and nothing on it yet"),
        ("/compute_plans", "comity run heart.py --on a:heart"),
        ("/datasets", "comity data add heart"),
        ("/approvals", "Nothing to decide"),
        ("/compare", "Choose plans to compare"),
    ):
        assert said in browser.words(target)


def test_an_organization_that_is_away_shows_when_the_hub_last_heard_of_it(things, monkeypatch):
    browser = things[1][Role.AUDITOR]
    now = 1_800_000_000_000

    async def present(_):
        return {"a": overview.Present(now, "1.0"), "b": overview.Present(now - 3_600_000, "1.0")}

    monkeypatch.setattr(overview, "_present", present)
    assert re.findall(r"(Connected|Away)", browser.words("/organizations")) == ["Connected", "Away"]
    assert 'last seen <time datetime="2027-01-15T07:00:00' in browser.text("/organizations")
    assert "2027-01-15T07:00:00" in browser.get("/organizations.csv").body.decode().splitlines()[2]
