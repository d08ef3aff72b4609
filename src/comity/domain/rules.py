"""What each event does to the records of a channel, or why it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from comity.domain import (
    assets,
    beginning,
    events,
    growing,
    leaving,
    masking,
    membership,
    plans,
    policy,
    releasing,
    tasks,
)
from comity.domain.membership import Act
from comity.domain.records import Draft

Rule = Callable[[Draft, Act, Any], None]


def redacted(records: Draft, act: Act, event: events.Redacted) -> None:
    """A member has texts deleted, its own or as the founder any; those of others stay, which no rule can see."""
    membership.member(records, act.author)


RULES: Mapping[type[events.AnyEvent], Rule] = {
    events.ChannelCreated: membership.created,
    events.OrganizationInvited: membership.invited,
    events.OrganizationAdmitted: membership.admitted,
    events.OrganizationReadmitted: membership.readmitted,
    events.OrganizationRemoved: leaving.removed,
    events.KeyRotated: membership.rotated,
    events.HubReplaced: membership.hub_replaced,
    events.RulesSupported: membership.rules_supported,
    events.RulesRaised: membership.rules_raised,
    events.ChannelClosed: membership.closed,
    events.Redacted: redacted,
    events.DatasetRegistered: assets.dataset_registered,
    events.SamplesRegistered: assets.samples_registered,
    events.SamplesLinked: assets.samples_linked,
    events.DatasetWithdrawn: assets.dataset_withdrawn,
    events.Renamed: assets.renamed,
    events.FunctionRegistered: assets.function_registered,
    events.FunctionBuilding: assets.function_built,
    events.FunctionReady: assets.function_built,
    events.FunctionFailed: assets.function_built,
    events.FunctionCancelled: assets.function_built,
    events.FunctionApproved: assets.function_judged,
    events.FunctionRefused: assets.function_judged,
    events.PolicyChanged: policy.policy_changed,
    events.PlanRegistered: beginning.plan_registered,
    events.PlanCompleted: growing.plan_completed,
    events.PlanCancelled: plans.plan_cancelled,
    events.TaskAdded: masking.task_added,
    events.RoundClosed: growing.round_closed,
    events.SumOpened: masking.sum_opened,
    events.SumClosed: masking.sum_closed,
    events.TaskStarted: tasks.task_started,
    events.TaskDone: tasks.task_done,
    events.TaskFailed: tasks.task_failed,
    events.TaskCancelled: tasks.task_cancelled,
    events.OutputsReleased: releasing.outputs_released,
}


def apply(records: Draft, act: Act, event: events.AnyEvent) -> None:
    """Make the event true in the draft; raises Refused or InvalidInput, and the draft is then worth nothing."""
    RULES[type(event)](records, act, event)
