"""Privacy: what a site's contribution goes through before anybody else sees it.

>>> SecureSum(clip=1.0, bits=32, max_weight=1000).least
3
"""

from comity.privacy.secure_sum import SecureSum

__all__ = ["SecureSum"]
