"""Commands that ask a node: as whom, and what they print."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from comity.faces.cli.main import app
from comity.values.errors import ComityError, Conflict, InvalidInput, NotFound

FUNCTION = {
    "key": "f2",
    "name": "train\x1b[2J",
    "owner": "b",
    "archive": {"checksum": "ab"},
    "permissions": {"process": {"public": True, "authorized_ids": ["b"]}},
    "status": "FUNCTION_STATUS_READY",
}
REVIEW = {
    "function": FUNCTION,
    "files": {"model.py": "one\ntwo\nthree\n", "new.py": "x"},
    "before": {"function": {"key": "f1"}, "files": {"model.py": "one\n2\nthree\n"}},
}
DIFFERENCE = """\
--- before/model.py
+++ after/model.py
@@ -1,3 +1,3 @@
 one
-2
+two
 three
--- before/new.py
+++ after/new.py
@@ -0,0 +1 @@
+x
"""


@pytest.fixture
def comity(node):
    """Run a command against the node of canned answers; gives the result as CliRunner has it."""

    def run(*arguments, **more):
        environment = {"COMITY_NODE": node.url, "COMITY_TOKEN": "t0", "COLUMNS": "200"}
        done = CliRunner().invoke(app, arguments, env=environment, **more)
        if isinstance(done.exception, ComityError):
            raise done.exception
        return done

    return run


def answers(node, path, value, status=200):
    node.answers[path] = (status, {}, json.dumps(value).encode())


def listed(node, noun, *found):
    answers(node, f"/{noun}/?page=1&page_size=1000", {"results": list(found), "next": None})


def test_the_command_line_is_light():
    heavy = ("sqlalchemy", "starlette", "aiohttp", "uvicorn", "msgspec", "pydantic", "torch", "matplotlib")
    code = f"import sys, comity.faces.cli.main; print([each for each in {heavy} if each in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_an_answer_is_one_line_of_json(node, comity):
    listed(node, "function", FUNCTION)
    done = comity("function", "list", "--json")
    assert json.loads(done.stdout) == [FUNCTION]
    assert done.stdout.count("\n") == 1
    assert node.requests[0][2]["Authorization"] == "Token t0"


def test_what_others_wrote_cannot_move_the_cursor(node, comity):
    listed(node, "function", FUNCTION)
    printed = comity("function", "list").stdout
    assert "train\\x1b[2J" in printed
    assert "\x1b" not in printed


def test_a_function_is_approved_once_its_changes_were_read(node, comity):
    listed(node, "function", FUNCTION)
    answers(node, "/function/f2/review/", REVIEW)
    answers(node, "/function/f2/approve/", {})
    assert json.loads(comity("approve", "f2", "--show", "--json").stdout)["difference"] == DIFFERENCE
    done = comity("approve", "f2", input="n\n")
    assert done.exit_code == 1
    assert DIFFERENCE in done.stderr
    assert "\x1b" not in done.stderr
    assert all(path != "/function/f2/approve/" for _, path, _, _ in node.requests)
    assert comity("approve", "f2", input="y\n").exit_code == 0
    assert node.requests[-1][:2] == ("POST", "/function/f2/approve/")


def test_a_refusal_has_a_reason(node, comity):
    listed(node, "function", FUNCTION)
    answers(node, "/function/f2/refuse/", {})
    comity("approve", "f2", "--refuse", "--reason", "reads names")
    assert json.loads(node.requests[-1][3]) == {"reason": "reads names"}
    with pytest.raises(InvalidInput, match="give one of"):
        comity("approve", "f2", "--refuse", "--yes")


def test_texts_are_redacted_by_entry_or_commitment(node, comity):
    answers(node, "/log/redact/", {"redacted": ["sha256:ab", "sha256:cd"]})
    assert comity("log", "redact", "--entry", "4", "--entry", "7").stdout.startswith("2 texts are deleted")
    comity("log", "redact", "sha256:ab", "sha256:cd")
    sent = [json.loads(body) for *_, body in node.requests]
    assert sent == [{"texts": [], "entries": [4, 7]}, {"texts": ["sha256:ab", "sha256:cd"], "entries": []}]


def test_a_name_must_mean_one_thing(node, comity):
    old = {"key": "d1", "name": "heart", "withdrawn_date": "2026-01-01"}
    new = {"key": "d2", "name": "heart", "withdrawn_date": None}
    answers(node, "/data_manager/d2/withdraw/", {"models": []})
    listed(node, "data_manager", old, new)
    assert json.loads(comity("data", "withdraw", "heart", "--json").stdout) == {"key": "d2", "models": []}
    listed(node, "data_manager", new, {**new, "key": "d3"})
    with pytest.raises(Conflict, match="2 datasets are called 'heart'; give a key: d2, d3"):
        comity("data", "withdraw", "heart")
    with pytest.raises(NotFound, match="there is no dataset 'lung'"):
        comity("data", "withdraw", "lung")


def test_a_key_may_be_shortened_while_it_means_one_thing(node, comity):
    one, other = "8f14e45f-ceea-467f-a1e1-0d5f6b6f0b1a", "8f14e4aa-ceea-467f-a1e1-0d5f6b6f0b1a"
    answers(node, f"/data_manager/{one}/withdraw/", {"models": []})
    listed(node, "data_manager", {"key": one, "name": "heart"}, {"key": other, "name": "lung"})
    assert json.loads(comity("data", "withdraw", "8F14E45", "--json").stdout)["key"] == one
    with pytest.raises(Conflict, match=f"give a key: {one}, {other}"):
        comity("data", "withdraw", "8f14e4")
    with pytest.raises(NotFound, match="there is no dataset '8f14e'"):
        comity("data", "withdraw", "8f14e")


def test_a_name_means_the_last_of_experiments_that_go_on_from_each_other(node, comity):
    plans = [{"key": key, "name": "first"} for key in ("p1", "p2", "p3")]
    for key, before in (("p1", None), ("p2", "p1"), ("p3", "p2")):
        answers(node, f"/compute_plan/{key}/rounds/", {"continues": before})
    answers(node, "/compute_plan/p3/cancel/", {})
    answers(node, "/compute_plan/p3/", {"key": "p3"})
    listed(node, "compute_plan", *plans)
    assert json.loads(comity("plan", "cancel", "first", "--json").stdout)["key"] == "p3"
    answers(node, "/compute_plan/p3/rounds/", {"continues": None})
    with pytest.raises(Conflict, match="2 plans are called 'first'; give a key: p2, p3"):
        comity("plan", "cancel", "first")


def test_a_dataset_whose_samples_are_refused_is_withdrawn(node, comity, tmp_path):
    (tmp_path / "opener.py").write_text("")
    answers(node, "/data_manager/", {"key": "d1"}, 201)
    answers(node, "/data_sample/", {"detail": "OE0003: the folder is empty"}, 400)
    answers(node, "/data_manager/d1/withdraw/", {"models": []})
    with pytest.raises(InvalidInput, match="the folder is empty"):
        comity("data", "add", str(tmp_path), "--opener", str(tmp_path / "opener.py"), "--name", "heart")
    assert node.requests[-1][1] == "/data_manager/d1/withdraw/"


def test_a_password_is_asked_for_at_a_terminal_only(node, comity):
    with pytest.raises(InvalidInput, match="give the password of ada in COMITY_PASSWORD"):
        comity("status", "--user", "ada")
    assert node.requests == []


def test_a_file_cannot_be_written_elsewhere(node, comity, tmp_path):
    listed(node, "compute_plan", {"key": "p", "name": "study"})
    tasks = "/task/?compute_plan_key=p&ordering=rank&page=1&page_size=1000"
    answers(node, tasks, {"results": [{"key": "t", "tag": "../../evil", "stage": None}], "next": None})
    output = {"kind": "ASSET_MODEL", "identifier": "model", "asset": {"key": "m"}}
    answers(node, "/task/t/output_assets/?page=1&page_size=1000", {"results": [output], "next": None})
    with pytest.raises(InvalidInput, match="cannot be the name of a file"):
        comity("plan", "download", "study", "--into", str(tmp_path / "here"))
    assert list(tmp_path.iterdir()) == []
