"""TCGA-BRCA: counts and events as FLamby has them, regions as the list of centres says."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from comity import data
from comity.data.stored import read, read_csv


def test_rows_and_events_are_flambys() -> None:
    counts = {
        site.name: [(len(half), int(half.targets[:, 1].sum())) for half in (site.train, site.test) if half is not None]
        for site in data.brca()
    }
    assert counts == {
        "Northeast": [(248, 45), (63, 14)],
        "South": [(156, 35), (40, 4)],
        "West": [(164, 14), (42, 8)],
        "Midwest": [(129, 16), (33, 3)],
        "Europe": [(129, 7), (33, 2)],
        "Canada": [(40, 2), (11, 1)],
    }


def test_values_are_those_pandas_reads() -> None:
    frame = pd.read_csv(io.BytesIO(read("tcga_brca/brca.csv"))).set_index("pid")
    for site in data.brca():
        for half in (site.train, site.test):
            assert half is not None
            expected = frame.loc[np.asarray(half.ids)]
            assert half.columns == tuple(frame.columns[:39])
            np.testing.assert_array_equal(half.x, expected[list(half.columns)])
            np.testing.assert_array_equal(half.targets, expected[["T", "E"]])
            assert np.isfinite(half.x).all()


def test_patients_are_in_the_region_of_the_centre_that_gave_the_tissue() -> None:
    _, lines = read_csv("tcga_brca/centers.csv")
    region_of = {line[0]: line[4] for line in lines}
    for site in data.brca():
        for half in (site.train, site.test):
            assert half is not None
            assert {region_of[str(patient)[5:7]] for patient in np.asarray(half.ids)} == {site.name}


def test_no_patient_occurs_twice() -> None:
    people = [str(p) for site in data.brca() for half in (site.train, site.test) if half for p in np.asarray(half.ids)]
    assert len(people) == len(set(people)) == 1088
