"""Who may do what, to what: every route, every role, and things of one's own, of others and of another channel.

Things are of the caller's organization (`own`), of another one that lets the caller's have them (`granted`) or does not
(`withheld`), or of another channel (`elsewhere`), whose callers here are of the very organization that owns them.
Whoever lacks the right is told so whatever the thing is, 403; without a token that counts, 401.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from comity.domain.events import FunctionBuilding, FunctionReady
from comity.node.accounts.roles import Right, Role

# Roles by their first letters: admin, scientist, steward, auditor. "user" is any of them whatever their token is for,
# "anyone" needs no token. What stands for a list says whether the thing is "in" it or "out" of it.
RULES = """
route                                who      own  granted withheld elsewhere
POST /api-token-auth/                anyone   200  -    -    -
GET /active-api-tokens/              user     200  -    -    -
DELETE /active-api-tokens/           user     200  -    404  404
POST /api-token/                     user     200  -    -    -
GET /users/                          A        in   -    -    out
POST /users/                         A        201  -    -    -
GET /users/{key}/                    A        200  -    -    404
PUT /users/{key}/                    A        200  -    -    404
DELETE /users/{key}/                 A        204  -    -    404
PUT /users/{key}/password/           user     200  -    403  403
POST /users/{key}/reset_password/    A        200  -    -    404
GET /users/{key}/verify_token/       anyone   200  -    401  -
POST /users/{key}/set_password/      anyone   200  -    401  -
GET /info/                           anyone   200  -    -    -
GET /organization/                   A S W R  200  -    -    -
GET /network/                        A S W R  200  -    -    -
GET /metrics                         A S W R  200  -    -    -
GET /live                            anyone   200  -    -    -
GET /ready                           anyone   200  -    -    -
GET /docs                            anyone   200  -    -    -
GET /openapi.json                    anyone   200  -    -    -
GET /schema/                         anyone   200  -    -    -
GET /news_feed/                      A S W R  in   in   in   out
GET /log/                            A S W R  in   in   in   out
GET /log/leaves/                     A S W R  in   in   in   out
GET /log/checkpoint/                 A S W R  200  -    -    -
POST /log/redact/                    A W      200  403  403  404
GET /policy/                         A S W R  200  -    -    -
POST /policy/explain/                A S W R  200  200  200  404
GET /budget/                         A S W R  200  -    -    -
POST /data_manager/                  A S      201  -    -    -
GET /data_manager/                   A S W R  in   in   in   out
GET /data_manager/{key}/             A S W R  200  200  200  404
PUT /data_manager/{key}/             A S      200  403  403  404
POST /data_manager/{key}/withdraw/   A S W    200  403  403  404
GET /data_manager/{key}/opener/      A S W R  200  200  403  404
GET /data_manager/{key}/description/ A S W R  200  200  403  404
POST /data_sample/                   A S      201  403  403  400
GET /data_sample/                    A S W R  in   in   in   out
GET /data_sample/{key}/              A S W R  200  200  200  404
POST /data_sample/bulk_update/       A S      200  403  403  404
POST /function/                      A S      201  -    -    -
GET /function/                       A S W R  in   in   in   out
GET /function/{key}/                 A S W R  200  200  200  404
PUT /function/{key}/                 A S      200  403  403  404
GET /function/{key}/file/            A S W R  200  200  403  404
GET /function/{key}/description/     A S W R  200  200  403  404
GET /function/{key}/profiling/       A S W R  200  200  200  404
GET /approval/                       A S W R  out  in   out  out
GET /function/{key}/review/          A S W R  200  200  403  404
POST /function/{key}/approve/        A W      200  200  403  404
POST /function/{key}/refuse/         A W      200  200  403  404
POST /compute_plan/                  A S      200  409  409  201
GET /compute_plan/                   A S W R  in   in   in   out
GET /compute_plan/{key}/             A S W R  200  200  200  404
PUT /compute_plan/{key}/             A S      200  403  403  404
POST /compute_plan/{key}/cancel/     A S      200  403  403  404
GET /compute_plan/{key}/perf/        A S W R  200  200  200  404
GET /compute_plan/{key}/task/        A S W R  200  200  200  404
GET /compute_plan/{key}/functions/   A S W R  200  200  200  404
GET /compute_plan/{key}/workflow_graph/ A S W R 200 200 200  404
GET /compute_plan_metadata/          A S W R  200  -    -    -
GET /performance/                    A S W R  200  -    -    -
GET /performance/export/             A S W R  200  -    -    -
GET /compute_plan/{key}/rounds/      A S W R  400  400  400  404
POST /task/bulk_create/              A S      200  403  403  404
GET /task/                           A S W R  in   in   in   out
GET /task/{key}/                     A S W R  200  200  200  404
GET /task/{key}/input_assets/        A S W R  200  200  200  404
GET /task/{key}/output_assets/       A S W R  200  200  200  404
GET /task/{key}/logs/                A S W R  200  200  403  404
GET /logs/{key}/file/                A S W R  200  200  403  404
GET /task_profiling/                 A S W R  in   in   in   out
GET /task_profiling/{key}/           A S W R  200  200  200  404
GET /model/                          A S W R  in   in   in   out
GET /model/{key}/                    A S W R  200  200  200  404
GET /model/{key}/file/               A S W R  200  200  403  404
"""

NAMES = {"A": Role.ADMIN, "S": Role.SCIENTIST, "W": Role.STEWARD, "R": Role.AUDITOR}
WHOSE = ("own", "granted", "withheld", "elsewhere")
NOWHERE = "11111111-2222-4333-8444-555555555555"
NOUNS = {
    "GET approval": "function",
    "GET log": "text",
    "GET logs": "logs",
    "GET news_feed": "compute_plan",
    "GET task_profiling": "task",
    "POST data_sample": "data_manager",
    "POST policy": "data_manager",
    "POST task": "compute_plan",
}
"""What a route is about that is not called so."""

ONCE = {"withdraw": "data_manager", "cancel": "compute_plan", "compute_plan": "compute_plan", "redact": "text"}
"""What can be done once to a thing."""


@dataclass(frozen=True)
class Rule:
    """A row of the table."""

    method: str
    path: str
    roles: frozenset[Role]
    open: bool
    scoped: bool
    outcomes: Mapping[str, str]
    """By whose the thing is."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def read_rules() -> list[Rule]:
    rules: list[Rule] = []
    for line in RULES.split("elsewhere\n")[1].strip().splitlines():
        method, path, *words = line.split()
        who, outcomes = words[:-4], words[-4:]
        every = who[0] in ("user", "anyone")
        roles = frozenset(Role) if every else frozenset(NAMES[each] for each in who)
        shown = {whose: each for whose, each in zip(WHOSE, outcomes, strict=True) if each != "-"}
        rules.append(Rule(method, path, roles, who[0] == "anyone", not every, shown))
    return rules


