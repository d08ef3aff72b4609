"""What a node answers where Substra's rules say no, and where they say how: one rule a test, by the stock client."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import requests

FIRST, SECOND = "MyOrg1MSP", "MyOrg2MSP"

NEW = ("dataset", "function", "plan")
"""What has a name and metadata."""


@pytest.fixture(scope="module")
def train(assets, clients, wait) -> str:
    """A public function of the first organization, built."""
    key = assets.function(clients[0])
    wait(clients[0].wait_function, key)
    return key


@pytest.fixture(scope="module")
def rows(assets, clients) -> tuple[str, str]:
    """A dataset of the first organization, and its sample."""
    dataset = assets.dataset(clients[0])
    return dataset, assets.sample(clients[0], dataset)


@pytest.fixture
def add(assets, clients) -> Callable[..., str]:
    """The key of a new thing of some kind."""

    def added(kind: str, number: int = 0, **more: Any) -> str:
        if kind == "plan":
            return assets.seen("compute_plan", clients[number].add_compute_plan(assets.plan(**more)).key)
        return getattr(assets, kind)(clients[number], **more)

    return added


@pytest.fixture(scope="module")
def http(nodes, clients) -> Callable[..., requests.Response]:
    """A request at the first organization's node, as its admin."""
    login = {"username": nodes[0]["user"], "password": nodes[0]["password"]}
    token = requests.post(f"{nodes[0]['url']}/api-token-auth/", data=login, timeout=60).json()["token"]

    def ask(method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Token {token}", "Accept": "application/json;version=0.0"}
        return requests.request(method, nodes[0]["url"] + path, headers=headers, timeout=60, **more)

    return ask


def shown(client: Any, kind: str, key: str) -> Any:
    return getattr(client, {"plan": "get_compute_plan"}.get(kind, f"get_{kind}"))(key)


# Names and metadata (1.2)


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize(
    ("given", "kept"), [({"foo": "bar"}, {"foo": "bar"}), (None, {}), ({}, {}), ({"k" * 100: "v" * 100},) * 2]
)
def test_metadata_are_kept(add, clients, kind, given, kept):
    assert shown(clients[1 - 1], kind, add(kind, metadata=given)).metadata == kept


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("metadata", [{"foo" * 40: "bar"}, {"foo": "bar" * 40}, {"foo__bar": "40"}])
def test_metadata_have_limits(substra, add, kind, metadata):
    with pytest.raises(substra.exceptions.InvalidRequest):
        add(kind, metadata=metadata)


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("name", ["", "n" * 101])
def test_names_have_limits(substra, add, kind, name):
    with pytest.raises(substra.exceptions.InvalidRequest):
        add(kind, name=name)


def test_tags_have_limits(substra, add):
    with pytest.raises(substra.exceptions.InvalidRequest):
        add("plan", tag="t" * 101)


@pytest.mark.parametrize("kind", NEW)
def test_only_the_owner_renames(substra, add, clients, kind):
    key = add(kind)
    rename = {"plan": "update_compute_plan"}.get(kind, f"update_{kind}")
    getattr(clients[0], rename)(key, "updated name")
    assert shown(clients[0], kind, key).name == "updated name"
    with pytest.raises(substra.exceptions.AuthorizationError):
        getattr(clients[1], rename)(key, "theirs")
    with pytest.raises(substra.exceptions.InvalidRequest):
        getattr(clients[0], rename)(key, "n" * 101)


@pytest.mark.parametrize("noun", ["function", "dataset", "data_sample", "compute_plan", "task", "model"])
def test_what_is_not_there(substra, clients, noun):
    with pytest.raises(substra.exceptions.NotFound):
        getattr(clients[0], f"get_{noun}")(str(uuid.uuid4()))


def test_the_same_dataset_twice_is_two(assets, clients):
    assert assets.dataset(clients[0]) != assets.dataset(clients[0])


# Openers, samples and archives (1.3, 1.4, 3.3)


def test_samples_may_be_linked_by_their_owner_only(substra, assets, clients, rows):
    other = assets.dataset(clients[1])
    with pytest.raises(substra.exceptions.AuthorizationError):
        clients[1].link_dataset_with_data_samples(other, [rows[1]])
    with pytest.raises(substra.exceptions.AuthorizationError):
        assets.sample(clients[1], rows[0])


@pytest.mark.parametrize("path", ["nowhere", "empty", "link", "file"])
def test_what_is_no_sample_at_the_node(substra, assets, clients, rows, path):
    folder = assets.new()
    (folder / "empty").mkdir()
    (folder / "link").symlink_to(assets.rows())
    (folder / "file").write_text("1,2\n")
    spec = substra.schemas.DataSampleSpec(path=folder, data_manager_keys=[rows[0]])
    spec.path = folder / path  # the stock client resolves links
    with pytest.raises(substra.exceptions.InvalidRequest):
        clients[0].add_data_sample(spec, local=False)


def packed(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


@pytest.mark.parametrize(
    ("body", "data", "said"),
    [
        ({"data_manager_keys": []}, packed({"a": b"1"}), "data_manager_keys"),
        ({}, packed({"a": b"1"}), "data_manager_keys"),
        ({"data_manager_keys": [str(uuid.UUID(int=1))]}, packed({"a": b"1"}), "data manager"),
        (None, packed({}), ""),
        (None, packed({"../a": b"1"}), ""),
        (None, b"no archive", ""),
    ],
)
def test_what_is_no_sample_to_upload(http, rows, body, data, said):
    body = {"data_manager_keys": [rows[0]]} if body is None else body
    reply = http("POST", "/data_sample/", data={"json": json.dumps(body)}, files={"path": data})
    assert reply.status_code == 400
    assert said in reply.json()["detail"]


def test_samples_are_given_back_in_the_order_they_came(http, rows):
    files = {f"s{number}": packed({"rows.csv": b"1,%d\n" % number}) for number in range(4)}
    body = {"data_manager_keys": [rows[0]]}
    reply = http("POST", "/data_sample/", data={"json": json.dumps(body)}, files=files)
    assert reply.status_code == 201
    assert [set(each) for each in reply.json()] == [{"key", "owner", "data_manager_keys", "creation_date"}] * 4


def test_folders_of_one_name_collapse_in_the_stock_client(substra, assets, clients):
    """It names each archive by its folder's last name, and sends one for two of the same (section 9, 6)."""
    dataset, folders = assets.dataset(clients[0]), [assets.new() / "rows" for _ in range(2)]
    for each in folders:
        each.mkdir()
        (each / "rows.csv").write_text("1,2\n")
    spec = substra.schemas.DataSampleSpec(paths=folders, data_manager_keys=[dataset])
    assert len(clients[0].add_data_samples(spec)) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"function.py": b"pass"},
        {"Dockerfile": b"FROM python:3.11-slim"},
        {"../Dockerfile": b"FROM python:3.11-slim", "function.py": b""},
        {"sub/Dockerfile": b"FROM python:3.11-slim", "sub/function.py": b""},
    ],
    ids=["no Dockerfile", "nothing else", "traversal", "not at the root"],
)
def test_what_is_no_function(substra, assets, clients, files):
    path = assets.new() / "function.zip"
    path.write_bytes(packed(files))
    with pytest.raises(substra.exceptions.InvalidRequest):
        assets.function(clients[0], archive=path)


