"""Real data sets, each with its terms, and ways to split one data set over sites.

>>> from comity import data
>>> [site.name for site in data.heart()]
['Cleveland', 'Hungary', 'Switzerland', 'VA']

A loader reads its files when it is called, checks their SHA-256, and keeps nothing. Where the data come
from and what may be done with them is in `files/NAME/SOURCE.md` and in `terms(name)`.
"""

from comity.data import partition
from comity.data._catalog import catalog, terms
from comity.data.chembl_multitask import chembl, chembl_private_targets
from comity.data.heart_disease import heart
from comity.data.mnist10k import mnist
from comity.data.tcga_brca import brca
from comity.data.ultrasound import breastmnist, two_hospitals
from comity.data.wisconsin import breast_cancer

__all__ = [
    "brca",
    "breast_cancer",
    "breastmnist",
    "catalog",
    "chembl",
    "chembl_private_targets",
    "heart",
    "mnist",
    "partition",
    "terms",
    "two_hospitals",
]
