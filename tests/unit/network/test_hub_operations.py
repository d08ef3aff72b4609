"""What a hub tells those who operate it."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from comity.hub.operations import SECRET, operator
from comity.node.following import Following


def ask(network, path, **headers):
    return network.run(network.call("GET", path, **headers))


def figures(network):
    """By name and labels."""
    answer = ask(network, "/metrics", authorization=f"Bearer {operator(network.hub).decode()}")
    assert answer.status == 200
    assert answer.kind.startswith("text/plain")
    found = text_string_to_metric_families(answer.content.decode())
    return {(each.name, *each.labels.values()): each.value for family in found for each in family.samples}


def test_figures_are_of_all_channels(network):
    network.write("a", "first")
    network.request(network.link("a"), "POST", "/mail", b'{"recipient":"b","body":"sealed"}')
    network.request(network.link("a"), "POST", f"/parcels/{'0' * 32}", b'{"size":5,"recipients":["b"]}')
    found = figures(network)
    sizes = sum(network.log(lambda log: log.size, name) for name in ("main", "other"))
    assert {name: found["comity_hub_" + name,] for name in ("ready", "channels", "members", "members_present")} == {
        "ready": 1,
        "channels": 2,
        "members": 5,  # a, b, c and a, z
        "members_present": 1,
    }
    assert found["comity_hub_log_entries",] == sizes
    assert (found["comity_hub_letters",], found["comity_hub_parcels",], found["comity_hub_parcel_bytes",]) == (1, 1, 5)
    assert found["comity_hub_disk_free_bytes",] > 0


def test_requests_are_counted_by_route_and_never_by_what_is_asked(network):
    for number in range(3):
        network.request(network.link("a"), "GET", f"/parcels/{number:032}")
    ask(network, "/nowhere")
    found = figures(network)
    assert found["comity_hub_requests_total", "GET", "/parcels/{parcel}", "404"] == 3
    labels = {part for each in found for part in each[1:]}
    assert not labels & {"a", "b", "c", "z", "/nowhere"}


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer x", "Bearer é", "Basic x"])
def test_figures_are_for_those_who_operate_the_hub(network, shown):
    answer = ask(network, "/metrics", **({"authorization": shown} if shown else {}))
    assert (answer.status, answer.json["error"]) == (401, "Unauthenticated")
    assert SECRET in answer.json["detail"]


def test_what_prometheus_shows_stays_the_same_and_is_for_its_owner_alone(network):
    first = operator(network.hub)
    assert operator(network.hub) == first
    assert (network.folder / SECRET).stat().st_mode & 0o777 == 0o600


def test_a_hub_that_compares_histories_is_not_ready(network, monkeypatch):
    node = network.node("a")
    assert isinstance(node.following, Following)
    network.write("a", "first")
    assert ask(network, "/ready").json == {"ready": True}
    network.run(network.hub.ordering.begin())  # as after a start
    answer = ask(network, "/ready")
    assert (answer.status, answer.json) == (503, {"ready": False})
    node.catch_up()
    node.catch_up()
    assert ask(network, "/ready").status == 200
