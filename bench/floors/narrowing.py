"""The floor of a compression: numbers read once and written once, in fewer bytes, and the same back again."""

import numpy as np


def narrow(floats: np.ndarray, out: np.ndarray) -> None:
    """Each float read, and an integer written; what it is, is of no interest here."""
    np.copyto(out, floats, casting="unsafe")


def widen_and_add(narrow: np.ndarray, total: np.ndarray) -> None:
    """Each integer read and added to a float64."""
    np.add(total, narrow, out=total, casting="unsafe")
