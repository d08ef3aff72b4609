"""Code: on a network it is reviewed and travels as a bundle."""

from torch import nn


def net() -> nn.Module:
    """One score from 13 features."""
    return nn.Linear(13, 1)
