"""How a figure is told: the median, and its ratio to the floor of the same turn with quartiles."""

from statistics import median, quantiles


def line(name: str, values: list[float], floor: list[float], scale: float, unit: str, goal: float | None) -> bool:
    """Print one contender; whether it missed its goal."""
    ratios = [value / base for value, base in zip(values, floor, strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    verdict = "" if goal is None else f"  goal {goal:.2f} {'reached' if middle <= goal else 'MISSED'}"
    print(
        f"  {name:24}{median(values) * scale:9.4f} {unit:3}{middle:7.3f}  [{low:.3f}, {high:.3f}]{verdict}", flush=True
    )
    return goal is not None and middle > goal