TABLE = read_rules()

each_rule = pytest.mark.parametrize("rule", TABLE, ids=str)
each_scoped = pytest.mark.parametrize("rule", [each for each in TABLE if each.scoped], ids=str)


def served(routes: Any, at: str = "") -> Iterator[str]:
    """Whatever an application answers to, as rows of the table begin."""
    for route in routes:
        match route:
            case Route():
                yield from (f"{method} {at}{route.path}" for method in route.methods or ())
            case Mount():
                yield from served(route.routes, at + route.path)
            case _:
                yield f"{type(route).__name__} {at}{getattr(route, 'path', route)}"


def test_every_route_that_is_served_has_a_rule(steady):
    rules = sorted(map(str, TABLE))
    assert sorted(served(steady.places["a"].app.routes)) == rules
    assert len(set(rules)) == len(rules)


def test_a_new_route_is_seen():
    def answer(request: Any) -> None: ...

    below = Starlette(routes=[Route("/deep/", answer, methods=["POST"])])
    made = Starlette(routes=[Route("/new/", answer, methods=["PUT"]), Mount("/below", below)])
    made.router.routes.append(WebSocketRoute("/socket", answer))
    assert list(served(made.routes)) == ["PUT /new/", "POST /below/deep/", "WebSocketRoute /socket"]


