"""The torch networks and losses of the demos; importing this needs torch."""

from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from comity.privacy.attacks import imprint

UNITS = 1024
"""Of the hidden layer of the networks that are attacked."""

BRIGHTNESS = NormalDist(0.33, 0.08)
"""Mean pixel of an ultrasound image, as public ones have it: all that an attacker's thresholds need."""


def small_cnn() -> nn.Module:
    """Two convolutions for 28×28 images and two classes."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, 2),
    )


def wide_network() -> nn.Module:
    """One hidden layer for 28×28 images and one logit; parameters are torch's own."""
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, UNITS), nn.ReLU(), nn.Linear(UNITS, 1))


def imprinted_network() -> nn.Module:
    """The same network with parameters of an attacker's: an image activates all units up to its own brightness.

    Signs of the last layer alternate, so that the logit stays near 0 and images of either label are told of.
    """
    made = wide_network()
    thresholds = np.array([BRIGHTNESS.inv_cdf((unit + 0.5) / UNITS) for unit in range(UNITS)])
    weight, bias = imprint(28 * 28, thresholds)
    state = {"1.weight": weight, "1.bias": bias, "3.weight": np.resize([1.0, -1.0], (1, UNITS)), "3.bias": np.zeros(1)}
    made.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
    return made


class TrunkAndHeads(nn.Module):
    """Fingerprints of 1,024 bits to 256 hidden units, which all partners share, to one logit for each of 137 assays."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.trunk = nn.Linear(1024, 256)
        self.heads = nn.Linear(256, 137)

    def forward(self, x: Tensor) -> Tensor:
        return self.heads(nn.functional.dropout(torch.relu(self.trunk(x)), 0.2, self.training))


def measured_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over what was measured; a target is NaN where it was not. (n, k) and (n, k)."""
    measured = ~torch.isnan(targets)
    losses = binary_cross_entropy_with_logits(outputs, torch.nan_to_num(targets), reduction="none")
    return (losses * measured).sum() / measured.sum().clamp(min=1)
