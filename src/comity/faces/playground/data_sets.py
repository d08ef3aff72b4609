"""The data sets of the playground, and how a model is trained on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, TypeAlias, final

from comity.data import breast_cancer, breastmnist, heart
from comity.data.partition import Hospital, together
from comity.values.rows import Rows

MOST = 6
"""Hospitals."""

Kind: TypeAlias = Literal["images", "table"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """One of them."""

    name: str
    """That of its loader in `co.data`."""
    title: str
    about: str
    kind: Kind
    rows: tuple[str, str]
    """What one row and several are called."""
    classes: tuple[str, str]
    """Negative and positive."""
    available: tuple[int, int]
    """Negative and positive training rows that can be dealt."""
    validation: tuple[int, int]
    """Those on which every model is measured."""
    features: int
    """Columns of a table; pixels of an image."""
    lr: float
    server_lr: float
    """Of strategies with Adam at the server."""
    batch_size: int
    hospitals: tuple[Hospital, ...]
    """As they are dealt unless asked otherwise. However many of them are taken, there are rows enough."""
    rounds: int = 20
    extra: str = ""
    """The extra of comity that its model needs."""

    @property
    def missing(self) -> str:
        """Why it cannot be trained on here; empty when it can."""
        if not self.extra or find_spec(self.extra) is not None:
            return ""
        return f"This needs PyTorch, which is not installed: pip install 'comity[{self.extra}]'"


def _unlike(*given: tuple[int, float]) -> tuple[Hospital, ...]:
    return tuple(Hospital(rows=rows, positive=positive) for rows, positive in given)


DATA_SETS: Mapping[str, DataSet] = {
    each.name: each
    for each in (
        DataSet(
            name="breastmnist",
            title="Breast ultrasound",
            about="Images of 28 × 28 pixels; a convolutional network finds malignant tumours.",
            kind="images",
            rows=("image", "images"),
            classes=("normal or benign", "malignant"),
            available=(456, 168),
            validation=(114, 42),
            features=28 * 28,
            lr=0.1,
            server_lr=0.003,
            batch_size=16,
            hospitals=_unlike((120, 0.8), (120, 0.2), (60, 0.4), (60, 0.2), (60, 0.1), (60, 0.1)),
            extra="torch",
        ),
        DataSet(
            name="heart",
            title="Heart disease",
            about="13 findings of a patient; a logistic regression predicts disease.",
            kind="table",
            rows=("patient", "patients"),
            classes=("healthy", "ill"),
            available=(234, 252),
            validation=(123, 131),
            features=13,
            lr=0.05,
            server_lr=0.1,
            batch_size=8,
            hospitals=_unlike((100, 0.8), (100, 0.2), (60, 0.5), (60, 0.5), (40, 0.7), (40, 0.3)),
        ),
        DataSet(
            name="breast_cancer",
            title="Needle biopsies",
            about="30 measures of cell nuclei; a logistic regression, trained in an instant.",
            kind="table",
            rows=("biopsy", "biopsies"),
            classes=("benign", "malignant"),
            available=(237, 143),
            validation=(120, 69),
            features=30,
            lr=0.05,
            server_lr=0.1,
            batch_size=8,
            hospitals=_unlike((30, 0.8), (30, 0.2), (30, 0.4), (30, 0.3), (20, 0.5), (20, 0.2)),
        ),
    )
}


def load(name: str) -> tuple[Rows, Rows]:
    """(rows to deal, rows on which every model is measured)."""
    match name:
        case "breastmnist":
            return breastmnist()
        case "heart":
            return together(heart("pooled"))
        case _:
            return breast_cancer()