class World:
    """Organization a in the channels main and other, b in main; things of each, by noun and by whose they are."""

    def __init__(self, network: Any) -> None:
        self.network = network
        network.channel("other", ["a"])
        self.grounds: dict[str, tuple[str, str, str]] = {}
        self.plan_of = {each: network.plan(each)["key"] for each in "ab"}
        self.things = {
            noun: {whose: self.make(noun, whose) for whose in WHOSE[:3]}
            for noun in ("data_manager", "data_sample", "function", "compute_plan", "task", "model", "logs", "text")
        }

    def make(self, noun: str, whose: str) -> str:
        """A thing, of a's own or b's; what is its own is for a alone."""
        network, owner = self.network, "a" if whose == "own" else "b"
        allowed = network.private(*("a" if whose == "granted" else ()))
        if noun == "data_manager":
            return network.dataset(owner, allowed, allowed)["key"]
        if noun == "data_sample":
            return network.sample(self.make("data_manager", whose), owner)
        if noun == "function":
            made = network.function(owner, allowed)["key"]
            network.write(owner, FunctionBuilding(key=made), FunctionReady(key=made))
            return made
        if noun in ("compute_plan", "text"):
            return network.plan(owner)["key"]
        if noun == "logs":
            return self.failed(owner, allowed)
        (task,) = network.add(self.task(owner, allowed, self.make("function", whose)), owner=owner)
        return task["key"] if noun == "task" else network.run(task["key"])

    def task(self, owner: str, allowed: Any, function: str) -> dict[str, Any]:
        outputs = {"model": {"permissions": allowed, "transient": False}}
        return self.network.task(self.plan_of[owner], function, owner, outputs=outputs)

    def failed(self, owner: str, allowed: Any) -> str:
        """A task that failed, with a log that those may read whom its dataset lets."""
        network = self.network
        data = {"data": {"kind": "ASSET_DATA_MANAGER"}, "rows": {"kind": "ASSET_DATA_SAMPLE", "multiple": True}}
        dataset = network.dataset(owner, allowed, allowed)["key"]
        function = network.function(owner, allowed, inputs=data)["key"]
        network.write(owner, FunctionBuilding(key=function), FunctionReady(key=function))
        given = {"data": dataset, "rows": network.sample(dataset, owner)}
        inputs = [{"identifier": name, "asset_key": key} for name, key in given.items()]
        (task,) = network.add({**self.task(owner, allowed, function), "inputs": inputs}, owner=owner)
        network.fail(task["key"], "Traceback")
        return task["key"]

    def token(self, whose: str, role: Role) -> str:
        """The id of a token that somebody logged in for."""
        accounts, name = self.network.places["a"].accounts, f"{whose}-{role.value}-{uuid.uuid4().hex[:8]}"
        channel = self.network.places["a"].numbers["main"]
        if whose == "own":
            name = f"{role.value}-main"
        else:
            accounts.add(channel, name, password=self.network.PASSWORD, role=role)
        return accounts.login(name, self.network.PASSWORD, address="192.0.2.2").token.id

    def person(self, rule: Rule, whose: str, role: Role) -> str:
        """The name of a user of the channel main; with a password of one's own, of the very one who asks."""
        place = self.network.places["a"]
        if "/password/" in rule.path and whose == "own":
            return f"{role.value}-main"
        name = f"{'withheld-' * (whose == 'withheld')}{uuid.uuid4()}"
        place.accounts.add(place.numbers["main"], name, password=self.network.PASSWORD, role=Role.AUDITOR)
        return name

    def thing(self, rule: Rule, whose: str, role: Role) -> str:
        """Its key; of what ends when it is asked for, a new one each time."""
        words = rule.path.strip("/").split("/")
        if words[0] == "users":
            return self.person(rule, whose, role)
        whose = "own" if whose == "elsewhere" else whose
        if words[0] == "active-api-tokens":
            return self.token("own" if rule.outcomes.get(whose) == "200" else whose, role)
        if words[-1] in ONCE and rule.method == "POST":
            return self.make(ONCE[words[-1]], whose)
        noun = NOUNS.get(f"{rule.method} {words[0]}", words[0])
        noun = "logs" if words[-1] == "logs" else noun
        return self.things.get(noun, {}).get(whose, NOWHERE)

    def ask(self, client: Any, rule: Rule, key: str) -> Any:
        """The request that is about this thing."""
        path = rule.path.replace("{key}", key)
        network = self.network
        match str(rule):
            case "POST /api-token-auth/":
                return client.form(path, {"username": "admin-main", "password": network.PASSWORD})
            case "POST /users/":
                name = f"new-{uuid.uuid4().hex[:8]}"
                return client.post(path, {"username": name, "password": network.PASSWORD, "role": "USER"})
            case "PUT /users/{key}/":
                return client.put(path, {"role": "ADMIN"})
            case "PUT /users/{key}/password/":
                return self.change_password(client, path)
            case "GET /users/{key}/verify_token/":
                return client.get(path, token=self.reset(key))
            case "POST /users/{key}/set_password/":
                return client.post(path, {"token": self.reset(key), "password": network.PASSWORD})
            case "GET /users/":
                return client.get(path, match=key)
            case "GET /news_feed/":
                return client.get(path, page_size=1000)
            case "GET /task_profiling/":
                return client.get(path, compute_task_key=key)
            case "POST /api-token/":
                return client.post(path, {"expires_at": "2030-01-01", "scopes": ["read"]})
            case "DELETE /active-api-tokens/":
                return client.call("DELETE", f"{path}?id={key}")
            case "POST /data_manager/":
                body = {"name": "heart", "permissions": network.private()}
                return client.upload(path, body, {"data_opener": network.OPENER, "description": b"#"})
            case "POST /data_sample/":
                return client.upload(path, {"data_manager_keys": [key]}, {"path": network.zipped({"a": b"1"})})
            case "POST /data_sample/bulk_update/":
                return self.link(client, self.things["data_sample"]["own"], key)
            case "POST /function/":
                body = {"name": "train", "permissions": network.private()}
                return client.upload(path, body, {"file": network.zipped(network.ARCHIVE), "description": b"#"})
            case "POST /compute_plan/":
                return client.post(path, {"key": key, "name": "study"})
            case "POST /task/bulk_create/":
                return self.add(client, key, self.things["function"]["own"])
            case "POST /policy/explain/":
                site = {"dataset": key, "samples": [NOWHERE]}
                growth = {"experiment": "{}", "sites": {"a": site}, "aggregator": "a", "functions": {}, "rounds": 1}
                return client.post(path, {"growth": growth})
            case "POST /log/redact/":
                return client.post(path, {"entries": [self.place(key)]})
            case "GET /log/":
                return client.get(path, about=key)
            case "GET /log/leaves/" | "GET /approval/":
                return client.get(path)
        if rule.method != "GET":
            return client.call(rule.method, path, b'{"name": "renamed"}')
        return client.get(path, **({"key": key} if "in" in rule.outcomes.values() else {}))

    def change_password(self, client: Any, path: str) -> Any:
        """With the same password; those who have asked log in anew, since it ends their tokens."""
        password = self.network.PASSWORD
        reply = client.put(path, {"old_password": password, "password": password})
        if reply.status == 200:
            for place in self.network.places.values():
                place.forget()
        return reply

    def reset(self, user: str) -> str:
        """A reset for a user; for one that is withheld, another's."""
        place = self.network.places["a"]
        if user == NOWHERE or user.startswith("withheld"):
            user = self.person(TABLE[0], "own", Role.AUDITOR)
        return place.accounts.offer_reset(place.numbers["main"], user).secret

    def link(self, client: Any, sample: str, dataset: str) -> Any:
        return client.form("/data_sample/bulk_update/", {"data_sample_keys": sample, "data_manager_keys": dataset})

    def add(self, client: Any, plan: str, function: str, **given: str) -> Any:
        inputs = [{"identifier": "models", **given}] if given else []
        return client.post("/task/bulk_create/", {"tasks": [self.network.task(plan, function, inputs=inputs)]})

    def name(self, channel: str, word: str, key: str) -> Any:
        """A scientist's request, in order but for the thing that it names."""
        client = self.network.client("a", Role.SCIENTIST, channel)
        dataset, function, plan = self.ground(channel)
        match word:
            case "sample":
                return self.link(client, key, dataset)
            case "function":
                return self.add(client, plan, key)
            case "parent":
                return self.add(client, plan, function, parent_task_key=key, parent_task_output_identifier="model")
            case _:
                return self.add(client, plan, function, asset_key=key)

    def ground(self, channel: str) -> tuple[str, str, str]:
        """A dataset, a function and a plan of a's own in a channel."""
        client, name = self.network.client("a", channel=channel), {"name": "n", "permissions": self.network.private()}
        if channel not in self.grounds:
            files = {"file": self.network.zipped(self.network.ARCHIVE), "description": b"#"}
            models = {"kind": "ASSET_MODEL", "multiple": True, "optional": True}
            takes = {**name, "inputs": {"models": models}, "outputs": {"model": {"kind": "ASSET_MODEL"}}}
            function = client.upload("/function/", takes, files).json["key"]
            files = {"data_opener": self.network.OPENER, "description": b"#"}
            dataset = client.upload("/data_manager/", name, files).json["key"]
            plan = client.post("/compute_plan/", {"key": str(uuid.uuid4()), "name": "study"}).json["key"]
            self.grounds[channel] = dataset, function, plan
        return self.grounds[channel]

    def place(self, key: str) -> int:
        """Where in the channel main's log a thing is first spoken of."""
        found = self.network.client().get("/log/", about=key).json["results"]
        return found[-1]["place"] if found else 2**40


