"""What data sets there are, and under which terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from comity.data.stored import text
from comity.values.errors import unknown
from comity.values.table import Table


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One line of the catalog."""

    name: str
    """Its loader's name."""
    folder: str
    rows: int
    """Training and test rows together, as loaded."""
    sites: str
    licence: str
    source: str


DATASETS = (
    Dataset(
        name="heart",
        folder="heart_disease",
        rows=740,
        sites="4 hospitals",
        licence="CC BY 4.0",
        source="UCI Heart Disease, split of FLamby",
    ),
    Dataset(
        name="brca",
        folder="tcga_brca",
        rows=1088,
        sites="6 regions",
        licence="TCGA open access, GDC terms",
        source="TCGA-BRCA clinical data, split of FLamby",
    ),
    Dataset(
        name="breastmnist",
        folder="breastmnist",
        rows=780,
        sites="made: two_hospitals",
        licence="CC BY 4.0",
        source="BreastMNIST of MedMNIST v2",
    ),
    Dataset(
        name="breast_cancer",
        folder="breast_cancer",
        rows=569,
        sites="made: partition",
        licence="CC BY 4.0",
        source="Breast Cancer Wisconsin (Diagnostic) of UCI",
    ),
    Dataset(
        name="mnist",
        folder="mnist10k",
        rows=10_000,
        sites="made: partition",
        licence="CC BY-SA 3.0",
        source="MNIST, its 10,000 test digits",
    ),
    Dataset(
        name="chembl",
        folder="chembl_multitask",
        rows=21_477,
        sites="made: any number of partners",
        licence="CC BY-SA 3.0",
        source="ChEMBL activities, prepared by DeepChem",
    ),
)


def catalog() -> Table:
    """The data sets in the package: name of the loader, rows, sites, licence, source."""
    columns = ("name", "rows", "sites", "licence", "source")
    return Table("data sets", columns, [[getattr(each, column) for column in columns] for each in DATASETS])


def terms(name: str) -> str:
    """What may be done with a data set and whom to cite, by the name of its loader; raises InvalidInput.

    >>> print(terms("breastmnist").splitlines()[0])
    CC BY 4.0: use and share freely, and name the authors.
    """
    folders = {each.name: each.folder for each in DATASETS}
    if name not in folders:
        raise unknown("data set", name, folders)
    _, _, after = text(f"{folders[name]}/SOURCE.md").partition("\n## Terms\n")
    return after.partition("\n## ")[0].strip()
