"""This node, and the organizations of the caller's channel."""

from __future__ import annotations

from importlib.metadata import version

from starlette.responses import Response

from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, Organization
from comity.node.accounts.roles import substra_role
from comity.node.rest import nouns
from comity.node.rest.call import Call, answer
from comity.node.rest.render import View

VERSION = version("comity")


async def info(call: Call) -> Response:
    """What this node is; more of it for those who are known."""
    part = call.part if call.caller else next(iter(call.api.node.parts.values()), None)
    name = part.following.organization if part else ""
    shown: nouns.Info = {
        "host": call.base,
        "organization_id": name,
        "organization_name": name,
        "config": {"model_export_enabled": True},
        "auth": {},
    }
    if call.caller is not None:
        shown["channel"] = await call.read(lambda view: view.channel)
        shown["version"] = shown["orchestrator_version"] = VERSION
        shown["user"], shown["user_role"] = call.caller.username, substra_role(call.caller.role)
    return answer(shown)


async def organizations(call: Call) -> Response:
    """The members of the channel that have a node."""
    return answer(await call.read(members))


def members(view: View) -> list[nouns.Organization]:
    """Those that have a node."""
    here = view.records.get(Channel, CHANNEL)
    members = view.records.find(Organization, "status", "member")
    return [view.organization_of(each) for each in members if here is None or each.key != here.founder]