@pytest.mark.parametrize(
    "inputs",
    [
        {"opener": {"kind": "ASSET_DATA_MANAGER", "multiple": False, "optional": False}},
        {"datasamples": {"kind": "ASSET_DATA_SAMPLE", "multiple": True, "optional": False}},
        {"a": {"kind": "ASSET_PERFORMANCE", "multiple": False, "optional": False}},
        {"a" * 101: {"kind": "ASSET_MODEL", "multiple": False, "optional": False}},
        {"a/b": {"kind": "ASSET_MODEL", "multiple": False, "optional": False}},
        {"..": {"kind": "ASSET_MODEL", "multiple": False, "optional": False}},
    ],
)
def test_inputs_that_no_function_has(http, assets, inputs):
    body = {"name": "f", "permissions": {"public": True, "authorized_ids": []}, "inputs": inputs, "outputs": {}}
    files = {"file": assets.archive("train").read_bytes(), "description": b"#"}
    reply = http("POST", "/function/", data={"json": json.dumps(body)}, files=files)
    assert reply.status_code == 400, reply.text


# Tasks (1.5)


@pytest.fixture
def tried(assets, clients, train, rows) -> Callable[..., Any]:
    """Try to add a task, of the second organization's unless said otherwise."""

    def added(number: int = 1, **change: Any) -> str:
        given = {"function": train, "worker": FIRST, "inputs": assets.data(*rows), **change}
        return assets.seen("task", clients[number].add_task(assets.alone(**given)))

    return added


