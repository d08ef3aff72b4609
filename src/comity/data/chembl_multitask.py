"""ChEMBL activities as a drug-discovery task for several partners.

An assay is one protein target; a compound is active on it when its activity is at least 10^-6.5 M. A fifth
of the compounds is held out, always the same ones, and the 137 assays are kept that have 40 active and
40 inactive compounds in the rest and 10 of each among those held out. Compounds that were measured
on none of them are left out. Fingerprints are those of SOURCE.md (ECFP4, 1024 bits).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from comity.data.partition._iid import iid
from comity.data.partition.units import generator, names
from comity.data.stored import read_arrays
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.site import Site
from comity.values.tree import Array

ACTIVE = 650
"""100 times the activity from which on a compound counts as active."""

HELD_OUT_SEED = 2
"""The draw of held-out compounds under which 137 assays are left; with others it is 130 to 145."""


def chembl(partners: int = 8, *, seed: int = 0) -> list[Site]:
    """Partners that measured the same assays on their own compounds.

    17,183 training compounds are dealt to the partners at random, and so are 4,294 held-out compounds to
    their test rows: over all partners each is tested once. x (n, 1024) float32 of 0 and 1; y (n, 137)
    float32: 1 = active, 0 = inactive, NaN = not measured. Stereoisomers share a fingerprint, so that
    some held-out compounds have a twin in the training rows, as in any random split of ChEMBL.
    """
    train, test = _compounds()
    dealt = zip(
        names(partners, "partner"),
        iid(train, sites=partners, seed=seed, test_fraction=0),
        iid(test, sites=partners, seed=seed, test_fraction=0),
        strict=True,
    )
    return [Site(name, _unpacked(own.train), _unpacked(held.train)) for name, own, held in dealt]


def chembl_private_targets(partners: int = 8, *, seed: int = 0) -> list[Site]:
    """Partners that measured different assays: each target belongs to one partner (as in MELLODDY).

    Shapes are those of `chembl`, so one model fits all; a partner's y holds NaN in all columns but its own.
    A partner has every compound that was measured on its targets: compounds may occur at several partners,
    measurements never do, and a held-out compound is held out everywhere. Over all partners each held-out
    measurement is tested once.
    """
    train, test = _compounds()
    targets = train.targets.shape[1]
    if not 1 <= partners <= targets:
        raise InvalidInput(f"partners must be from 1 to {targets}, the number of targets to share out, not {partners}")
    owned = np.array_split(generator(seed, "targets").permutation(targets), partners)
    return [
        Site(name, _of(train, own), _of(test, own)) for name, own in zip(names(partners, "partner"), owned, strict=True)
    ]


def _compounds() -> tuple[Rows, Rows]:
    """(training, held-out) compounds with packed fingerprints and the targets of the kept assays."""
    stored = read_arrays("chembl_multitask/chembl_ecfp4_1024.npz")
    compound, assay, active = stored["row"], stored["col"], stored["pact"] >= ACTIVE
    count, assays = len(stored["fp"]), len(stored["targets"])
    order = np.random.Generator(np.random.PCG64(HELD_OUT_SEED)).permutation(count)
    held = np.isin(np.arange(count), order[: round(count / 5)])
    kept = np.ones(assays, bool)
    for of_class in (active, ~active):
        for of_half, least in ((~held[compound], 40), (held[compound], 10)):
            kept &= np.bincount(assay[of_class & of_half], minlength=assays) >= least
    y = np.full((count, assays), np.nan, np.float32)
    y[compound, assay] = active
    y = y[:, kept]
    measured = (~np.isnan(y)).any(axis=1)  # (compounds,)
    rows = Rows(stored["fp"], y)
    return rows.take(measured & ~held), rows.take(measured & held)


def _of(rows: Rows, targets: Array) -> Rows:
    y = np.full_like(rows.targets, np.nan)
    y[:, targets] = rows.targets[:, targets]
    measured = np.flatnonzero((~np.isnan(y)).any(axis=1))
    return _unpacked(replace(rows, y=y).take(measured))


def _unpacked(rows: Rows) -> Rows:
    return replace(rows, x=np.unpackbits(rows.x, axis=1).astype(np.float32))
