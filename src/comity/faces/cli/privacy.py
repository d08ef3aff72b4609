"""`comity privacy`: what this organization's datasets have to spend, what was spent, and what would fit."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from comity.faces.cli.asking import Answer, asking
from comity.sdk.client import Client
from comity.values.errors import InvalidInput, unknown
from comity.values.table import Table


@asking
def command(
    client: Client,
    dataset: Annotated[str, typer.Argument(help="Its name or key; all without one.")] = "",
    history: Annotated[bool, typer.Option("--history", help="Every line of its ledger.")] = False,
    epsilon: Annotated[float, typer.Option(help="What if a run asked for so much?")] = 0.0,
    delta: Annotated[float, typer.Option(help="At this δ.")] = 0.0,
) -> Answer:
    """Show the privacy budgets of this organization's datasets: what is spent, reserved and left.

    A budget is for each record or for the whole site, its neighbours zero-out. Lines are only ever added; their digest
    stands in the log, with the task that added the last.
    """
    found = client.get("/budget/")
    if dataset:
        names = [name for each in found for name in (each["name"], each["dataset"])]
        found = [each for each in found if dataset in (each["name"], each["dataset"])]
        if not found:
            raise unknown("dataset with a budget", dataset, names)
    if history:
        rows = [
            (
                *(each["name"], said["at"], said["organization"], said["run"], said["does"]),
                *(said["epsilon"], said["delta"], said.get("unit", "record")),
            )
            for each in found
            for said in each["lines"]
        ]
        return Answer(found, Table("Ledger", ("dataset", "at", "of", "run", "does", "ε", "δ", "for each"), rows))
    if epsilon < 0 or delta < 0:
        raise InvalidInput(f"ε and δ of a run are above 0, not {epsilon:g} and {delta:g}")
    rows = [_row(each, epsilon, delta) for each in found]
    value = [{**each, "left": _left(each), "fits": _fits(each, epsilon, delta)} for each in found]
    asked = (f"ε = {epsilon:g} more",) if epsilon else ()
    columns = ("dataset", "for each", "ε in all", "spent", "reserved", "left", "δ left", *asked)
    return Answer(value, Table("Privacy budgets", columns, rows))


def _row(each: dict[str, Any], epsilon: float, delta: float) -> tuple[Any, ...]:
    left = _left(each)
    return (
        each["name"],
        each["unit"],
        each["budget"]["epsilon"] if each["budget"] else None,
        *(math.inf if each[kind]["epsilon"] is None else each[kind]["epsilon"] for kind in ("charged", "reserved")),
        left and left["epsilon"],
        left and left["delta"],
        *(("fits" if _fits(each, epsilon, delta) else "would overspend",) if epsilon else ()),
    )


def _left(each: dict[str, Any]) -> dict[str, float] | None:
    """What nobody has reserved or spent; None without a budget. Spent without end, as null says, is all of it."""
    if each["budget"] is None:
        return None
    if None in (each["charged"]["epsilon"], each["reserved"]["epsilon"]):
        return {"epsilon": 0.0, "delta": 0.0}
    return {
        name: max(0.0, each["budget"][name] - each["charged"][name] - each["reserved"][name])
        for name in ("epsilon", "delta")
    }


def _fits(each: dict[str, Any], epsilon: float, delta: float) -> bool:
    left = _left(each)
    return left is None or (epsilon <= left["epsilon"] and delta <= left["delta"])
