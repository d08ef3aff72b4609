"""Laws of Memories and Checkpoints, for the fakes and for the adapters. A new one is one row."""

import json
import os
import re
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.adapters.checkpoint_file import CheckpointFile
from comity.adapters.memory_files import MemoryFiles
from comity.ports.checkpoints import Checkpoint, Checkpoints, CheckpointsInMemory
from comity.ports.memories import Memories, MemoriesInMemory
from comity.values import codec
from comity.values.errors import DecodeError, InvalidInput

MEMORIES: dict[str, Callable[[Path], Memories]] = {
    "fake": lambda folder: MemoriesInMemory(),
    "files": MemoryFiles,
    "temporary files": lambda folder: MemoryFiles.temporary(),
}
CHECKPOINTS: dict[str, Callable[[Path], Checkpoints]] = {
    "fake": lambda folder: CheckpointsInMemory(),
    "file": lambda folder: CheckpointFile(folder / "checkpoint"),
}
each_memories = pytest.mark.parametrize("make", MEMORIES.values(), ids=MEMORIES)
each_checkpoints = pytest.mark.parametrize("make", CHECKPOINTS.values(), ids=CHECKPOINTS)
quickly = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def memory(value: float) -> dict[str, Any]:
    return {"head": {"w": np.full((2, 3), value), "n": np.asarray(int(value), np.int64)}}


def value_of(found: Any) -> float | None:
    return float(found["head"]["w"][0, 0]) if found else None


# Memories


@each_memories
def test_a_site_remembers_what_was_put_bit_for_bit(make, tmp_path):
    memories = make(tmp_path)
    given = {"c": np.array([0.1, 1e-300]), "deep": {"f": np.array(3.5, np.float32), "b": np.array([True, False])}}
    memories.put("A", 1, given, keep=[])
    found = memories.get("A", 1)
    assert list(found) == ["c", "deep"]
    for name, leaf in {"c": found["c"], **found["deep"]}.items():
        original = given.get(name, given["deep"].get(name))
        assert np.array_equal(leaf, original)
        assert leaf.dtype == original.dtype
        assert leaf.shape == original.shape


@each_memories
def test_a_site_that_put_nothing_remembers_nothing(make, tmp_path):
    memories = make(tmp_path)
    assert memories.get("A", 0) == {}
    memories.put("A", 3, memory(3), keep=[])
    assert memories.get("A", 2) == {}
    assert memories.get("B", 3) == {}


@each_memories
def test_a_memory_is_current_until_the_next(make, tmp_path):
    memories = make(tmp_path)
    memories.put("A", 2, memory(2), keep=[1])
    memories.put("A", 5, memory(5), keep=[4])
    assert [value_of(memories.get("A", number)) for number in (4, 5, 6, 100)] == [2, 5, 5, 5]


@each_memories
def test_a_memory_can_be_emptied(make, tmp_path):
    memories = make(tmp_path)
    memories.put("A", 1, memory(1), keep=[0])
    memories.put("A", 2, {}, keep=[1])
    assert value_of(memories.get("A", 1)) == 1
    assert memories.get("A", 2) == {}


@each_memories
@pytest.mark.parametrize("wrong", [{"w": np.array([np.nan])}, {"w": [1.0]}, {"w": np.array(["text"])}])
def test_only_trees_of_finite_numbers_are_remembered(make, tmp_path, wrong):
    memories = make(tmp_path)
    memories.put("A", 1, memory(1), keep=[])
    with pytest.raises(InvalidInput):
        memories.put("A", 2, wrong, keep=[1])
    assert value_of(memories.get("A", 2)) == 1