def test_a_task_of_anybody_on_what_is_public(tried):
    assert tried()


@pytest.mark.parametrize("asset", ["function", "dataset"])
@pytest.mark.parametrize(("names", "allowed"), [((), False), ((FIRST,), False), ((SECOND,), True)])
def test_functions_and_datasets_are_for_those_they_are_for(substra, assets, clients, tried, asset, names, allowed):
    given = getattr(assets, asset)(clients[0], permissions=assets.permissions(*names))
    if asset == "dataset":
        change = {"inputs": assets.data(given, assets.sample(clients[0], given))}
    else:
        change = {"function": given}
    if allowed:
        assert tried(**change)
    else:
        with pytest.raises(substra.exceptions.AuthorizationError):
            tried(**change)
        assert tried(0, **change)


@pytest.mark.parametrize(("names", "allowed"), [((FIRST,), False), ((SECOND,), True)])
def test_a_model_is_tested_where_it_may_be(substra, assets, clients, names, allowed, tried):
    """As it may be processed there; no task of the model's maker needs to have run (1.5, 6)."""
    parent = tried(0, outputs=assets.outputs(permissions=assets.permissions(*names)))
    theirs = assets.dataset(clients[1])
    inputs = [*assets.data(theirs, assets.sample(clients[1], theirs)), assets.after(parent, "model", "models")]
    if allowed:
        assert tried(worker=SECOND, inputs=inputs)
    else:
        with pytest.raises(substra.exceptions.AuthorizationError):
            tried(worker=SECOND, inputs=inputs)


def test_what_does_not_fit_a_task(substra, assets, clients, tried, rows):
    dataset, sample = rows
    other = assets.dataset(clients[0])
    ref, parent = substra.schemas.InputRef, tried()
    data = assets.data(dataset, sample)
    for change in (
        {"worker": SECOND},
        {"worker": "MyOrg9MSP"},
        {"inputs": data[:1]},
        {"inputs": data[1:]},
        {"inputs": assets.data(other, sample)},
        {"inputs": [*data, data[0]]},
        {"inputs": [*data, ref(identifier="nothing", asset_key=dataset)]},
        {"inputs": [*data, assets.after(str(uuid.uuid4()), "model", "models")]},
        {"inputs": [*data, assets.after(parent, "other", "models")]},
        {"outputs": {}},
        {"outputs": {**assets.outputs(), **assets.outputs("other")}},
        {"outputs": assets.outputs(permissions=assets.permissions("MyOrg9MSP"))},
    ):
        with pytest.raises(substra.exceptions.InvalidRequest):
            tried(**change)
    for change in ({"function": str(uuid.uuid4())}, {"inputs": assets.data(dataset, str(uuid.uuid4()))}):
        with pytest.raises(substra.exceptions.NotFound):
            tried(**change)


