"""The client of a node: what it sends, and what it makes of answers."""

import io
import json

import pytest
from python_multipart import parse_form

from comity.sdk.client import Account, Client, Files, embedded
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated, Unavailable


def holder(url):
    return Client(lambda: Account(url=url, token="t0"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput),
        (401, Unauthenticated),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, NotFound),
        (429, Unavailable),
        (503, Unavailable),
    ],
)
def test_a_refusal_is_an_error_of_its_kind(node, status, kind):
    node.answers["/thing/"] = (status, {}, b'{"detail": "no such thing"}')
    with pytest.raises(kind, match="no such thing"):
        holder(node.url).get("/thing/")


def test_a_wrong_password_is_said_so(node):
    node.answers["/api-token-auth/"] = (400, {}, b'{"non_field_errors": ["Unable to log in."]}')
    client = Client(lambda: Account(url=node.url, user="ada", password="p&p"))
    with pytest.raises(InvalidInput, match="Unable to log in"):
        client.get("/thing/")
    assert node.requests[0][3] == b"username=ada&password=p%26p"


def test_an_answer_of_something_else_is_no_crash(node):
    node.answers["/thing/"] = (502, {}, b"<html>Bad gateway</html>")
    with pytest.raises(Unavailable, match="answered 502"):
        holder(node.url).get("/thing/")


def test_a_node_that_is_not_there(node):
    node.shutdown()
    node.server_close()
    with pytest.raises(Unavailable, match="is it running"):
        holder(node.url).get("/thing/")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://a/", "http://"])
def test_an_address_is_one(url):
    with pytest.raises(InvalidInput, match="no address of a node"):
        holder(url).get("/thing/")


def test_a_login_lasts_until_the_end(node):
    node.answers["/api-token-auth/"] = (200, {}, b'{"id": "i1", "token": "t1"}')
    node.answers["/thing/"] = node.answers["/active-api-tokens/?id=i1"] = (200, {}, b"{}")
    client = Client(lambda: Account(url=node.url, user="ada", password="p"))
    client.close()
    assert node.requests == []
    client.get("/thing/")
    client.get("/thing/")
    client.close()
    assert [(method, path) for method, path, _, _ in node.requests] == [
        ("POST", "/api-token-auth/"),
        ("GET", "/thing/"),
        ("GET", "/thing/"),
        ("DELETE", "/active-api-tokens/?id=i1"),
    ]
    assert {headers.get("Authorization") for _, _, headers, _ in node.requests} == {None, "Token t1"}


def test_a_form_is_read_as_it_was_meant(node, tmp_path):
    node.answers["/data_manager/"] = (201, {}, b"{}")
    data = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(data)
    holder(node.url).upload("/data_manager/", Files({"name": "ü"}, [("data_opener", tmp_path / "file")]))
    _, _, headers, body = node.requests[0]
    fields, files = [], []
    parse_form(
        {k: v.encode() for k, v in headers.items() if k == "Content-Type"},
        io.BytesIO(body),
        fields.append,
        files.append,
    )
    assert [(each.field_name, json.loads(each.value)) for each in fields] == [(b"json", {"name": "ü"})]
    (file,) = files
    file.file_object.seek(0)
    assert (file.field_name, file.file_object.read()) == (b"data_opener", data)
    file.close()


def test_a_file_comes_whole_or_not_at_all(node, tmp_path):
    node.answers["/model/1/file/"] = (200, {"content-length": "5"}, b"12345")
    node.answers["/model/2/file/"] = (200, {"content-length": "9"}, b"12345")
    client = holder(node.url)
    assert client.download("/model/1/file/", tmp_path / "a" / "model") == 5
    with pytest.raises(Unavailable, match="broke off"):
        client.download("/model/2/file/", tmp_path / "b")
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["a", "model"]


def test_pages_are_turned(node):
    for page, more in ((1, "more"), (2, None)):
        body = json.dumps({"results": [page], "next": more}).encode()
        node.answers[f"/plan/?tag=x&page={page}&page_size=1000"] = (200, {}, body)
    assert list(holder(node.url).pages("/plan/", tag="x")) == [1, 2]


def test_a_network_of_this_machine(tmp_path):
    with pytest.raises(NotFound, match="start one with comity up"):
        embedded(tmp_path, "")
    for name in ("org2", "org1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "port").write_text("8001")
        (tmp_path / name / "admin-password").write_text("secret")
    with pytest.raises(NotFound, match=r"--as org1 \| org2"):
        embedded(tmp_path, "org3")
    account = embedded(tmp_path, "org1")
    assert (account.url, account.user, account.password) == ("http://127.0.0.1:8001", "admin", "secret")
    assert "secret" not in repr(account)
