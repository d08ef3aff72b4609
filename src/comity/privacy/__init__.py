"""Privacy: what a site's contribution goes through before anybody else sees it, and what that promises.

>>> SecureSum(clip=1.0, bits=32, max_weight=1000).least
3
"""

from comity.privacy.accounting import epsilon, noise_multiplier
from comity.privacy.record_dp import RecordDP
from comity.privacy.secure_sum import SecureSum
from comity.privacy.site_dp import SiteDP
from comity.privacy.statement import Statement
from comity.privacy.warning import PrivacyWarning

__all__ = ["PrivacyWarning", "RecordDP", "SecureSum", "SiteDP", "Statement", "epsilon", "noise_multiplier"]
