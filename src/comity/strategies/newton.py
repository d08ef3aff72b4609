"""Newton-Raphson on a convex loss whose value, gradient and Hessian are sums over the sites.

Nocedal and Wright, "Numerical Optimization", 2nd ed. 2006, section 3.3, with step halving: a step that
does not lower the objective is halved and the sites are asked again. The objective is
loss + rows · Σ ridge_j coef_j², that is mean loss + l2 · ‖coef‖² times the rows.

A loss whose minimum lies at infinity (separated classes, a monotone likelihood) is recognized by the
last move itself: if no row is worse off along it and some row is much better off, going on for ever
never stops helping (Albert and Anderson, "On the existence of maximum likelihood estimates in logistic
regression models", Biometrika 71, 1984).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from comity.strategies import reading
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.tree import Array, Tree

CLOSE = 1e-9
"""In standard errors: fitted when the next move would be smaller, in any direction."""
SLOPE = 1e-6
"""Below it a move that does not shrink is rounding; Newton's moves square themselves there."""
DEPENDENT = 1e-10
"""A column is a sum of others when they leave less than this share of its variation."""
ROUNDS = 100


@final
@dataclass(frozen=True, slots=True)
class State:
    """Where the search stands: the best point so far, all that is known there, and the point to try next."""

    columns: Tree
    round: int = 0
    trial: Array | None = None  # (d,) where the sites compute next; zeros at first
    coef: Array | None = None  # (d,)
    covariance: Array | None = None  # (d, d) inverse of the Hessian of the objective at coef
    objective: float = 0.0
    loss: float = 0.0
    """Without the ridge, at coef."""
    loss_at_zero: float | None = None
    """None when other sites took part since."""
    decrement: float = 0.0
    """Length of the next move in standard errors."""
    rows: int = 0
    events: int = 0
    """Rows of class 1, or events."""
    sites: int = 0
    done: bool = False


@final
@dataclass(frozen=True, slots=True)
class Local:
    """What one site's rows say at a point: sums over its rows."""

    loss: float
    gradient: Array  # (d,)
    hessian: Array  # (d, d)
    margins: Array  # (m,) how much better off each row is after the last move; at most how much worse, if negative
    events: int


def points(state: State, d: int) -> tuple[Array, Array]:
    """Where to compute (d,), and the last move that led there (d,)."""
    trial = np.zeros(d) if state.trial is None else state.trial
    return trial, np.zeros(d) if state.coef is None else trial - state.coef


def contribution(local: Local, columns: Sequence[str], rows: int) -> Contribution:
    """The sums of one site, whatever its number of rows."""
    sums: Tree = {
        "columns": reading.columns(columns),
        "loss": np.asarray(local.loss),
        "gradient": local.gradient,
        "hessian": local.hessian,
        "better": np.asarray((local.margins > 0.5).sum()),
        "worse": np.asarray((local.margins < -1e-6).sum()),
        "events": np.asarray(local.events),
        "sites": np.asarray(1),
    }
    return Contribution(sums, rows)


def step(state: State, total: Contribution, ridge: Array) -> State:
    """The next point to try, for a ridge (d,).

    Raises InvalidInput when columns depend on each other and when the minimum lies at infinity.
    """
    sums = {key: np.asarray(value) for key, value in total.total.items() if key != "columns"}
    rows, loss, gradient, hessian = total.weight, float(sums["loss"]), sums["gradient"], sums["hessian"]
    columns = reading.carried(total)
    trial, move = points(state, len(gradient))
    if sums["better"] > 0 and sums["worse"] == 0 and not (ridge * move).any():
        raise _runaway(reading.names(columns), move)
    if state.round == ROUNDS:
        raise InvalidInput(f"no minimum was found in {ROUNDS} rounds; rescale the columns of x or set l2 above 0")
    objective = loss + rows * float(ridge @ trial**2)
    # A lost or a new site changes the objective, which can then not be compared with the last one.
    comparable = (rows, sums["events"], sums["sites"]) == (state.rows, state.events, state.sites)
    if comparable and objective > state.objective + 1e-12 * (1 + abs(state.objective)):
        return replace(state, round=state.round + 1, trial=trial - move / 2)
    gradient = gradient + 2 * rows * ridge * trial
    hessian = hessian + 2 * rows * np.diag(ridge)
    if state.coef is None:
        independent(hessian, reading.names(columns))
    try:
        covariance = inverse(hessian)
    except np.linalg.LinAlgError:
        raise _runaway(reading.names(columns), move) from None
    decrement = float(gradient @ covariance @ gradient) ** 0.5
    stuck = decrement < SLOPE and state.coef is not None and decrement > state.decrement / 2
    done = sums["better"] == 0 and (decrement < CLOSE or stuck)
    return State(
        columns=columns,
        round=state.round + 1,
        trial=trial if done else trial - covariance @ gradient,
        coef=trial,
        covariance=covariance,
        objective=objective,
        loss=loss,
        loss_at_zero=loss if state.coef is None else state.loss_at_zero if comparable else None,
        decrement=decrement,
        rows=int(rows),
        events=int(sums["events"]),
        sites=int(sums["sites"]),
        done=bool(done),
    )


def inverse(matrix: Array) -> Array:
    """The inverse of a positive definite matrix (d, d), scaled to a unit diagonal first.

    Raises numpy's LinAlgError when it is not positive definite.
    """
    diagonal = np.diag(matrix)
    if not (diagonal > 0).all():
        raise np.linalg.LinAlgError
    scale = np.sqrt(diagonal)
    half = np.linalg.inv(np.linalg.cholesky(matrix / np.outer(scale, scale)))
    return half.T @ half / np.outer(scale, scale)


def independent(matrix: Array, names: Sequence[str]) -> None:
    """Raises InvalidInput that names each column of X which is a sum of those before it, from X'WX (d, d).

    A Cholesky factorization that leaves such columns out.

    >>> independent(np.array([[1.0, 2.0], [2.0, 4.0]]), ["a", "twice a"])
    Traceback (most recent call last):
    comity.values.errors.InvalidInput: twice a does not vary or follows from the columns before it; leave it out or set l2 above 0
    """  # noqa: E501
    rest, dependent = matrix.copy(), list[str]()
    for j, name in enumerate(names):
        if rest[j, j] <= DEPENDENT * matrix[j, j]:
            dependent.append(name)
        else:
            rest = rest - np.outer(rest[:, j], rest[j]) / rest[j, j]
    if len(dependent) == 1:
        raise InvalidInput(
            f"{dependent[0]} does not vary or follows from the columns before it; leave it out or set l2 above 0"
        )
    if dependent:
        raise InvalidInput(
            f"{len(dependent)} columns do not vary or follow from the columns before them: {', '.join(dependent)}; "
            "leave them out or set l2 above 0"
        )


def _runaway(names: Sequence[str], move: Array) -> InvalidInput:
    largest = np.abs(move) > 0.1 * np.abs(move).max(initial=0.0)
    growing = ", ".join(name for name, grows in zip(names, largest, strict=True) if grows)
    return InvalidInput(
        "no finite estimate exists: these columns separate the outcomes perfectly, so that their coefficients grow "
        f"without end: {growing}; leave such columns out, merge rare levels, or set l2 above 0"
    )
