"""Entries, leaves and statements: one canonical form, and nothing but DecodeError for any other bytes."""

import json
from typing import get_args

import msgspec
import pytest
import rfc8785
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import fields as fields_of

from comity.domain import events
from comity.domain.entry import (
    DEEPEST,
    LARGEST,
    MOST,
    Entry,
    Seen,
    Statement,
    canonical,
    leaf_bytes,
    read_entries,
    read_entry,
    read_leaf,
    read_statement,
    rules_of,
    sign,
    statement_digest,
    verify,
)
from comity.domain.events import AnyEvent, PlanRegistered, TaskAdded, TaskDone, TaskOutput, texts_of
from comity.domain.rules import RULES
from comity.domain.words import Permission
from comity.values.digest import digest
from comity.values.errors import DecodeError
from comity.values.keys import Identity, PublicKeys

KEYS = Identity.from_bytes(bytes(range(1, 65)))
KEY = "00000000-0000-0000-0000-000000000001"
SEEN = Seen(0, "A" * 43 + "=")
DIGEST = "sha256:" + "0" * 64


def values(kind):
    """A strategy for any type that stands in an event, from the type alone."""
    if kind is PublicKeys:
        return st.just(KEYS.public)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{each.name: field(each) for each in fields_of(kind)})
    return of_info(msgspec.inspect.type_info(kind))


def field(each):
    made = values(each.type)
    # the default itself need not fit the type: an empty key stands for none
    return made if each.default is msgspec.NODEFAULT else st.one_of(st.just(each.default), made)


def of_info(info):
    inspect = msgspec.inspect
    match info:
        case inspect.StrType(pattern=None):
            return st.text(min_size=info.min_length or 0, max_size=min(info.max_length or 20, 20))
        case inspect.StrType():
            return st.from_regex(info.pattern, alphabet=st.characters(codec="ascii"))
        case inspect.IntType():
            return st.integers(info.ge or 0, info.le)
        case inspect.BoolType():
            return st.booleans()
        case inspect.LiteralType():
            return st.sampled_from(info.values)
        case inspect.VarTupleType():
            return st.lists(of_info(info.item_type), min_size=info.min_length or 0, max_size=3).map(tuple)
        case inspect.DictType():
            pairs = of_info(info.key_type), of_info(info.value_type)
            return st.dictionaries(*pairs, min_size=info.min_length or 0, max_size=3)
        case inspect.StructType():
            return values(info.cls)
        case inspect.UnionType():
            return st.one_of(*map(of_info, info.types))
        case inspect.Metadata():
            return of_info(info.type)
    if isinstance(info, msgspec.inspect.NoneType):
        return st.none()
    raise NotImplementedError(info)


EVENTS = st.one_of(*map(values, get_args(AnyEvent)))
STATEMENTS = st.builds(
    Statement,
    author=values(events.OrganizationId),
    id=values(events.Key),
    seen=st.just(SEEN),
    events=st.lists(EVENTS, min_size=1, max_size=3).map(tuple),
)


@given(EVENTS)
@settings(deadline=None, derandomize=True)
def test_an_event_comes_back_from_its_one_form(event):
    data = canonical(event)
    assert msgspec.json.decode(data, type=AnyEvent) == event
    assert data == rfc8785.dumps(json.loads(data))
    assert json.loads(data)["type"] == type(event).__struct_config__.tag


@given(STATEMENTS, st.integers(1, 2**53 - 1))
@settings(deadline=None, derandomize=True)
def test_a_statement_comes_back_from_its_leaf(statement, at):
    entry = sign(statement, KEYS, {})
    data = leaf_bytes(entry, at)
    assert data == rfc8785.dumps(json.loads(data))
    leaf = read_leaf(data)
    assert (leaf.ordered_at, bytes(leaf.statement)) == (at, bytes(entry.statement))
    assert read_statement(leaf.statement) == statement
    assert rules_of(leaf.statement) == statement.rules
    assert statement_digest(leaf.statement) == digest(canonical(statement))
    verify(leaf.statement, leaf.signature, KEYS.public)


def test_every_event_has_a_rule_and_a_tag_of_its_own():
    kinds = get_args(AnyEvent)
    declared = [
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event
    ]
    assert set(kinds) == set(declared) == RULES.keys()
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds)


def test_defaults_are_left_out():
    event = TaskAdded(key=KEY, plan=KEY, function=KEY, worker="b")
    assert canonical(event) == rfc8785.dumps(
        {"type": "task_added", "key": KEY, "plan": KEY, "function": KEY, "worker": "b"}
    )


def test_texts_are_known_by_their_fields():
    event = PlanRegistered(key=KEY, name=DIGEST, tag_text="", metadata="sha256:" + "1" * 64)
    assert texts_of(event) == [DIGEST, "sha256:" + "1" * 64]
    declared = {name: kind for event in get_args(AnyEvent) for name, kind in event.__annotations__.items()}
    assert {name for name, kind in declared.items() if kind == "Text"} == set(events.TEXTS)


def test_a_signature_is_over_the_statement_and_its_purpose():
    entry = sign(statement(), KEYS, {})
    verify(entry.statement, entry.signature, KEYS.public)
    for raw, signature in (
        (msgspec.Raw(bytes(entry.statement) + b" "), entry.signature),
        (entry.statement, entry.signature[:-4] + "AA=="),
        (entry.statement, ""),
        (entry.statement, "é"),
    ):
        with pytest.raises(DecodeError):
            verify(raw, signature, KEYS.public)


