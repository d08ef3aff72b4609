"""Attacks on what leaves a site: for owners who want to know what their updates tell, and for our own tests.

None is faked or weakened: each is the published one, told all that a member of a channel may know.

>>> import numpy as np
>>> gradient, error = np.array([[0.2, 0.4]]), np.array([0.4])
>>> rows_of(gradient, error)
array([[0.5, 1. ]])
"""

from comity.privacy.attacks.inversion import active, imprint, rows_of, single_bins, with_prior
from comity.privacy.attacks.membership import logits, memberships
from comity.privacy.attacks.success import Separation, best_psnr, clopper_pearson, psnr, separation

__all__ = [
    "Separation",
    "active",
    "best_psnr",
    "clopper_pearson",
    "imprint",
    "logits",
    "memberships",
    "psnr",
    "rows_of",
    "separation",
    "single_bins",
    "with_prior",
]
