"""What came out of a partition, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from comity.data.partition.classes import strata
from comity.values.site import Site, as_sites

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#ee7733", "#004488", "#333333")
"""Told apart by the colour-blind (after Paul Tol's schemes)."""


def plot(sites: Sequence[Site]) -> Figure:
    """A bar for each site, as long as it has training rows and divided by class (or event, for survival).

    Sites stand from the top in the order given. Save it with `figure.savefig("partition.png")`.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    sites = as_sites(sites)
    parts = [site.train.y for site in sites if site.train.y is not None]
    found = strata(parts) if len(parts) == len(sites) else None
    known, codes = found or (["rows"], [np.zeros(len(site.train), np.int64) for site in sites])
    counts = np.stack([np.bincount(own, minlength=len(known)) for own in codes])  # (sites, classes)
    colours = COLOURS if len(known) <= len(COLOURS) else list(colormaps["viridis"](np.linspace(0, 1, len(known))))
    thickness = 0.32 if len(sites) <= 30 else 9.6 / len(sites)
    figure = Figure(
        figsize=(7.2, 1.3 + thickness * len(sites)), dpi=120, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
    )
    axes = figure.add_subplot()
    places = np.arange(len(sites))
    starts = np.cumsum(counts, axis=1) - counts
    for each, name in enumerate(known):
        axes.barh(
            places,
            counts[:, each],
            left=starts[:, each],
            height=0.78,
            color=colours[each],
            edgecolor="white",
            linewidth=0.6 if len(sites) <= 60 else 0,
            label=name,
        )
    shown = range(0, len(sites), 1 if len(sites) <= 40 else -(-len(sites) // 20))
    axes.set_yticks(list(shown), [sites[at].name for at in shown])
    axes.set_ylim(len(sites) - 0.4, -0.6)
    axes.set_xlim(0, 1.03 * counts.sum(axis=1).max())
    axes.set_xlabel("training rows" if len(known) == 1 else "training rows by class")
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    if len(known) > 1:
        figure.legend(loc="outside upper left", ncols=10, frameon=False, handlelength=1, columnspacing=1.2)
    return figure
