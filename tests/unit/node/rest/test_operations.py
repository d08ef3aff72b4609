"""What those who operate a node look at."""

from __future__ import annotations

import errno

from comity.adapters.sql import schema
from comity.domain.events import TaskStarted


def test_live_and_ready(network):
    place = network.places["a"]
    assert place.anyone.get("/live").json == {"live": True}
    assert place.anyone.get("/ready").status == 200
    for state in ({"connected": False}, {"connected": True, "broken": "a fork"}):
        for name, value in state.items():
            setattr(place.part().following, name, value)
        reply = place.anyone.get("/ready")
        assert (reply.status, reply.json) == (503, {"ready": False})


def test_a_node_in_no_channel_is_not_ready(network):
    place = network.places["a"]
    place.node.parts.clear()
    assert place.anyone.get("/ready").status == 503
    assert place.anyone.get("/info/").json["organization_id"] == ""


def test_a_node_that_has_seen_nothing_yet(network):
    place = network.places["a"]
    client = place.client()
    with place.node.database.engine.begin() as connection:
        for table in schema.metadata.sorted_tables:
            if table.name.endswith("_records") or table.name in ("leaves", "hashes", "texts"):
                connection.execute(table.delete())
    assert client.get("/info/").json["channel"] == ""
    assert client.get("/organization/").json == []
    assert client.get("/task/").json["count"] == 0


def test_metrics(network):
    function = network.function()["key"]
    network.build(function)
    (task,) = network.add(network.task(network.plan()["key"], function))
    network.write("a", TaskStarted(key=task["key"], attempt=1))
    network.client().get("/function/x/")
    reply = network.client().get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    lines = reply.body.decode().splitlines()
    assert 'comity_http_requests_total{method="GET",path="/function/{key}/",status="404"} 1.0' in lines
    assert 'comity_http_requests_total{method="POST",path="/task/bulk_create/",status="200"} 1.0' in lines
    assert "comity_connected 1.0" in lines
    assert "comity_tasks_running 1.0" in lines
    # channel created, a and b admitted, function, approval, build, plan, task, start
    assert "comity_log_entries 9.0" in lines


def test_the_overhead_of_tasks_is_shown_once_there_were_some(network):
    place = network.places["a"]
    (mine,) = place.node.parts.values()
    assert "comity_task_overhead_seconds" not in network.client().get("/metrics").body.decode()
    mine.scheduler.overheads.extend([0.01, 0.02, 0.03])
    lines = network.client().get("/metrics").body.decode().splitlines()
    assert 'comity_task_overhead_seconds{quantile="0.5"} 0.02' in lines


def test_a_full_disk_is_said(network, monkeypatch):
    def put(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(network.places["a"].node.blobs, "put", put)
    body = {"name": "heart", "permissions": network.PUBLIC, "logs_permission": network.PUBLIC}
    reply = network.client().upload("/data_manager/", body, {"data_opener": network.OPENER, "description": b"#"})
    assert (reply.status, "no room left" in reply.json["detail"]) == (507, True)
    assert network.client().get("/data_manager/").json["count"] == 0
