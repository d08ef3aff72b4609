"""How far each slider goes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

from comity.values.errors import InvalidInput

WRITTEN = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")


@final
@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `least` to `most` in steps."""

    name: str
    """As a reader of an error knows it."""
    least: float
    most: float
    step: float = 1
    unit: str = ""

    def check(self, value: float) -> float:
        """The value; raises InvalidInput for one that is beyond, or between two steps.

        >>> Range("the number of rounds", 1, 50).check(51)
        Traceback (most recent call last):
        comity.values.errors.InvalidInput: the number of rounds must be from 1 to 50, not 51
        """
        if not self.least <= value <= self.most:
            raise InvalidInput(f"{self.name} must be from {self.least:g} to {self.most:g}{self.unit}, not {value:g}")
        steps = value / self.step
        if abs(steps - round(steps)) > 1e-9:
            raise InvalidInput(f"{self.name} goes in steps of {self.step:g}{self.unit}, which {value:g} is not on")
        return value

    def read(self, text: str) -> float:
        """The number that a text is; raises InvalidInput for another text, and as `check` does.

        >>> Range("noise", 0, 2, 0.1).read("0.5")
        0.5
        """
        if not WRITTEN.fullmatch(text):
            raise InvalidInput(f"{self.name} must be a number such as {self.least:g}, not {text[:40]!r}")
        return self.check(float(text))
