"""What a user may do: the rights of each role, and what Substra calls it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from comity.values.errors import unknown


class Right(StrEnum):
    """One thing that a user may do in the user's channel. Their own tokens and preferences need none."""

    READ = "read"
    """See what is in the channel, its log included, and download what this organization may have."""
    REGISTER = "register"
    """Register and rename datasets, data samples and functions."""
    RUN = "run"
    """Create, rename and cancel plans and their tasks."""
    WITHDRAW = "withdraw"
    """Withdraw a dataset of this organization: no new use."""
    APPROVE = "approve"
    """Approve or refuse functions for this organization's data."""
    SET_POLICY = "set_policy"
    """Set what this organization's data may be used for."""
    REDACT = "redact"
    """Take texts that this organization wrote out of the log."""
    MANAGE_USERS = "manage_users"
    """Add, change and delete the users of the channel."""


class Role(StrEnum):
    """What a user is at an organization."""

    ADMIN = "admin"
    SCIENTIST = "scientist"
    STEWARD = "steward"
    AUDITOR = "auditor"


RIGHTS: Mapping[Role, frozenset[Right]] = MappingProxyType(
    {
        Role.ADMIN: frozenset(Right),
        Role.SCIENTIST: frozenset({Right.READ, Right.REGISTER, Right.RUN, Right.WITHDRAW}),
        Role.STEWARD: frozenset({Right.READ, Right.APPROVE, Right.SET_POLICY, Right.WITHDRAW, Right.REDACT}),
        Role.AUDITOR: frozenset({Right.READ}),
    }
)


def substra_role(role: Role) -> Literal["ADMIN", "USER"]:
    """What Substra's clients are told.

    >>> substra_role(Role.ADMIN), substra_role(Role.STEWARD)
    ('ADMIN', 'USER')
    """
    return "ADMIN" if role is Role.ADMIN else "USER"


def role_named(name: str) -> Role:
    """The role of this name, or the one that can do what Substra's role of this name can.

    Raises InvalidInput for another name.

    >>> role_named("steward"), role_named("USER")
    (<Role.STEWARD: 'steward'>, <Role.SCIENTIST: 'scientist'>)
    """
    named = {**{role.value: role for role in Role}, "ADMIN": Role.ADMIN, "USER": Role.SCIENTIST}
    if name not in named:
        raise unknown("role", name, named)
    return named[name]
