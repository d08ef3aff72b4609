"""Our optimizers, by hand and against torch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from comity.values.errors import InvalidInput
from comity.values.optimizer import SGD, Adam, Optimizer

PAIRS: list[tuple[Optimizer, Any]] = [
    (SGD(0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    (SGD(0.1, weight_decay=0.3), lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.3)),
    (SGD(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    (
        SGD(0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    ),
    (Adam(0.01), lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0)),
    (
        Adam(0.05, beta1=0.5, beta2=0.9, epsilon=1e-3, weight_decay=0.2),
        lambda p: torch.optim.AdamW(p, lr=0.05, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.2),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=[repr(ours) for ours, _ in PAIRS])
@pytest.mark.parametrize("on", ["numpy", "torch"])
def test_against_torch(ours: Optimizer, theirs: Any, on: str) -> None:
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(3, 2)), rng.normal(size=4), rng.normal(size=())]
    params: list[Any] = [torch.tensor(p) if on == "torch" else p for p in start]
    expected = [torch.tensor(p, requires_grad=True) for p in start]
    optimizer, slots = theirs(expected), ours.start(params)
    for count in range(1, 21):
        grads = [rng.normal(size=p.shape) for p in start]
        params, slots = ours.step(params, [torch.tensor(g) if on == "torch" else g for g in grads], slots, count)
        for parameter, gradient in zip(expected, grads, strict=True):
            parameter.grad = torch.tensor(gradient)
        optimizer.step()
    for mine, other in zip(params, expected, strict=True):
        np.testing.assert_allclose(np.asarray(mine), other.detach().numpy(), rtol=1e-12, atol=1e-14)


def test_momentum_by_hand() -> None:
    sgd, one = SGD(0.1, momentum=0.5), [np.array([1.0])]
    params, slots = sgd.step(one, one, sgd.start(one), 1)
    assert params[0] == pytest.approx(0.9)
    params, slots = sgd.step(params, one, slots, 2)
    assert params[0] == pytest.approx(0.9 - 0.1 * 1.5)


def test_the_first_step_of_adam_is_the_learning_rate_whatever_the_gradient() -> None:
    for gradient in (1e-3, 1.0, 1e3):
        adam, zero = Adam(0.01), [np.zeros(1)]
        params, _ = adam.step(zero, [np.array([gradient])], adam.start(zero), 1)
        assert params[0] == pytest.approx(-0.01, rel=1e-4)


@pytest.mark.parametrize("ours", [ours for ours, _ in PAIRS], ids=repr)
def test_dtypes_are_kept_and_nothing_given_is_changed(ours: Optimizer) -> None:
    params, grads = [np.ones(3, np.float32)], [np.full(3, 2, np.float32)]
    slots = ours.start(params)
    kept = [[moment.copy() for moment in slot] for slot in slots]
    moved, after = ours.step(params, grads, slots, 1)
    assert all(array.dtype == np.float32 for array in [*moved, *(m for slot in after for m in slot)])
    assert params[0].tolist() == [1, 1, 1]
    assert grads[0].tolist() == [2, 2, 2]
    assert all(
        np.array_equal(a, b) for old, new in zip(kept, slots, strict=True) for a, b in zip(old, new, strict=True)
    )


@pytest.mark.parametrize("make", [SGD, Adam])
@pytest.mark.parametrize("lr", [0, -1, math.inf, math.nan])
def test_a_learning_rate_is_above_zero(make: Any, lr: float) -> None:
    with pytest.raises(InvalidInput, match="lr must be a number above 0"):
        make(lr)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (SGD, {"momentum": 1}, "momentum must be a number of at least 0 and below 1, not 1"),
        (SGD, {"weight_decay": -1}, "weight_decay must be a number of at least 0, not -1"),
        (SGD, {"nesterov": True}, "nesterov needs a momentum"),
        (Adam, {"beta1": 1}, "beta1"),
        (Adam, {"beta2": -0.1}, "beta2"),
        (Adam, {"epsilon": 0}, "epsilon"),
        (SGD, {"momentum": "0.9"}, "momentum must be a number of at least 0 and below 1, not '0.9'"),
        (Adam, {"weight_decay": math.inf}, "weight_decay"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make(0.1, **settings)
