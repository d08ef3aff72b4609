"""Passwords: what can be one, what is kept of it."""

import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.node.accounts import passwords
from comity.node.accounts.passwords import ARGON2, LONGEST, SHORTEST, Passwords, new_password
from comity.values.errors import InvalidInput, Unavailable

QUICK = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
HALVES = st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)
ANYTHING = st.text(st.characters() | HALVES, max_size=300)


def test_the_parameters_are_those_of_rfc_9106():
    """Section 4, second option: t=3 iterations, p=4 lanes, m=2^(16) (64 MiB of RAM), 128-bit salt, 256-bit tag."""
    found = extract_parameters(ARGON2.hash("correct horse battery"))
    assert (found.type, found.version) == (Type.ID, 0x13)
    assert (found.time_cost, found.parallelism, found.memory_cost) == (3, 4, 2**16)
    assert (found.salt_len * 8, found.hash_len * 8) == (128, 256)


@settings(deadline=None, derandomize=True)
@given(st.text(min_size=SHORTEST, max_size=LONGEST))
def test_a_password_matches_its_hash(password: str):
    assert QUICK.matches(QUICK.hash(password), password)


@settings(deadline=None, derandomize=True)
@given(st.text(min_size=SHORTEST, max_size=LONGEST), ANYTHING)
def test_no_other_text_matches(password: str, other: str):
    matched = QUICK.matches(QUICK.hash(password), other)
    assert not matched or passwords.normalize("NFC", other) == passwords.normalize("NFC", password)


@settings(deadline=None, derandomize=True)
@given(ANYTHING)
def test_without_a_hash_nothing_matches(password: str):
    assert not QUICK.matches(None, password)


@settings(deadline=None, derandomize=True)
@given(ANYTHING)
def test_foreign_text_is_hashed_or_refused_without_being_shown(password: str):
    proper = SHORTEST <= len(password) <= LONGEST and not any("\ud800" <= each <= "\udfff" for each in password)
    if proper:
        assert QUICK.hash(password).startswith("$argon2id$")
    else:
        with pytest.raises(InvalidInput) as raised:
            QUICK.hash(password)
        assert len(password) < SHORTEST or password not in str(raised.value)


@pytest.mark.parametrize("password", ["", "eleven char", "x" * (LONGEST + 1)])
def test_the_length_is_told(password: str):
    with pytest.raises(InvalidInput, match=f"12 to 256 characters, this one has {len(password)};"):
        QUICK.hash(password)


def test_half_a_character_is_refused():
    with pytest.raises(InvalidInput, match="surrogate"):
        QUICK.hash("correct horse \ud800")


def test_keyboards_may_compose_letters_or_not():
    """U+00FC and U+0075 U+0308 are the same letter: RFC 8265, section 4.2.2, rule 4."""
    assert QUICK.matches(QUICK.hash("M\u00fcnchen 1900"), "Mu\u0308nchen 1900")


def test_equal_passwords_have_different_hashes():
    assert QUICK.hash("correct horse battery") != QUICK.hash("correct horse battery")


def test_hashes_of_other_parameters_are_outdated():
    assert QUICK.outdated(ARGON2.hash("correct horse battery"))
    assert not QUICK.outdated(QUICK.hash("correct horse battery"))


def test_a_flood_is_refused_and_not_queued_for_ever(monkeypatch: pytest.MonkeyPatch):
    entered, leave = threading.Event(), threading.Event()

    class Waiting(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            entered.set()
            assert leave.wait(60)
            return "hashed"

    monkeypatch.setattr(passwords, "PATIENCE", 0)
    slow = Passwords(Waiting())
    first = threading.Thread(target=slow.hash, args=["correct horse battery"])
    first.start()
    assert entered.wait(60)
    with pytest.raises(Unavailable, match="too many logins at once"):
        slow.matches(None, "correct horse battery")
    leave.set()
    first.join()
    assert slow.hash("correct horse battery") == "hashed"


def test_made_passwords_can_be_used_and_differ():
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert {len(each) for each in made} == {24}
