"""The catalog says what the loaders give; files are those that were published."""

from __future__ import annotations

import hashlib
from importlib import resources

import numpy as np
import pytest

from comity import data
from comity.data import stored
from comity.data._catalog import DATASETS, Dataset
from comity.values.errors import DecodeError, InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site

FILES = resources.files("comity.data") / "files"


def count(loaded: list[Site] | tuple[Rows, Rows]) -> int:
    halves = loaded if isinstance(loaded, tuple) else [half for site in loaded for half in (site.train, site.test)]
    return sum(len(half) for half in halves if half is not None)


@pytest.mark.parametrize("entry", DATASETS, ids=lambda entry: entry.name)
def test_the_catalog_counts_the_rows_that_are_loaded(entry: Dataset) -> None:
    assert count(getattr(data, entry.name)()) == entry.rows


def test_the_catalog_is_a_table() -> None:
    table = data.catalog()
    assert table.columns == ("name", "rows", "sites", "licence", "source")
    assert table.column("name") == ["heart", "brca", "breastmnist", "breast_cancer", "mnist", "chembl"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("heart", ["CC BY 4.0", "Robert Detrano", "10.24432/C52P4X"]),
        ("brca", ["gdc.cancer.gov", "find out who", "10.1016/j.cell.2018.02.052"]),
        ("breastmnist", ["CC BY 4.0", "10.1038/s41597-022-01721-8"]),
        ("breast_cancer", ["CC BY 4.0", "Wolberg", "10.24432/C5DW2B"]),
        ("mnist", ["CC BY-SA 3.0", "LeCun"]),
        ("chembl", ["CC BY-SA 3.0", "same licence", "Gaulton"]),
    ],
)
def test_terms_name_licence_and_authors(name: str, said: list[str]) -> None:
    assert all(each in data.terms(name) for each in said)
    assert "##" not in data.terms(name)


def test_a_misspelt_data_set_is_refused() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'heart'"):
        data.terms("hart")


def test_every_file_is_listed_described_and_intact() -> None:
    listed = dict(reversed(line.split()) for line in stored.text("SHA256SUMS").splitlines())
    folders = [folder for folder in FILES.iterdir() if folder.is_dir()]
    present = {f"{folder.name}/{file.name}" for folder in folders for file in folder.iterdir()}
    assert present - {f"{folder.name}/SOURCE.md" for folder in folders} == set(listed)
    assert {folder.name for folder in folders} == {entry.folder for entry in DATASETS}
    for path, digest in listed.items():
        folder, name = path.split("/")
        assert hashlib.sha256(stored.read(path)).hexdigest() == digest
        assert f"{digest}  {name}" in stored.text(f"{folder}/SOURCE.md")


def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = stored._bytes
    monkeypatch.setattr(stored, "_bytes", lambda path: real(path).replace(b"67.0", b"76.0"))
    with pytest.raises(DecodeError, match=r"processed\.cleveland\.data is damaged"):
        data.heart()


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(DecodeError, match=r"heart_disease/none\.csv is missing"):
        stored.read("heart_disease/none.csv")


def test_loaded_arrays_are_the_callers_own() -> None:
    data.heart()[0].train.x[:] = 0
    data.mnist()[0].targets[:] = 0
    assert np.any(data.heart()[0].train.x)
    assert np.any(data.mnist()[0].targets)