def test_a_performance_is_public_and_stays(substra, assets, clients, rows):
    score = assets.function(clients[0], "score")
    made = assets.after(clients[0].add_task(predicting(assets, clients, rows)), "predictions", "predictions")
    inputs = [*assets.data(*rows), made]
    for outputs in (
        assets.outputs("performance", assets.permissions(FIRST)),
        assets.outputs("performance", transient=True),
    ):
        with pytest.raises(substra.exceptions.InvalidRequest, match="performance"):
            clients[0].add_task(assets.alone(score, FIRST, inputs, outputs))


def predicting(assets: Any, clients: list[Any], rows: tuple[str, str]) -> Any:
    """A task that predicts with a model that another makes."""
    train, predict = (assets.function(clients[0], each) for each in ("train", "predict"))
    model = clients[0].add_task(assets.alone(train, FIRST, assets.data(*rows)))
    inputs = [*assets.data(*rows), assets.after(model, "model", "model")]
    return assets.alone(predict, FIRST, inputs, assets.outputs("predictions"))


def test_tasks_go_into_ones_own_plans(substra, add, assets, clients, train, rows):
    plan = add("plan")
    tasks = {"tasks": [assets.task(train, FIRST, assets.data(*rows))]}
    with pytest.raises(substra.exceptions.AuthorizationError):
        clients[1].add_compute_plan_tasks(plan, tasks)
    assert clients[0].add_compute_plan_tasks(plan, tasks).task_count == 1


def test_tasks_that_wait_for_each_other(substra, assets, clients, train, rows):
    tasks = [assets.task(train, FIRST, assets.data(*rows)) for _ in range(2)]
    for one, other in (tasks, tasks[::-1]):
        one.inputs.append(assets.after(other.task_id, "model", "models"))
    with pytest.raises(substra.exceptions.InvalidRequest):
        clients[0].add_compute_plan(assets.plan(*tasks))


def test_an_empty_batch(http):
    assert http("POST", "/task/bulk_create/", json={"tasks": []}).status_code == 400


def test_a_rank_is_not_taken_from_the_client(assets, clients, tried):
    parent = tried(0, rank=7)
    assert clients[0].get_task(parent).rank == 0


def test_logs_of_a_task_are_for_those_its_data_say(assets, clients, tried):
    dataset = assets.dataset(clients[0], logs_permission=assets.permissions(SECOND))
    key = tried(inputs=assets.data(dataset, assets.sample(clients[0], dataset)))
    reply = clients[1]._backend._client.get("task", key)
    assert set(reply["logs_permission"]["authorized_ids"]) == {FIRST, SECOND}


# Permissions (1.6)


@pytest.mark.parametrize("names", [None, (), (FIRST, SECOND), (FIRST,), (SECOND,)])
def test_everyone_sees_what_there_is(assets, clients, names):
    permissions = assets.everyone if names is None else assets.permissions(*names)
    keys = [assets.dataset(client, permissions=permissions) for client in clients]
    for client in clients:
        for number, key in enumerate(keys):
            process = client.get_dataset(key).permissions.process
            assert process.public is (names is None)
            assert {f"MyOrg{number + 1}MSP", *(names or ())} <= set(process.authorized_ids)


@pytest.mark.parametrize("kind", ["dataset", "function"])
def test_an_organization_that_there_is_not(substra, add, assets, kind):
    with pytest.raises(substra.exceptions.InvalidRequest, match="invalid permission input values"):
        add(kind, permissions=assets.permissions("unknown-organization"))


@pytest.mark.parametrize(("names", "allowed"), [((), False), ((SECOND,), True)])
@pytest.mark.parametrize("kind", ["dataset", "function"])
def test_files_are_for_those_they_are_for(substra, add, assets, clients, kind, names, allowed, tmp_path):
    key = add(kind, permissions=assets.permissions(*names))
    for method, *more in ((f"download_{kind}", str(tmp_path)), (f"describe_{kind}",)):
        assert getattr(clients[0], method)(key, *more)
        if allowed:
            assert getattr(clients[1], method)(key, *more)
        else:
            with pytest.raises(substra.exceptions.AuthorizationError):
                getattr(clients[1], method)(key, *more)


