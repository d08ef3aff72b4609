"""What is said of an experiment that protects one thing and not the other."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from comity.privacy.record_dp import RecordDP
from comity.privacy.secure_sum import SecureSum
from comity.privacy.site_dp import SiteDP
from comity.values.transform import Transform

NO_NOISE = (
    "SecureSum hides whose a number is and not what the sum tells of a record; differential privacy limits that: add "
    "co.privacy.RecordDP or SiteDP"
)
NO_MASKS = (
    "{name} limits what is told of a {unit} and does not hide whose a contribution is: who adds them up sees each; add "
    "co.privacy.SecureSum"
)


class PrivacyWarning(UserWarning):
    """Sums are made securely without differential privacy, or the other way round."""


def warn(privacy: Sequence[Transform]) -> None:
    """Warns in one sentence of what these settings of an experiment leave open."""
    secure = any(isinstance(each, SecureSum) for each in privacy)
    private = [each for each in privacy if isinstance(each, RecordDP | SiteDP)]
    if secure and not private:
        warnings.warn(NO_NOISE, PrivacyWarning, stacklevel=5)
    if private and not secure:
        unit = "record" if isinstance(private[0], RecordDP) else "site"
        said = NO_MASKS.format(name=type(private[0]).__name__, unit=unit)
        warnings.warn(said, PrivacyWarning, stacklevel=5)


@contextmanager
def said_before() -> Generator[None]:
    """Within it nothing is said of experiments: whoever made them was told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivacyWarning)
        yield
