"""The files that lie in the package, each checked against its SHA-256 before it is used."""

from __future__ import annotations

import csv
import hashlib
import io
from importlib import resources

import numpy as np

from comity.values.errors import DecodeError
from comity.values.tree import Array

CHECKSUMS = "SHA256SUMS"


def read(path: str) -> bytes:
    """The bytes of a data file, e.g. "mnist10k/t10k-labels-idx1-ubyte.gz".

    Raises DecodeError when the file is missing or is not the one that was published with the package.
    """
    data = _bytes(path)
    wanted = {name: digest for digest, name in map(str.split, _bytes(CHECKSUMS).decode().splitlines())}
    found = hashlib.sha256(data).hexdigest()
    if found != wanted.get(path):
        raise DecodeError(f"the data file {path} is damaged: its SHA-256 is {found}; install comity again")
    return data


def read_csv(path: str) -> tuple[list[str], list[list[str]]]:
    """(the header, the lines) of a data file of comma-separated values."""
    header, *lines = csv.reader(io.StringIO(read(path).decode(), newline=""))
    return header, lines


def read_arrays(path: str) -> dict[str, Array]:
    """The arrays of an .npz data file, by name."""
    with np.load(io.BytesIO(read(path)), allow_pickle=False) as archive:
        return dict(archive)


def text(path: str) -> str:
    """A text that lies beside the data, unchecked."""
    return _bytes(path).decode()


def _bytes(path: str) -> bytes:
    try:
        return resources.files("comity.data").joinpath("files", *path.split("/")).read_bytes()
    except FileNotFoundError as error:
        raise DecodeError(f"the data file {path} is missing from the package; install comity again") from error
