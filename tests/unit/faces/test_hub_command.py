"""What is said at the hub's machine: who is out, and that it is over."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from comity.adapters import folder
from comity.adapters.sql.log import Log
from comity.domain.joining import read_join, write_join
from comity.domain.membership import CHANNEL
from comity.domain.records import Channel, Organization
from comity.faces.cli.main import app
from comity.hub.place import open_place
from comity.node.history import Wanted, entries
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound
from comity.values.keys import Identity


@pytest.fixture
def place(tmp_path):
    made = open_place(tmp_path)
    made.ready(name="main", hosts=["localhost"])
    folder.keep(tmp_path / "url", b"https://localhost:7070")
    yield made
    made.database.close()


def comity(place, *arguments):
    done = CliRunner().invoke(app, ["hub", *arguments, "--dir", str(place.folder)])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def let_in(place, name):
    token = place.invite(name, url="https://localhost:7070")
    join = read_join(write_join(token, Identity.generate()))
    place.database.write(lambda connection: place.founder.admit(connection, 1, join))


def read(place, work):
    with place.database.read() as connection:
        return work(Log(connection, 1))


def status(place, name):
    return read(place, lambda log: log.records.get(Organization, name)).status


def last(place):
    """(type, reason) of the last event."""

    def work(log):
        (found,) = entries(log, Wanted(), before=log.size, limit=1).entries
        (event,) = found.statement.events
        return type(event).__name__, "".join(log.texts([event.reason]).values())

    return read(place, work)


def test_a_member_is_removed_and_invited_again(place):
    let_in(place, "a")
    assert "comity hub invite a" in comity(place, "remove", "a", "--reason", "left the study")
    assert status(place, "a") == "removed"
    assert last(place) == ("OrganizationRemoved", "left the study")
    with pytest.raises(NotFound, match="no member a"):
        comity(place, "remove", "a")
    with pytest.raises(Forbidden, match="founder cannot be removed"):
        comity(place, "remove", "hub")
    let_in(place, "a")
    assert status(place, "a") == "member"


def test_a_closed_channel_takes_nothing_more(place):
    let_in(place, "a")
    comity(place, "close")
    assert read(place, lambda log: log.records.get(Channel, CHANNEL)).closed
    assert last(place) == ("ChannelClosed", "")
    for command in (["close"], ["remove", "a"], ["invite", "b"]):
        with pytest.raises((Forbidden, Conflict), match="closed"):
            comity(place, *command)


def test_a_certificate_of_an_authority_is_not_pinned(place, tmp_path):
    """Nodes trust the authority, also when the certificate is renewed."""
    assert len(place.invite("a", url="https://localhost").certificate) == 64
    name, authority = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in ("localhost", "authority")
    )
    key, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
    issued = x509.CertificateBuilder(authority, name, key.public_key(), 1, now, now + timedelta(days=1))
    given, given_key = tmp_path / "given.crt", tmp_path / "given.key"
    given.write_bytes(issued.sign(Ed25519PrivateKey.generate(), None).public_bytes(Encoding.PEM))
    other = open_place(tmp_path, certificate=given, certificate_key=given_key)
    assert other.invite("b", url="https://localhost").certificate == ""
    other.database.close()
    with pytest.raises(InvalidInput, match="together"):
        open_place(tmp_path, certificate=given)


def test_there_must_be_a_hub(tmp_path):
    place = open_place(tmp_path)
    for command in (["close"], ["remove", "a"]):
        with pytest.raises(NotFound, match="never started"):
            comity(place, *command)
    place.database.close()
