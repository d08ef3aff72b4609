"""Images read off one update: analytic gradient inversion of the first layer, in the first round.

Phong et al. 2017, Geiping et al. 2020; with parameters that an attacker wrote, Fowl et al. 2022: see
`comity.privacy.attacks.inversion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import inf, sqrt
from typing import final

import numpy as np
from torch.nn.functional import binary_cross_entropy_with_logits

from comity.engine.experiment import Experiment
from comity.faces.demos.networks import imprinted_network, wide_network
from comity.faces.demos.privacy.leaving import seen
from comity.faces.demos.privacy.settings import Setting
from comity.frameworks.torch import Model
from comity.privacy.attacks import active, best_psnr, rows_of, single_bins, with_prior
from comity.privacy.attacks.success import EXACT
from comity.strategies import FedAvg
from comity.values import tree
from comity.values.contribution import Contribution
from comity.values.model import Train
from comity.values.optimizer import SGD
from comity.values.site import Site
from comity.values.tree import Array, Tree

RATE, CLIP = 1.0, 1.0


def experiment(setting: Setting, *, tampered: bool) -> Experiment:
    """One step along all of a hospital's images, whose parameters torch drew, or an attacker wrote."""
    return Experiment(
        model=Model(imprinted_network if tampered else wide_network, binary_cross_entropy_with_logits),
        train=Train(optimizer=SGD(lr=RATE), batch_size=0, steps=1),
        strategy=FedAvg(),
        privacy=setting.privacy(CLIP),
    )


@final
@dataclass(frozen=True, kw_only=True)
class View:
    """Each image beside what an attack found that is most like it, in two ways."""

    read: Array
    """Found (n, 784), as the numbers say."""
    read_psnr: Array
    """Of what was read, in dB (n,)."""
    likeliest: Array
    """Found (n, 784), in the light of what such images look like, and of the protection that is said to be on."""
    likeliest_psnr: Array
    """Of the likeliest, in dB (n,)."""

    @property
    def psnr(self) -> Array:
        """Of the better of both, in dB (n,): a protection that is said to be on, and is not, does not pass for one."""
        return np.maximum(self.read_psnr, self.likeliest_psnr)

    @property
    def found(self) -> Array:
        """The better of both (n, 784)."""
        return np.where((self.read_psnr > self.likeliest_psnr)[:, np.newaxis], self.read, self.likeliest)

    @property
    def exact(self) -> int:
        """How many nobody would tell from the image."""
        return int((self.psnr > EXACT).sum())

    @property
    def median(self) -> float:
        """Of all images' PSNR."""
        return float(np.median(self.psnr))


@final
@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What one setting lets an attacker see."""

    setting: Setting
    tampered: bool
    epsilon: float | None
    truth: Array = field(repr=False)
    """All hospitals' images (n, 784)."""
    parts: View
    """In what each hospital sent, its own images: whose they are is then known."""
    total: View
    """In the sum, all hospitals' images: whose one is is not known."""

    @property
    def best(self) -> View:
        """What shows more."""
        return max(self.parts, self.total, key=lambda view: view.median)


@final
@dataclass(frozen=True)
class Public:
    """What an attacker knows of such images beforehand."""

    mean: Array
    deviation: float


def attacked(setting: Setting, sites: Sequence[Site], public: Public, *, tampered: bool) -> Pictures:
    """The attack on what each site sent, and on the sum."""
    made = experiment(setting, tampered=tampered)
    (first,) = seen(made, sites)
    noise, epsilon = 0.0, None
    if (dp := made.record_dp) is not None and made.train is not None:
        mechanism = dp.mechanism(len(sites[0].train), made.train, made.trainings)
        noise, epsilon = RATE * CLIP * mechanism.noise_multiplier, dp.statement(mechanism).epsilon
    images = {site.name: site.train.x.reshape(len(site.train), -1).astype(np.float64) for site in sites}

    def view(contribution: Contribution, truth: Array, deviation: float) -> View:
        read, likeliest = _found(contribution, first.before, public, noise=deviation, tampered=tampered)
        (read_psnr, as_read), (likeliest_psnr, which) = best_psnr(truth, read), best_psnr(truth, likeliest)
        return View(read=read[as_read], read_psnr=read_psnr, likeliest=likeliest[which], likeliest_psnr=likeliest_psnr)

    parts = [view(first.parts[name], images[name], inf if setting.secure else noise) for name in images]
    truth = np.concatenate(list(images.values()))
    return Pictures(
        setting=setting,
        tampered=tampered,
        epsilon=epsilon,
        truth=truth,
        parts=_together(parts),
        total=view(first.total, truth, noise * sqrt(len(sites))),
    )


def _found(
    contribution: Contribution, params: Tree, public: Public, *, noise: float, tampered: bool
) -> tuple[Array, Array]:
    """(what the first layer's numbers say (k, 784), the likeliest images (k, 784)), both as pictures in [0, 1]."""
    weight, bias = (tree.flatten(contribution.total)[name].astype(np.float64) for name in ("1.weight", "1.bias"))
    if tampered:
        weight, bias = single_bins(weight, bias, tree.flatten(params)["3.weight"][0])
        noise *= sqrt(2)  # that of two neighbours
    rows, errors = rows_of(weight, bias), bias[active(weight, bias)]
    likeliest = with_prior(rows, errors, noise=noise, most=RATE * CLIP, mean=public.mean, deviation=public.deviation)
    return np.clip(rows, 0, 1), np.clip(likeliest, 0, 1)


def _together(views: Sequence[View]) -> View:
    return View(**{each.name: np.concatenate([getattr(view, each.name) for view in views]) for each in fields(View)})
