"""A network of one folder, before any of its programs begins."""

import pytest

from comity.faces.network.up import Embedded, start
from comity.values.errors import Conflict


def test_new_organizations_come_beside_all_that_are_there_and_not_in_their_place(tmp_path):
    tokens = tmp_path / "hub" / "tokens"
    tokens.mkdir(parents=True)
    for name in ("a", "b"):
        (tokens / name).touch()
    for _ in range(2):  # nor is the folder locked by what was refused
        with pytest.raises(Conflict, match="has a network of a, b: start b with it to let c in, or give another --dir"):
            start(Embedded(folder=tmp_path, organizations=["a", "c"]))