# What this version does not know.


def test_a_field_that_this_version_does_not_know_is_kept_byte_for_byte():
    document = json.loads(canonical(statement()))
    document |= {"later": {"😀": [1, None], "\ufb33": True, "e": "é"}}
    document["events"][0] |= {"later": 1}
    data = rfc8785.dumps(document)
    assert data.index("😀".encode()) < data.index("\ufb33".encode()), "RFC 8785 sorts by UTF-16"
    assert read_statement(data) == statement()
    entry = read_entry(canonical(Entry(statement=msgspec.Raw(data), signature="")))
    assert bytes(read_leaf(leaf_bytes(entry, 1)).statement) == data
    by_code_points = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert by_code_points != data
    with pytest.raises(DecodeError, match="not canonical"):
        read_statement(by_code_points)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (b'"z":1.5', "numbers there are whole"),
        (b'"z":1e2', "numbers there are whole"),
        (b'"z":9007199254740992', "not canonical"),
        (b'"z":-0', "not canonical"),
        (b'"z":1,"z":1', "not canonical"),
        (b'"z": 1', "not canonical"),
        (b'"z":"\\u0041"', "not canonical"),
        (b'"z":"\\ud800"', "not a statement"),
        (b'"z":' + b"[" * DEEPEST + b"]" * DEEPEST, "nested deeper"),
        (b'"z":' + b"[" * 100_000 + b"]" * 100_000, "not a statement"),
    ],
)
def test_what_it_does_not_know_has_one_form_too(more, message):
    data = canonical(statement())
    known = data[:-1] + b',"z":' + b"[" * (DEEPEST - 2) + b"]" * (DEEPEST - 2) + b"}"
    assert read_statement(known) == statement()
    with pytest.raises(DecodeError, match=message):
        read_statement(data[:-1] + b"," + more + b"}")


def test_an_event_of_later_rules_is_refused_by_these_and_its_version_can_be_read():
    data = rfc8785.dumps({**json.loads(canonical(statement())), "events": [{"type": "unheard_of"}], "rules": 2})
    with pytest.raises(DecodeError, match="not a statement"):
        read_statement(data)
    assert rules_of(data) == 2


def test_limits():
    plans = tuple(PlanRegistered(key=KEY, name=DIGEST) for _ in range(MOST + 1))
    read_statement(canonical(statement(*plans[:MOST])))
    with pytest.raises(DecodeError, match="length <= 1000"):
        read_statement(canonical(statement(*plans)))
    with pytest.raises(DecodeError, match="length >= 1"):
        read_statement(canonical(msgspec.structs.replace(statement(), events=())))
    with pytest.raises(DecodeError, match=f"split its events, {LARGEST} is the most"):
        read_statement(b" " * (LARGEST + 1))


def test_a_few_bytes_do_not_make_much_work():
    """Links are samples times datasets, and every task that takes an output reads who may: both are bounded."""
    link = events.SamplesLinked(samples=(KEY,), datasets=(KEY,) * 11)
    with pytest.raises(DecodeError, match="length <= 10"):
        read_statement(canonical(statement(link)))
    many = TaskOutput(Permission(authorized=("b",) * 1001))
    with pytest.raises(DecodeError, match="length <= 1000"):
        read_statement(
            canonical(statement(TaskAdded(key=KEY, plan=KEY, function=KEY, worker="b", outputs={"model": many})))
        )


# Foreign bytes.

NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
READERS = (read_statement, rules_of, read_entry, read_entries, read_leaf)


def attempt(data):
    for reader in READERS:
        try:
            reader(data)
        except DecodeError:
            continue


@given(st.binary(max_size=200))
@settings(deadline=None, derandomize=True)
@example(b"")
@example(b"{}")
@example(b'{"rules":1e400}')
def test_any_bytes_are_read_or_refused(data):
    attempt(data)


@given(NESTED)
@settings(deadline=None, derandomize=True)
def test_any_document_is_read_or_refused(document):
    attempt(json.dumps(document).encode())


@given(STATEMENTS, st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_mutated_leaf_is_another_or_refused(made, data):
    valid = leaf_bytes(sign(made, KEYS, {}), 1)
    position = data.draw(st.integers(0, len(valid) - 1))
    cut = data.draw(st.integers(0, 3))
    mutated = valid[:position] + data.draw(st.binary(max_size=3)) + valid[position + cut :]
    assume(mutated != valid)
    attempt(mutated)
    try:
        leaf = read_leaf(mutated)
        read_statement(leaf.statement)
        verify(leaf.statement, leaf.signature, KEYS.public)
    except DecodeError:
        return
    assert leaf.ordered_at != 1, "only the time stands outside the signature"


@given(STATEMENTS, st.data())
@settings(deadline=None, derandomize=True)
def test_a_statement_with_any_value_in_any_place_is_read_or_refused(made, data):
    document = json.loads(canonical(made))
    place = document if data.draw(st.booleans()) else document["events"][0]
    place[data.draw(st.sampled_from([*place, "more"]))] = data.draw(NESTED)
    attempt(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"))


def statement(*made: AnyEvent) -> Statement:
    return Statement(author="a", id=KEY, seen=SEEN, events=made or (TaskDone(key=KEY),))