# Requests and answers (3.1 to 3.5)


def test_every_page_is_read(assets, clients):
    """Plans come by ten; the stock client sends its parameters along with `next`, which names them already."""
    name = f"paged {uuid.uuid4()}"
    keys = [clients[0].add_compute_plan(assets.plan(name=name)).key for _ in range(23)]
    found = [each.key for each in clients[0].list_compute_plan({"name": name})]
    assert found == keys[::-1]
    assert [each.key for each in clients[0].list_compute_plan({"name": name}, ascending=True)] == keys


def test_what_a_page_says(http):
    page = http("GET", "/function/", params={"page_size": 1}).json()
    assert set(page) == {"count", "next", "previous", "results"}
    assert page["next"].startswith("http")
    assert page["previous"] is None


def test_a_plan_that_is_there_already(substra, assets, clients, train, rows):
    task = assets.task(train, FIRST, assets.data(*rows))
    spec = assets.plan(task, tag="t", metadata={"a": "b"})
    first = clients[0].add_compute_plan(spec)
    again = clients[0].add_compute_plan(spec)  # the tasks too: the client goes on where they are there already
    assert (again.key, again.task_count) == (first.key, 1)
    clients[0].update_compute_plan(spec.key, "renamed since")
    assert clients[0].add_compute_plan(spec).name == "renamed since"
    assets.seen("compute_plan", spec.key)
    with pytest.raises(Exception, match=r"validation errors"):
        clients[1].add_compute_plan(spec)


def test_tasks_sent_with_a_plan_are_counted_once(http, assets, clients, train, rows):
    spec = assets.plan(*(assets.task(train, FIRST, assets.data(*rows)) for _ in range(3)))
    clients[0].add_compute_plan(spec, batch_size=1)
    assert http("GET", f"/compute_plan/{spec.key}/").json()["task_count"] == 3


def test_a_batch_is_answered_with_its_tasks(http, add, train, rows):
    plan = add("plan")
    keys = [str(uuid.uuid4()) for _ in range(2)]
    tasks = [
        {
            "key": key,
            "tag": None,
            "compute_plan_key": plan,
            "metadata": None,
            "function_key": train,
            "worker": FIRST,
            "rank": None,
            "inputs": [
                {"identifier": "opener", "asset_key": rows[0]},
                {"identifier": "datasamples", "asset_key": rows[1]},
            ],
            "outputs": {"model": {"permissions": {"public": True, "authorized_ids": []}, "transient": False}},
        }
        for key in keys
    ]
    reply = http("POST", "/task/bulk_create/", json={"tasks": tasks})
    assert reply.status_code == 200
    assert [(each["key"], each["function"]["key"], each["tag"]) for each in reply.json()] == [
        (key, train, "") for key in keys
    ]
    again = http("POST", "/task/bulk_create/", json={"tasks": tasks})
    assert (again.status_code, again.json()["detail"][:6]) == (409, "OE0006")


def test_errors_say_what_was_wrong(http):
    for method, path, status in (
        ("GET", f"/task/{uuid.uuid4()}/", 404),
        ("GET", "/nothing/", 404),
        ("GET", "/task/?nothing=1", 400),
        ("POST", "/compute_plan/", 400),
        ("DELETE", "/function/", 405),
    ):
        reply = http(method, path)
        assert (reply.status_code, set(reply.json())) == (status, {"detail"}), path


def test_dates_and_keys(http, clients, rows):
    each = http("GET", f"/data_manager/{rows[0]}/").json()
    assert str(uuid.UUID(each["key"])) == each["key"]
    assert datetime.fromisoformat(each["creation_date"]).tzinfo is not None
    assert each["creation_date"].endswith("Z")


