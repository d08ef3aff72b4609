"""The torch networks and losses of the demos; importing this needs torch."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


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