@each_memories
@quickly
@given(data=st.data())
def test_kept_rounds_survive_and_later_ones_vanish(make, tmp_path_factory, data):
    memories = make(tmp_path_factory.mktemp("memories"))
    told: dict[str, dict[int, float]] = {"A": {}, "B": {}}  # everything ever put, less what was rewound
    done, best, serial = 0, 0, 0

    def current(site: str, number: int) -> float | None:
        before = [version for version in told[site] if version <= number]
        return told[site][max(before)] if before else None

    for _ in range(data.draw(st.integers(1, 12), label="steps")):
        if data.draw(st.booleans(), label="rewind") and done:
            done = data.draw(st.sampled_from([done, best]), label="to")
            best = min(best, done)
            memories.rewind(done)
            told = {site: {v: m for v, m in versions.items() if v <= done} for site, versions in told.items()}
        else:
            for site in data.draw(st.lists(st.sampled_from("AB"), unique=True), label="sites"):
                serial += 1
                told[site][done + 1] = serial
                memories.put(site, done + 1, memory(serial), keep=[done, best])
            done += 1
            if data.draw(st.booleans(), label="best"):
                best = done
        for site in "AB":
            for number in {done, done + 1, best}:
                assert value_of(memories.get(site, number)) == current(site, number)


@each_memories
def test_what_a_crashed_round_left_is_rewound(make, tmp_path):
    memories = make(tmp_path)
    memories.put("A", 1, memory(1), keep=[0])
    memories.put("A", 2, memory(2), keep=[1])
    memories.put("B", 2, memory(2), keep=[1])
    memories.rewind(1)
    # In the round done again B is away: what it remembered of the lost round may not come back.
    memories.put("A", 2, memory(22), keep=[1])
    assert value_of(memories.get("A", 3)) == 22
    assert memories.get("B", 3) == {}


NAMES = ["va", "VA", ".", "..", "...", "a b", "50%", "%2E", "a%20b", "é", unicodedata.normalize("NFD", "é"), "東京"]
NAMES += [
    "CON",
    "x" * 100,
    "病" * 100,
    "😀" * 100,
    "a\\b",
    "a:b",
    "~",
    "-rf",
    "*",
    "a/b",
    "../../x",
    "1.safetensors",
    "",
]


@each_memories
def test_every_name_has_a_memory_of_its_own(make, tmp_path):
    memories = make(tmp_path / "here")
    for number, name in enumerate(NAMES, start=1):
        memories.put(name, 1, memory(number), keep=[])
    assert [value_of(memories.get(name, 1)) for name in NAMES] == list(range(1, len(NAMES) + 1))
    assert {path.name for path in tmp_path.iterdir()} <= {"here"}


def test_folders_of_sites_differ_also_where_case_and_composition_do_not(tmp_path):
    memories = MemoryFiles(tmp_path)
    for name in NAMES:
        memories.put(name, 1, memory(1), keep=[])
    folders = [unicodedata.normalize("NFC", path.name).casefold() for path in tmp_path.iterdir()]
    assert len(set(folders)) == len(NAMES)
    assert all(name.isascii() and name.isalnum() for name in folders)


def test_a_site_costs_no_more_files_than_rounds_are_kept(tmp_path):
    memories = MemoryFiles(tmp_path)
    for number in range(1, 50):
        memories.put("A", number, memory(number), keep=[number - 1, 3 if number > 3 else 0])
    assert sorted(int(path.stem) for path in tmp_path.rglob("*.safetensors")) == [3, 48, 49]


def test_files_are_found_by_another_process(tmp_path):
    MemoryFiles(tmp_path).put("A", 1, memory(1), keep=[])
    (next(tmp_path.iterdir()) / ".DS_Store").write_text("what a file system leaves lying")
    assert value_of(MemoryFiles(tmp_path).get("A", 1)) == 1


def test_a_damaged_memory_is_said_to_be(tmp_path):
    memories = MemoryFiles(tmp_path)
    memories.put("A", 1, memory(1), keep=[])
    path = next(tmp_path.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DecodeError, match=rf"the memory {re.escape(str(path))} of site 'A' is damaged .*begin anew"):
        memories.get("A", 1)


