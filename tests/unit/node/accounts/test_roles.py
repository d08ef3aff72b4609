"""The rights of the roles, written out by hand."""

import pytest

from comity.node.accounts.people import Principal
from comity.node.accounts.roles import RIGHTS, Right, Role, role_named, substra_role
from comity.values.errors import Forbidden, InvalidInput

TABLE = {
    "admin": "read register run withdraw approve set_policy redact manage_users",
    "scientist": "read register run withdraw",
    "steward": "read withdraw approve set_policy redact",
    "auditor": "read",
}


def test_each_role_has_its_rights_and_no_others():
    assert {role.value: set(rights) for role, rights in RIGHTS.items()} == {
        role: set(rights.split()) for role, rights in TABLE.items()
    }


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        RIGHTS[Role.AUDITOR] = frozenset(Right)  # type: ignore[index]


def test_substra_knows_two_roles():
    assert {role: substra_role(role) for role in Role} == {
        Role.ADMIN: "ADMIN",
        Role.SCIENTIST: "USER",
        Role.STEWARD: "USER",
        Role.AUDITOR: "USER",
    }


@pytest.mark.parametrize("role", Role)
def test_a_role_is_found_by_its_name(role: Role):
    assert role_named(role.value) is role


def test_substras_roles_are_found_too():
    assert (role_named("ADMIN"), role_named("USER")) == (Role.ADMIN, Role.SCIENTIST)


@pytest.mark.parametrize("name", ["", "Admin", "user", "root", "scientists"])
def test_other_names_are_refused(name: str):
    with pytest.raises(InvalidInput, match="there is no role"):
        role_named(name)


@pytest.mark.parametrize("right", Right)
def test_what_is_not_among_the_rights_is_forbidden(right: Right):
    principal = Principal(
        user="u", username="ada", role=Role.AUDITOR, rights=RIGHTS[Role.AUDITOR], channel=1, token="t", kind="api"
    )
    if right is Right.READ:
        principal.require(right)
    else:
        with pytest.raises(Forbidden, match=right.value):
            principal.require(right)