def test_a_node_tells_strangers_little(nodes):
    known = requests.get(f"{nodes[0]['url']}/info/", timeout=60).json()
    assert set(known) == {"host", "organization_id", "organization_name", "config", "auth"}
    assert requests.get(f"{nodes[0]['url']}/function/", timeout=60).status_code == 401


# Filters, one by one (3.5)


@pytest.fixture(scope="module")
def found(assets, clients, wait) -> dict[str, Any]:
    """A plan of the first organization's with a task at each, and what it took; and another of everything."""
    dataset, other = assets.dataset(clients[0], name="left ventricle"), assets.dataset(clients[1])
    samples = [assets.sample(clients[0], dataset), assets.sample(clients[0], dataset)]
    train = assets.function(clients[0], name="train", permissions=assets.permissions(SECOND))
    mean = assets.function(clients[1], "aggregate", permissions=assets.permissions(FIRST))
    for key in (train, mean):
        wait(clients[0].wait_function, key)
    first = assets.task(train, FIRST, assets.data(dataset, samples[0]), metadata={"a": "b c"})
    second = assets.task(mean, SECOND, [assets.after(first.task_id, "model", "models")], tag="x")
    plan = assets.plan(first, second, metadata={"site": "north wing"})
    spare = assets.plan(name="spare", metadata={"site": "south"})
    for each in (plan, spare):
        clients[0].add_compute_plan(each, batch_size=1)
        assets.seen("compute_plan", each.key)
    for client in clients:
        wait(client.wait_compute_plan, plan.key)
    return {
        "dataset": (dataset, other),
        "sample": tuple(samples),
        "function": (train, mean),
        "task": (first.task_id, second.task_id),
        "plan": (plan.key, spare.key),
        "model": tuple(clients[0].get_task_output_asset(each.task_id, "model").asset.key for each in (first, second)),
    }


FILTERS: list[tuple[str, str, Any, tuple[int, ...]]] = [
    ("function", "owner", [FIRST], (0,)),
    ("function", "owner", [FIRST, SECOND], (0, 1)),
    ("function", "permissions", [SECOND], (0, 1)),
    ("function", "compute_plan_key", ["plan 0"], (0, 1)),
    ("function", "compute_plan_key", ["plan 1"], ()),
    ("function", "dataset_key", ["dataset 0"], (0,)),
    ("function", "data_sample_key", ["sample 0"], (0,)),
    ("function", "data_sample_key", ["sample 1"], ()),
    ("function", "name", "rai", (0,)),
    ("dataset", "name", "VENTRICLE left", (0,)),
    ("dataset", "owner", [SECOND], (1,)),
    ("dataset", "permissions", [FIRST], (0, 1)),
    ("dataset", "compute_plan_key", ["plan 0"], (0,)),
    ("dataset", "function_key", ["function 0"], (0,)),
    ("dataset", "function_key", ["function 1"], ()),
    ("dataset", "data_sample_key", ["sample 1"], (0,)),
    ("sample", "owner", [FIRST], (0, 1)),
    ("sample", "owner", [SECOND], ()),
    ("sample", "dataset_key", ["dataset 0"], (0, 1)),
    ("sample", "compute_plan_key", ["plan 0"], (0,)),
    ("sample", "function_key", ["function 0"], (0,)),
    ("model", "compute_task_key", ["task 0"], (0,)),
    ("model", "owner", [SECOND], (1,)),
    ("model", "permissions", [SECOND], (0, 1)),
    ("task", "owner", [FIRST], (0, 1)),
    ("task", "worker", [SECOND], (1,)),
    ("task", "rank", [1], (1,)),
    ("task", "rank", [0, 1], (0, 1)),
    ("task", "status", ["STATUS_DONE"], (0, 1)),
    ("task", "status", ["STATUS_FAILED", "STATUS_CANCELED"], ()),
    ("task", "compute_plan_key", ["plan 0"], (0, 1)),
    ("task", "function_key", ["function 1"], (1,)),
    ("task", "metadata", [{"key": "a", "type": "is", "value": "b c"}], (0,)),
    ("plan", "name", "spa", (1,)),
    ("plan", "owner", [FIRST], (0, 1)),
    ("plan", "owner", [SECOND], ()),
    ("plan", "worker", [SECOND], (0,)),
    ("plan", "status", ["PLAN_STATUS_DONE"], (0,)),
    ("plan", "status", ["PLAN_STATUS_DONE", "PLAN_STATUS_CREATED"], (0, 1)),
    ("plan", "function_key", ["function 0"], (0,)),
    ("plan", "dataset_key", ["dataset 0"], (0,)),
    ("plan", "dataset_key", ["dataset 1"], ()),
    ("plan", "data_sample_key", ["sample 0"], (0,)),
    ("plan", "metadata", [{"key": "site", "type": "is", "value": "north wing"}], (0,)),
    ("plan", "metadata", [{"key": "site", "type": "is", "value": "north"}], ()),
    ("plan", "metadata", [{"key": "site", "type": "contains", "value": "th"}], (0, 1)),
    ("plan", "metadata", [{"key": "site", "type": "exists"}], (0, 1)),
    ("plan", "metadata", [{"key": "none", "type": "exists"}], ()),
    (
        "plan",
        "metadata",
        [{"key": "site", "type": "exists"}, {"key": "site", "type": "contains", "value": "sou"}],
        (1,),
    ),
]
"""(noun, filter, value, which of the two it leaves); `plan 0` stands for the key of the first plan."""