def test_a_memory_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    memories = MemoryFiles(tmp_path)
    memories.put("A", 1, memory(1), keep=[])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _full)
        with pytest.raises(OSError, match="no space left"):
            memories.put("A", 1, memory(2), keep=[])
    assert value_of(memories.get("A", 1)) == 1
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_temporary_files_go_with_their_holder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    memories = MemoryFiles.temporary()
    memories.put("A", 1, memory(1), keep=[])
    assert list(tmp_path.rglob("1.safetensors"))
    del memories
    assert not list(tmp_path.iterdir())


# Checkpoints

FACTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def numbered(number: int, size: int = 3) -> Checkpoint:
    return Checkpoint({"round": number}, {"state": {"w": np.full(size, float(number))}})


def number_of(found: Checkpoint | None) -> int:
    assert found is not None
    leaf = np.asarray(found.arrays["state"]["w"])  # type: ignore[call-overload]
    assert set(leaf.tolist()) == {found.facts["round"]}
    return found.facts["round"]


@each_checkpoints
def test_at_first_there_is_none(make, tmp_path):
    assert make(tmp_path).load() is None


@each_checkpoints
@quickly
@given(facts=st.dictionaries(st.text(), FACTS, max_size=4), values=st.lists(st.floats(-1e300, 1e300)))
def test_a_checkpoint_comes_back(make, tmp_path, facts, values):
    checkpoints = make(tmp_path)
    checkpoints.save(Checkpoint(facts, {"state": {"w": np.array(values)}}))
    found = checkpoints.load()
    assert found is not None
    assert found.facts == facts
    assert np.asarray(found.arrays["state"]["w"]).tolist() == values


@each_checkpoints
def test_the_newest_is_loaded(make, tmp_path):
    checkpoints = make(tmp_path)
    for number in (1, 2, 3):
        checkpoints.save(numbered(number))
        assert number_of(checkpoints.load()) == number


def test_a_checkpoint_without_arrays_comes_back(tmp_path):
    checkpoints = CheckpointFile(tmp_path / "checkpoint")
    checkpoints.save(Checkpoint({"round": 1}, {"state": {}}))
    assert checkpoints.load() == Checkpoint({"round": 1}, {})


def _full(*_: Any) -> None:
    raise OSError("no space left on device")