@pytest.fixture(scope="module")
def world(steady) -> World:
    return World(steady)


def outcome(rule: Rule, reply: Any, key: str) -> str:
    is_list = {"in", "out"} & set(rule.outcomes.values())
    return ("in" if key.encode() in reply.body else "out") if is_list and reply.status == 200 else str(reply.status)


def without_keys(reply: Any) -> bytes:
    return re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"KEY", reply.body)


@each_rule
def test_what_each_role_may_do_to_what(world, rule):
    found: dict[tuple[str, str], str] = {}
    expected: dict[tuple[str, str], str] = {}
    for role in Role:
        for whose, status in rule.outcomes.items():
            client = world.network.client("a", role, "other" if whose == "elsewhere" else "main")
            key = world.thing(rule, whose, role)
            reply = world.ask(client, rule, key)
            found[role.value, whose] = outcome(rule, reply, key)
            expected[role.value, whose] = status if role in rule.roles else "403"
            if whose == "elsewhere" and reply.status >= 400 and "redact" not in rule.path:
                nowhere = world.ask(client, rule, NOWHERE)
                assert without_keys(reply) == without_keys(nowhere), "as if it were nowhere"
    assert found == expected


MENTIONED = """
a body's                             own  granted withheld elsewhere
sample to link                       200  403  403  404
function of a task                   200  200  403  404
parent of a task                     200  200  403  400
model of a task                      200  200  403  404
"""


