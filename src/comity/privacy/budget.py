"""A dataset's privacy budget: what was reserved and what was spent, as lines that are only ever added.

An experiment's (ε, δ) is reserved before its first attempt on the data, charged whole by its first commit, and given
back only if it ended without any: what a part of its rounds would have cost is less, but not in proportion. Experiments
compose by adding up (Dwork and Roth, "The Algorithmic Foundations of Differential Privacy", 2014, theorem 3.16), which
holds whatever they are, whoever ran them, and however one was chosen by the results of another.

A run has a line for each unit of which it limits what it tells, whichever the budget is of. So where the owner has a
budget for another unit from then on, what was spent of it is known: without end, by a run that has no such line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeAlias, final

import msgspec
from msgspec import Meta

from comity.values.digest import Digest, canonical, digest
from comity.values.errors import Conflict, Forbidden

Does: TypeAlias = Literal["reserve", "charge", "release"]

Unit: TypeAlias = Literal["record", "site"]

AFTER: Mapping[Does | None, frozenset[Does]] = {
    None: frozenset({"reserve"}),
    "reserve": frozenset({"charge", "release"}),
    "release": frozenset({"reserve"}),
    "charge": frozenset(),
}
"""What may follow of one run."""

FIRST = digest(b"")
"""What the first line follows."""


@final
class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a ledger. Its neighbours are zero-out; δ is at the same run's ε."""

    dataset: str
    run: str
    """The compute plan's key."""
    organization: str
    """Whose run it is."""
    does: Does
    epsilon: Annotated[float, Meta(gt=0)]
    delta: Annotated[float, Meta(ge=0, lt=1)]
    at: Annotated[int, Meta(ge=0)]
    """Milliseconds since 1970."""
    before: str
    """The digest of the line before, of the same dataset."""
    unit: Unit = "record"
    """Whose data ε and δ are of."""

    @property
    def digest(self) -> Digest:
        """What it, and with it all lines before, is known by."""
        return digest(canonical(msgspec.to_builtins(self)))


@final
@dataclass(frozen=True)
class Spent:
    """What a dataset's lines add up to."""

    last: Mapping[tuple[str, Unit], Line]
    """Of each run and unit."""
    root: Digest
    unit: Unit = "record"
    """Whose budget is looked at."""

    @property
    def charged(self) -> tuple[float, float]:
        """(ε, δ) that is spent; ε is infinite where a run had none for this unit."""
        return self._sum("charge")

    @property
    def reserved(self) -> tuple[float, float]:
        """(ε, δ) of runs under way that have left nothing yet."""
        return self._sum("reserve")

    def _sum(self, does: Does) -> tuple[float, float]:
        held = [line for line in self.last.values() if line.does == does and line.unit == self.unit]
        delta = math.fsum(line.delta for line in held)
        if any(self.last[run, unit].does == does for run, unit in self.last if (run, self.unit) not in self.last):
            return math.inf, delta
        return math.fsum(line.epsilon for line in held), delta


def spent(lines: Iterable[Line], unit: Unit = "record") -> Spent:
    """What lines of one dataset add up to; raises Conflict where one does not follow the one before it."""
    last, root = dict[tuple[str, Unit], Line](), FIRST
    for line in lines:
        if line.before != root:
            raise Conflict(f"a line of the ledger of {line.dataset} is missing before that of {line.run}")
        _check_after(last.get((line.run, line.unit)), line)
        last[line.run, line.unit], root = line, line.digest
    return Spent(last, root, unit)


def next_line(before: Spent, line: Line, *, epsilon: float, delta: float) -> Line | None:
    """The line as it comes next, or None when the run has done that already.

    epsilon, delta: the dataset's budget, infinite where it has none for the line's unit. Raises Forbidden for a
    reservation that would overspend it, and by how much.
    """
    own = {other: held for other, held in before.last.items() if other[0] != line.run or other[1] == line.unit}
    before = replace(before, last=own)  # its line for the other unit says nothing of this one
    last = before.last.get((line.run, line.unit))
    if last is not None and last.does == line.does == "reserve":
        _check_room(before, line, asks=(0.0, 0.0), epsilon=epsilon, delta=delta)  # the budget may have become less
    if last is not None and (last.does == line.does or last.does == "charge"):
        return None
    if line.does == "reserve":
        _check_room(before, line, asks=(line.epsilon, line.delta), epsilon=epsilon, delta=delta)
    line = msgspec.structs.replace(line, before=before.root)
    _check_after(last, line)
    return line


def over(before: Spent, *, asks: tuple[float, float], epsilon: float, delta: float) -> tuple[float, float]:
    """(ε, δ) by which a run that asks for so much would overspend; 0 where it would not."""
    used = [sum(each) for each in zip(before.charged, before.reserved, asks, strict=True)]
    slack = 1 + 1e-9  # ten times 0.1 is a little more than 1
    more = [has - of * slack if has > of * slack else 0.0 for has, of in zip(used, (epsilon, delta), strict=True)]
    return more[0], more[1]


def spent_without_end(unit: Unit) -> str:
    """Why a budget for a unit allows nothing after runs that limited nothing of it, and what to do."""
    return f"earlier runs had no ε of a {unit}, and spent without end; keep the budget for the unit that it was for"


def _check_room(before: Spent, line: Line, *, asks: tuple[float, float], epsilon: float, delta: float) -> None:
    more = over(before, asks=asks, epsilon=epsilon, delta=delta)
    if any(more):
        charged, reserved = before.charged, before.reserved
        if math.isinf(charged[0] + reserved[0]):
            raise Forbidden(f"the dataset has a privacy budget of ε = {epsilon:g}, but {spent_without_end(line.unit)}")
        names = [f"{name} by {by:.4g}" for name, by in zip("εδ", more, strict=True) if by]
        raise Forbidden(
            f"this would overspend the privacy budget of the dataset: {' and '.join(names)}. Of ε = {epsilon:g}, "
            f"{charged[0]:.4g} are spent and {reserved[0]:.4g} reserved, and this run asks for {line.epsilon:.4g}"
        )


def _check_after(last: Line | None, line: Line) -> None:
    if line.does not in AFTER[last.does if last else None]:
        raise Conflict(f"the run {line.run} cannot {line.does} after {last.does if last else 'nothing'}")
    if last is not None and line.does != "reserve" and (last.epsilon, last.delta) != (line.epsilon, line.delta):
        raise Conflict(f"the run {line.run} has reserved ε = {last.epsilon:g}, and not {line.epsilon:g}")