@pytest.mark.parametrize("failing", ["Path.replace", "os.fsync"])
def test_what_fails_while_writing_leaves_the_old_one(tmp_path, monkeypatch, failing):
    checkpoints = CheckpointFile(tmp_path / "checkpoint")
    checkpoints.save(numbered(1))
    with monkeypatch.context() as patch:
        patch.setattr(*(Path, "replace") if failing == "Path.replace" else (os, "fsync"), _full)
        with pytest.raises(OSError, match="no space left"):
            checkpoints.save(numbered(2))
    assert number_of(checkpoints.load()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


CHILD = """
import sys
from itertools import count
from pathlib import Path
import numpy as np
from comity.adapters.checkpoint_file import CheckpointFile
from comity.ports.checkpoints import Checkpoint
checkpoints = CheckpointFile(Path(sys.argv[1]))
for number in count(1):
    checkpoints.save(Checkpoint({"round": number}, {"state": {"w": np.full(200_000, float(number))}}))
    print(number, flush=True)
"""


@pytest.mark.parametrize("saved", [1, 2, 5])
def test_a_writer_that_is_killed_leaves_one_that_is_whole(tmp_path, saved):
    path = tmp_path / "checkpoint"
    child = subprocess.Popen([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(saved):
        said = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert number_of(CheckpointFile(path).load()) >= said
    CheckpointFile(path).save(numbered(0))
    assert [each.name for each in tmp_path.iterdir()] == ["checkpoint"], "what the killed one left is used up"


@quickly
@given(data=st.data())
def test_damage_of_any_kind_is_seen(tmp_path, data):
    checkpoints, path = CheckpointFile(tmp_path / "checkpoint"), tmp_path / "checkpoint"
    checkpoints.save(numbered(7))
    whole = path.read_bytes()
    if data.draw(st.booleans(), label="cut"):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        position, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
        damaged = whole[:position] + bytes([whole[position] ^ 1 << bit]) + whole[position + 1 :]
    path.write_bytes(damaged)
    with pytest.raises(DecodeError, match=r"is damaged or is none; delete .* to begin anew"):
        checkpoints.load()


@quickly
@given(data=st.binary(max_size=200))
def test_what_is_no_checkpoint_is_refused(tmp_path, data):
    (tmp_path / "checkpoint").write_bytes(data)
    with pytest.raises(DecodeError):
        CheckpointFile(tmp_path / "checkpoint").load()


def test_facts_are_strict_json_text(tmp_path):
    CheckpointFile(tmp_path / "checkpoint").save(numbered(1))
    body = (tmp_path / "checkpoint").read_bytes()[32:]
    length = int.from_bytes(body[:8], "little")
    assert json.loads(body[8 : 8 + length])["facts"] == {"round": 1}


# Their history


def entry(number: int) -> Checkpoint:
    return replace(numbered(number), history=[{"number": number}])


def numbers_of(found: Checkpoint | None) -> list[int]:
    assert found is not None
    return [each["number"] for each in found.history]


@each_checkpoints
def test_the_history_is_added_to(make, tmp_path):
    checkpoints = make(tmp_path)
    for number in (1, 2, 3):
        checkpoints.save(entry(number))
        assert numbers_of(checkpoints.load()) == list(range(1, number + 1))


def test_a_round_costs_the_same_however_many_there_were(tmp_path):
    checkpoints, path = CheckpointFile(tmp_path / "checkpoint"), tmp_path / "checkpoint"
    sizes, written = set(), []
    for number in range(10, 40):
        checkpoints.save(replace(entry(number), facts={}))
        sizes.add(path.stat().st_size)
        written.append((tmp_path / "checkpoint.history").stat().st_size)
    assert max(sizes) - min(sizes) <= 4, "but for the digits of a length"
    assert len(set(np.diff(written))) == 1


def test_another_process_goes_on_with_the_history(tmp_path):
    path = tmp_path / "checkpoint"
    CheckpointFile(path).save(entry(1))
    again = CheckpointFile(path)
    assert numbers_of(again.load()) == [1]
    with (tmp_path / "checkpoint.history").open("ab") as file:
        file.write(b'{"number": what a crash left before its checkpoint was writ')
    assert numbers_of(CheckpointFile(path).load()) == [1]
    again.save(entry(2))
    assert numbers_of(CheckpointFile(path).load()) == [1, 2]


def test_a_run_that_is_begun_anew_has_no_history(tmp_path):
    path = tmp_path / "checkpoint"
    CheckpointFile(path).save(entry(1))
    CheckpointFile(path).save(entry(2))
    assert numbers_of(CheckpointFile(path).load()) == [2]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"#" + data[1:], lambda data: b""])
def test_a_damaged_history_is_seen(tmp_path, damage):
    path = tmp_path / "checkpoint.history"
    CheckpointFile(tmp_path / "checkpoint").save(entry(1))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DecodeError, match=r"checkpoint\.history is damaged or is none; delete .*checkpoint to begin"):
        CheckpointFile(tmp_path / "checkpoint").load()


def test_a_checkpoint_of_another_version_is_said_to_be(tmp_path):
    facts = json.dumps({"round": 1}).encode()
    body = len(facts).to_bytes(8, "little") + facts + codec.encode({})
    (tmp_path / "checkpoint").write_bytes(sha256(body).digest() + body)
    with pytest.raises(DecodeError, match="is of another version of comity; delete it to begin anew"):
        CheckpointFile(tmp_path / "checkpoint").load()
