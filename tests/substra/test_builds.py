"""How functions with a Dockerfile are built: one after another, as they came, and not at all once nobody waits."""

from __future__ import annotations

from typing import Any

import pytest
import requests

FIRST = "MyOrg1MSP"


@pytest.fixture(scope="module")
def said(nodes) -> Any:
    """(kind of event, key of the function), in the order of the log, of some functions."""
    login = {"username": nodes[0]["user"], "password": nodes[0]["password"]}
    token = requests.post(f"{nodes[0]['url']}/api-token-auth/", data=login, timeout=60).json()["token"]

    def found(keys: list[str]) -> list[tuple[str, str]]:
        events = []
        for key in keys:
            headers = {"Authorization": f"Token {token}"}
            reply = requests.get(f"{nodes[0]['url']}/log/", headers=headers, params={"about": key}, timeout=60)
            for entry in reply.json()["results"]:
                for number, event in enumerate(entry["events"]):
                    if event.get("key") == key:
                        events.append((entry["place"], number, event["type"], key))
        return [(kind, key) for _, _, kind, key in sorted(set(events))]

    return found


def slowly(assets: Any, seconds: int, word: str) -> Any:
    """A function whose build takes so long; the word makes it one of its own."""
    lines = f"ENV word={word}\nRUN sleep {seconds}\nENTRYPOINT"
    return assets.archive("train", dockerfile=assets.DOCKERFILE.replace("ENTRYPOINT", lines))


def test_functions_are_built_in_the_order_they_came(assets, clients, wait, said):
    keys = [assets.function(clients[0], archive=slowly(assets, 1, f"order{each}")) for each in range(3)]
    for key in keys:
        assert wait(clients[0].wait_function, key).status == "FUNCTION_STATUS_READY"
    steps = ("function_building", "function_ready")
    built = [each for each in said(keys) if each[0] in steps]
    assert built == [(step, key) for key in keys for step in steps]


def test_a_function_that_nobody_waits_for_any_more(assets, clients, wait):
    dataset = assets.dataset(clients[0])
    data = assets.data(dataset, assets.sample(clients[0], dataset))
    archives = [slowly(assets, 5, "first"), slowly(assets, 0, "given up"), slowly(assets, 0, "wanted")]
    first, second, third = (assets.function(clients[0], archive=each) for each in archives)
    plan = assets.plan(*(assets.task(each, FIRST, data) for each in (first, second)))
    clients[0].add_compute_plan(plan)
    clients[0].cancel_compute_plan(plan.key)
    assert wait(clients[0].wait_compute_plan, plan.key, raises=False).status == "PLAN_STATUS_CANCELED"
    assert wait(clients[0].wait_function, first, raises=False).status == "FUNCTION_STATUS_READY"
    assert wait(clients[0].wait_function, second, raises=False).status == "FUNCTION_STATUS_CANCELED"
    assert wait(clients[0].wait_function, third, raises=False).status == "FUNCTION_STATUS_READY"
    late = clients[0].add_task(assets.alone(second, FIRST, data))
    assert clients[0].get_task(late).status == "STATUS_CANCELED"


def test_a_build_is_tried_by_each_function_of_its_own(assets, clients, wait):
    """One that failed does not hold up those that came later."""
    broken = assets.archive("train", dockerfile=assets.DOCKERFILE + "RUN no-such-command\n")
    keys = [assets.function(clients[0], archive=broken), assets.function(clients[0])]
    ended = [wait(clients[0].wait_function, key, raises=False).status for key in keys]
    assert ended == ["FUNCTION_STATUS_FAILED", "FUNCTION_STATUS_READY"]