@pytest.mark.parametrize("line", MENTIONED.strip().splitlines()[1:], ids=lambda line: line[:20].strip())
def test_what_a_body_may_name(world, line):
    word, outcomes = line.split()[0], line.split()[-4:]
    things = world.things[{"sample": "data_sample", "parent": "task"}.get(word, word)]
    replies = [world.name("main", word, things[whose]) for whose in WHOSE[:3]]
    replies += [world.name("other", word, things["own"]), world.name("other", word, NOWHERE)]
    assert [str(each.status) for each in replies[:4]] == outcomes, [each.body for each in replies]
    assert without_keys(replies[3]) == without_keys(replies[4]), "as if it were nowhere"


@pytest.fixture(scope="module")
def worthless(world) -> dict[str, str]:
    """Tokens that open nothing, each of an admin's."""
    place, clock = world.network.places["a"], world.network.clock
    accounts, channel, password = place.accounts, place.numbers["main"], world.network.PASSWORD

    def login(name: str, **more: Any) -> tuple[Any, str]:
        accounts.add(channel, name, password=password, role=Role.ADMIN, **more)
        issued = accounts.login(name, password, address="192.0.2.3")
        return accounts.authenticate(issued.secret), issued.secret

    made = {"none": "", "wrong": "x" * 43, "of the log's key": place.node.identity.public.signing}
    held = login("holds")[0]
    expires = clock.now + 60_000
    made["expired"] = accounts.add_token(held, note="", expires=expires, scopes=Right).secret
    made["of a user whose time has come"] = login("passing", expires=expires)[1]
    made["revoked"] = accounts.add_token(held, note="", expires=expires * 2, scopes=Right).secret
    accounts.revoke(held, accounts.authenticate(made["revoked"]).token)
    made["of a user who is no more"] = login("leaving")[1]
    accounts.delete(channel, "leaving")
    made["of another password"] = login("renewed")[1]
    accounts.set_password("renewed", password[::-1])
    made["a cookie"] = accounts.open_session("holds", password, address="192.0.2.3").secret
    made["of another node"] = world.network.client("b").token
    clock.now = expires
    return made


@each_rule
def test_a_token_that_does_not_count(world, worthless, rule):
    key = world.person(rule, "own", Role.AUDITOR) if rule.open else NOWHERE
    for name, secret in worthless.items():
        for scheme in ("Token", "Bearer"):
            reply = world.ask(world.network.places["a"].shows(secret, scheme), rule, key)
            if rule.open and not (secret and rule.path == "/info/"):
                assert reply.status in (200, 503), name
            else:
                assert (reply.status, set(reply.json)) == (401, {"detail"}), name


@each_scoped
def test_a_token_for_one_right(world, rule):
    """Of all that an admin could give, exactly one opens the route."""
    place = world.network.places["a"]
    admin = place.accounts.authenticate(world.network.client().token)
    opened: set[Right] = set()
    for right in Right:
        issued = place.accounts.add_token(admin, note="", expires=2 * world.network.clock.now, scopes=[right])
        reply = world.ask(place.shows(issued.secret), rule, NOWHERE)
        if reply.status != 403:
            opened.add(right)
        place.accounts.revoke(admin, issued.token.id)
    assert len(opened) == 1
