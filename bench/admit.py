"""What it costs to admit tasks into a log, beside reading, verifying and hashing the same bytes.

Usage: python bench/admit.py. Ten entries of 1,000 `task_added`, each task with two parents, into records in memory,
by the rules that hub and nodes share. Prints microseconds of CPU for a task: the median of nine interleaved pairs.
"""

import sys
import uuid
from pathlib import Path
from time import process_time

import msgspec

sys.path.insert(0, str(Path(__file__).parent))

from floors.admitting import admit as floor
from ratio import line

from comity.domain.entry import Leaf, Seen, Statement, canonical, read_leaf, sign
from comity.domain.events import (
    AnyEvent,
    ChannelCreated,
    FunctionBuilding,
    FunctionInput,
    FunctionOutput,
    FunctionReady,
    FunctionRegistered,
    PlanRegistered,
    TaskAdded,
    TaskInput,
    TaskOutput,
)
from comity.domain.log import admit
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, Organization, RecordsInMemory
from comity.domain.words import Permission
from comity.ledger.merkle import HashesInMemory, Tree, leaf_hash
from comity.values.keys import Identity, from_base64, to_base64

ENTRIES, EVENTS, PAIRS = 10, 1000, 9
TEXT = "sha256:" + "0" * 64
ME = Identity.from_bytes(bytes([1]) * 64)


class Log:
    """A channel in memory; only `take` is measured."""

    def __init__(self) -> None:
        self.records, self.tree = RecordsInMemory(), Tree(HashesInMemory(), size=0)
        self.taken = list[bytes]()

    def written(self, *events: AnyEvent) -> bytes:
        """The next leaf."""
        head, here = self.records.get(Organization, "a"), self.records.get(Channel, CHANNEL)
        statement = Statement(
            channel=here.digest if here else "",
            author="a",
            sequence=head.sequence if head else 0,
            previous=head.previous if head else "",
            id=key("entry", self.tree.size),
            seen=Seen(self.tree.size, to_base64(self.tree.root())),
            events=events,
        )
        entry = sign(statement, ME, {})
        return canonical(Leaf(ordered_at=1, signature=entry.signature, statement=entry.statement))

    def take(self, data: bytes) -> None:
        _, draft = admit(self.records, read_leaf(data), self.tree.size, self.tree.root)
        for record in draft.changed.values():
            self.records.put(record)
        self.tree.append(leaf_hash(data))
        self.taken.append(data)


def begun() -> Log:
    log = Log()
    function = FunctionRegistered(
        key=key("function", 0),
        name=TEXT,
        archive=TEXT,
        description=TEXT,
        inputs={"models": FunctionInput("ASSET_MODEL", multiple=True, optional=True)},
        outputs={"model": FunctionOutput("ASSET_MODEL")},
    )
    log.take(log.written(ChannelCreated(keys=ME.public, hub=to_base64(bytes(32)), name=TEXT, nonce="")))
    log.take(log.written(function, FunctionBuilding(key=function.key), FunctionReady(key=function.key)))
    log.take(log.written(PlanRegistered(key=key("plan", 0), name=TEXT)))
    return log


def task(number: int) -> TaskAdded:
    parents = (number - 4, number - 3) if number >= 4 else ()
    return TaskAdded(
        key=key("task", number),
        plan=key("plan", 0),
        function=key("function", 0),
        worker="a",
        inputs=tuple(TaskInput("models", parent=key("task", each), output="model") for each in parents),
        outputs={"model": TaskOutput(Permission(public=True), transient=True)},
        metadata=TEXT,
    )


def key(kind: str, number: int) -> str:
    return str(uuid.UUID(int=number + 10**9 * len(kind)))


def main() -> None:
    log, leaves = begun(), list[bytes]()
    for entry in range(ENTRIES):
        leaves.append(log.written(*map(task, range(entry * EVENTS, (entry + 1) * EVENTS))))
        log.take(leaves[-1])
    signed = [signed_parts(each) for each in leaves]
    ours, floors = list[float](), list[float]()
    for _ in range(PAIRS):
        log = begun()
        began = process_time()
        for each in leaves:
            log.take(each)
        between = process_time()
        assert floor(signed, from_base64(ME.public.signing)) == ENTRIES * EVENTS
        ours.append(between - began)
        floors.append(process_time() - between)
    print(f"{ENTRIES} entries of {EVENTS} task_added, {len(leaves[0]) // EVENTS} bytes each; CPU for a task")
    each = 1e6 / (ENTRIES * EVENTS)
    line("read, verify, hash", floors, floors, each, "µs", None)
    line("admit", ours, floors, each, "µs", None)


def signed_parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    leaf = msgspec.json.decode(data, type=Leaf)
    body = bytes(leaf.statement)
    return b"comity entry\n" + body, from_base64(leaf.signature), body


if __name__ == "__main__":
    main()
