"""The picture of the lab: images as an attacker has them, and how well members are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comity.engine.figure import GROUPS, INK, SITE, plain
from comity.faces.demos.privacy.lab import Finding, Lab
from comity.privacy.attacks import Separation
from comity.values.tree import Array

SHOWN = 7
"""Images of the first hospital, as they come."""

GAP = 4
"""Pixels between two of them."""


class Strip(NamedTuple):
    """One line of pictures."""

    label: str
    images: Array
    psnr: Array | None


def drawing(lab: Lab) -> Figure:
    """Images on the left, each with its PSNR; ROC curves on the right, on logarithmic axes."""
    made = Figure(figsize=(13, 8.2), layout="constrained")
    left, right = np.asarray(made.subfigures(1, 2, width_ratios=(1.35, 1)))
    made.suptitle(lab.title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=INK)
    strips = _strips({each.setting.name: each for each in lab.findings})
    for axes, strip in zip(left.subplots(len(strips)), strips, strict=True):
        _strip(axes, strip)
    _curves(right.subplots(), lab.findings)
    return made


def _strips(findings: dict[str, Finding]) -> list[Strip]:
    """What the attacker of tampered parameters sees of the first hospital's images."""
    nothing, secure, dp, both = (findings[name].tampered for name in ("nothing", "secure sum", "DP", "both"))
    return [
        Strip("images at\nHospital A", nothing.truth, None),
        Strip("nothing:\nits own part", nothing.parts.found, nothing.parts.psnr),
        Strip("secure sum:\nits masked part", secure.parts.read, secure.parts.read_psnr),
        Strip("secure sum:\nthe sum of all", secure.total.found, secure.total.psnr),
        Strip("DP: its own\npart, as read", dp.parts.read, dp.parts.read_psnr),
        Strip("DP: the best\nguess", dp.parts.found, dp.parts.psnr),
        Strip("both: the sum,\nas read", both.total.read, both.total.read_psnr),
    ]


def _strip(axes: Axes, strip: Strip) -> None:
    """All images of a line in one: axes for each would take most of the time that a picture takes."""
    side = round(strip.images.shape[1] ** 0.5)
    apart = ((0, 0), (0, 0), (0, GAP))
    framed = np.pad(
        strip.images[:SHOWN].reshape(-1, side, side), apart, constant_values=np.nan
    )  # (n, side, side + gap)
    axes.imshow(np.hstack(list(framed))[:, :-GAP], cmap="gray", vmin=0, vmax=1)
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    axes.set_xticks([])
    if strip.psnr is not None:
        said = [f"{each:.0f} dB" for each in strip.psnr[:SHOWN]]
        middles = [(side - 1) / 2 + at * (side + GAP) for at in range(len(said))]
        axes.set_xticks(middles, said, fontsize=8, color=INK)
        axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, pad=2)
    axes.set_ylabel(strip.label, rotation=0, ha="right", va="center", fontsize=9, color=INK, labelpad=8)


def _curves(axes: Axes, findings: Sequence[Finding]) -> None:
    least = 1e-3
    diagonal = np.geomspace(least, 1, 50)
    axes.plot(diagonal, diagonal, "--", color=SITE, linewidth=1.2, label="guessing")
    for color, finding in zip(GROUPS, findings, strict=False):
        best: Separation = finding.members.best
        axes.plot(*best.curve, color=color, linewidth=2, label=f"{finding.setting.name}: AUC {best.auc:.3f}")
    axes.axvline(0.01, color=SITE, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(least, 1)
    axes.set_ylim(least, 1)
    axes.set_xlabel("images of nobody taken for members (FPR)", color=INK)
    axes.set_ylabel("members found (TPR)", color=INK)
    axes.set_title("Membership inference, LiRA", loc="left", fontsize=11, color=INK)
    axes.set_box_aspect(1)
    plain(axes)
    axes.legend(frameon=False, fontsize=9, loc="upper left")
