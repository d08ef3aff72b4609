"""What a newer program adds to an entry passes through hub and nodes byte for byte, and shows as it was."""

import msgspec

from comity.domain.entry import Entry, Statement, canonical, read_statement
from comity.domain.records import Plan
from comity.ledger.merkle import HashesInMemory, Tree, leaf_hash
from comity.values.digest import canonical as canonical_json
from comity.values.keys import to_base64


def test_fields_that_are_unknown_here_are_kept(network):
    node = network.node("a")
    event, texts = network.plan("with more")
    statement = msgspec.to_builtins(network.statement("b", event))
    statement["events"][0]["priority"] = {"urgent": True, "of": ["the", "future"]}
    statement["witness"] = "somebody"
    raw = canonical_json(statement)
    entry = Entry(
        statement=msgspec.Raw(raw), signature=to_base64(network.identity("b").sign("entry", raw)), texts=texts
    )
    answer = network.request(network.link("b"), "POST", "/entries", canonical([entry]))
    assert "place" in answer.json[0], answer.content
    node.catch_up()
    node.restart()
    node.catch_up()
    assert raw in node.leaves[-1]
    assert node.leaves == [bytes(each.leaf) for each in network.deliveries()]
    assert node.read(lambda log: log.records.get(Plan, event.key)) is not None
    tree = Tree(HashesInMemory(), size=0)
    for leaf in node.leaves:
        tree.append(leaf_hash(leaf))
    assert tree.root() == node.read(lambda log: log.tree.root())
    network.write("b", "next")  # which names its predecessor by all its bytes
    node.catch_up()


def test_a_statement_that_names_no_rules_is_of_the_first_for_ever(network, monkeypatch):
    """A program that knows later ones reads old entries as they were meant."""
    monkeypatch.setattr("comity.domain.entry.RULES", 2)
    raw = canonical(network.statement("b", network.plan("old")[0]))
    assert b'"rules"' not in raw
    assert read_statement(raw).rules == Statement.__struct_defaults__[0] == 1
