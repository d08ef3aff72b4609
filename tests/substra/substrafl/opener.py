"""Rows of a hospital: each sample is a folder with the arrays x and y."""

from pathlib import Path

import numpy as np
import substratools as tools


class Rows(tools.Opener):
    def get_data(self, folders):
        return {name: np.concatenate([np.load(Path(folder, f"{name}.npy")) for folder in folders]) for name in "xy"}

    def fake_data(self, n_samples):
        generator = np.random.default_rng(0)
        return {"x": generator.normal(size=(n_samples, 13)), "y": generator.integers(0, 2, n_samples)}
