"""Principal components of all sites' rows.

Pearson, "On lines and planes of closest fit to systems of points in space", 1901. The sums of products
are taken twice: about zero, which gives the mean, then about that mean, where nothing cancels any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from comity.strategies import reading
from comity.values import bounds
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.site import Site
from comity.values.strategy import Given, Memory, Network, Strategy
from comity.values.table import Table
from comity.values.tree import Array, Tree


@final
@dataclass(frozen=True, slots=True)
class State:
    """Mean and covariance of d columns; no covariance before the second round."""

    columns: Tree
    mean: Array | None = None  # (d,)
    covariance: Array | None = None  # (d, d)


@final
@dataclass(frozen=True)
class PCA(Strategy):
    """The directions in which the pooled rows vary most, in two rounds; x is centred but not scaled.

    The entry of a component that is largest in size is positive, so its sign does not hang on chance.
    Components of equal variance are not determined. `predict` gives the coordinates (n, k).

    >>> import numpy as np
    >>> site, pca = Site("A", np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])), PCA(components=1)
    >>> state = pca.init({}, Network(1))
    >>> while not pca.finished(state):
    ...     state = pca.step(state, pca.local(state, {}, site)[0])
    >>> pca.model(state, {})["components"].round(3)
    array([[0.447, 0.894]])
    """

    components: int = 2

    def __post_init__(self) -> None:
        bounds.plain(self)
        bounds.count("components", self.components, least=1)

    def init(self, params: Tree, network: Network) -> State:
        return State({})

    def local(self, state: State, memory: Memory, site: Site) -> Given:
        x = reading.complete(site)
        if self.components > x.shape[1]:
            raise InvalidInput(f"site {site.name!r} has {x.shape[1]} columns, fewer than {self.components} components")
        centred = x if state.mean is None else x - state.mean
        columns = reading.columns(reading.column_names(site))
        sums = {"columns": columns, "sum": centred.sum(axis=0), "products": centred.T @ centred}
        return Contribution(sums, len(x)), memory

    def step(self, state: State, total: Contribution) -> State:
        if total.weight < 2:
            raise InvalidInput(f"PCA needs at least two rows in all, but the sites have {total.weight:g}")
        shift = np.asarray(total.total["sum"]) / total.weight
        if state.mean is None:
            return State(reading.carried(total), shift)
        scatter = np.asarray(total.total["products"]) - total.weight * np.outer(shift, shift)
        return State(reading.carried(total), state.mean + shift, scatter / (total.weight - 1))

    def finished(self, state: State) -> bool:
        return state.covariance is not None

    def model(self, state: State, memory: Memory) -> Tree:
        """mean (d,), components (k, d), variance and its ratio to the whole (k,); {} before the second round."""
        if state.mean is None or state.covariance is None:
            return {}
        values, vectors = np.linalg.eigh(state.covariance)
        values, components = values[::-1].clip(min=0), vectors.T[::-1]
        largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
        components, whole = components * np.sign(largest), values.sum()
        return {
            "mean": state.mean,
            "components": components[: self.components],
            "variance": values[: self.components],
            "ratio": values[: self.components] / (whole if whole > 0 else 1.0),
        }

    def table(self, state: State) -> Table | None:
        """One row a component: variance, ratio, cumulative ratio, then its loading on each column."""
        found = self.model(state, {})
        if not found:
            return None
        variance, ratio, components = (np.asarray(found[key]) for key in ("variance", "ratio", "components"))
        rows = [
            (i + 1, *(float(value) for value in (variance[i], ratio[i], ratio[: i + 1].sum(), *components[i])))
            for i in range(self.components)
        ]
        heads = ("component", "variance", "ratio", "cumulative", *reading.names(state.columns))
        return Table("principal components", heads, rows)

    def predict(self, model: Tree, x: Array) -> Array:
        mean, components = reading.fitted(model, "mean"), reading.fitted(model, "components")
        return (reading.matching(x, len(mean)) - mean) @ components.T  # (n, k)
