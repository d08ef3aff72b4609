"""Compression: contributions that take fewer bytes on their way from a site to their sum.

>>> QSGD().feeds_back
True
"""

from comity.compression.bfloat16 import BFloat16
from comity.compression.qsgd import QSGD

__all__ = ["QSGD", "BFloat16"]
