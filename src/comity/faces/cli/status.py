"""`comity status`: a network as one table."""

from __future__ import annotations

from typing import Any

from comity.faces.cli.asking import Answer, asking
from comity.sdk.client import Client
from comity.values.table import Table

KINDS = {
    "waiting": (
        "STATUS_WAITING_FOR_BUILDER_SLOT",
        "STATUS_BUILDING",
        "STATUS_WAITING_FOR_PARENT_TASKS",
        "STATUS_WAITING_FOR_EXECUTOR_SLOT",
    ),
    "running": ("STATUS_EXECUTING",),
    "done": ("STATUS_DONE",),
    "failed": ("STATUS_FAILED",),
    "cancelled": ("STATUS_CANCELED",),
}


@asking
def command(client: Client) -> Answer:
    """Show the organizations of the network, who is connected, and how their tasks stand."""
    found = client.get("/network/")
    rows = [
        (each["organization"], _stands(each), each["sandbox"] or "unknown", each["seen"], *_counts(each["tasks"]))
        for each in _members(found)
    ]
    here = "connected" if found["connected"] else f"not connected ({found['trouble'] or 'the hub is away'})"
    title = (
        f"{found['channel']} at {found['hub']} as {found['organization']} sees it: {here}, {found['log_size']} entries"
    )
    if found["broken"]:
        title += "; it has stopped following for good"
    if found["sandbox_trouble"]:
        title += f"; {found['sandbox_trouble']}"
    return Answer(found, Table(title, ("organization", "is", "sandbox", "log seen", *KINDS), rows))


def _members(found: dict[str, Any]) -> list[dict[str, Any]]:
    return found["organizations"]


def _stands(member: dict[str, Any]) -> str:
    if member["status"] != "member":
        return member["status"]
    return {None: "unknown", True: "connected", False: "away"}[member["connected"]]


def _counts(tasks: dict[str, int]) -> list[int]:
    return [sum(tasks.get(status, 0) for status in statuses) for statuses in KINDS.values()]