LISTS = {"sample": "list_data_sample", "plan": "list_compute_plan"}


@pytest.mark.parametrize(("noun", "name", "value", "left"), FILTERS)
def test_a_filter(clients, found, noun, name, value, left):
    def key(word: Any) -> Any:
        if not isinstance(word, str) or len(word.split()) != 2 or word.split()[0] not in found:
            return word
        kind, number = word.split()
        return found[kind][int(number)]

    asked = [key(each) for each in value] if isinstance(value, list) else value
    lists = getattr(clients[1], LISTS.get(noun, f"list_{noun}"))
    kept = {each.key for each in lists(filters={"key": list(found[noun]), name: asked})}
    assert kept == {found[noun][number] for number in left}


@pytest.mark.parametrize("noun", ["function", "dataset", "sample", "model", "task", "plan"])
def test_lists_are_in_order(clients, found, noun):
    lists = getattr(clients[1], LISTS.get(noun, f"list_{noun}"))
    up, down = ([each.key for each in lists({"key": list(found[noun])}, ascending=way)] for way in (True, False))
    assert up == down[::-1]
    assert up == list(found[noun])


def test_lists_are_in_the_order_of_other_dates(clients, found):
    for by in ("start_date", "end_date"):
        listed = clients[0].list_task({"key": list(found["task"])}, order_by=by, ascending=True)
        assert [each.key for each in listed] == list(found["task"])


def test_a_filter_that_the_stock_client_refuses(substra, clients):
    with pytest.raises(substra.exceptions.NotAllowedFilterError):
        clients[0].list_function({"metadata": [{"key": "a", "type": "exists"}]})


# What other organizations see (channel)


def test_the_same_is_seen_everywhere(clients, found):
    """But for addresses, which are each node's own, and who created a plan, whom only its own node knows."""
    for noun in ("dataset", "function", "task", "plan"):
        for key in found[noun]:
            one, two = (without_own(json.loads(shown(client, noun, key).model_dump_json())) for client in clients)
            assert one == two


def without_own(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_own(each) for name, each in value.items() if name not in ("storage_address", "creator")}
    return [without_own(each) for each in value] if isinstance(value, list) else value
