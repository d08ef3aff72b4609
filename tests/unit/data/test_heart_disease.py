"""Heart disease: FLamby's recipe, done again with pandas and scikit-learn."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from comity import data
from comity.data.heart_disease import HOSPITALS
from comity.data.stored import read, read_csv
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    def load(file: str) -> pd.DataFrame:
        table = read(f"heart_disease/processed.{file}.data")
        frame = pd.read_csv(io.BytesIO(table), header=None, na_values="?").drop(columns=[10, 11, 12]).dropna()
        return frame.astype(float).reset_index(drop=True)

    return {name: load(file) for name, file in HOSPITALS.items()}


def halves(site: Site) -> tuple[Rows, Rows]:
    assert site.test is not None
    return site.train, site.test


def test_rows_and_positives_are_flambys() -> None:
    counts = {site.name: [(len(half), int(half.targets.sum())) for half in halves(site)] for site in data.heart()}
    assert counts == {
        "Cleveland": [(199, 91), (104, 48)],
        "Hungary": [(172, 65), (89, 33)],
        "Switzerland": [(30, 30), (16, 15)],
        "VA": [(85, 66), (45, 35)],
    }


@pytest.mark.parametrize("name", HOSPITALS)
def test_the_split_is_scikit_learns(name: str, frames: dict[str, pd.DataFrame]) -> None:
    ill = (frames[name][13] > 0).to_numpy()
    train, test = train_test_split(
        np.arange(len(ill)),
        train_size=0.66,
        test_size=1 - 0.66,
        random_state=43,
        shuffle=True,
        stratify=ill if min(ill.sum(), (~ill).sum()) > 2 else None,
    )
    _, lines = read_csv("heart_disease/split.csv")
    stored = {int(row): fold for hospital, row, fold in lines if hospital == HOSPITALS[name]}
    assert stored == {**dict.fromkeys(map(int, train), "train"), **dict.fromkeys(map(int, test), "test")}


def test_the_features_are_those_of_get_dummies(frames: dict[str, pd.DataFrame]) -> None:
    pooled = pd.concat(frames, names=["hospital"]).drop(columns=13)
    expected = pd.get_dummies(pooled, columns=[2, 6], drop_first=True).astype(float)
    _, lines = read_csv("heart_disease/split.csv")
    for site in data.heart(standardize="none"):
        for half, fold in zip(halves(site), ("train", "test"), strict=True):
            chosen = [int(row) for hospital, row, of in lines if (hospital, of) == (HOSPITALS[site.name], fold)]
            np.testing.assert_array_equal(half.x, expected.loc[site.name].iloc[chosen])
            np.testing.assert_array_equal(half.targets, frames[site.name][13].iloc[chosen] > 0)
            assert half.x.dtype == half.targets.dtype == np.float64
            assert half.columns == (
                *("age", "sex", "trestbps", "chol", "fbs", "thalach", "exang", "oldpeak"),
                *("cp_2", "cp_3", "cp_4", "restecg_1", "restecg_2"),
            )


def test_each_hospital_is_standardized_by_its_training_rows() -> None:
    for plain, site in zip(data.heart("none"), data.heart("site"), strict=True):
        mean, std = pd.DataFrame(plain.train.x).mean().to_numpy(), pd.DataFrame(plain.train.x).std().to_numpy()
        for before, after in zip(halves(plain), halves(site), strict=True):
            # FLamby divides by std + 1e-9, which is why a constant column is 0 there, too.
            np.testing.assert_allclose(after.x, (before.x - mean) / (std + 1e-9), atol=1e-6)
    swiss = data.heart()[2]
    assert (swiss.train.x[:, swiss.train.columns.index("chol")] == 0).all()


def test_pooled_statistics_are_those_of_all_training_rows() -> None:
    pooled = np.concatenate([site.train.x for site in data.heart("pooled")])
    np.testing.assert_allclose(pooled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(pooled.std(axis=0, ddof=1), 1)


def test_a_misspelt_standardization_is_refused() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'pooled'"):
        data.heart("pool")  # pyright: ignore
