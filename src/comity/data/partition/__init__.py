"""Ways to split one data set over sites, for experiments.

Each takes rows and gives sites in the order of their names, the same for the same seed; `test_fraction` of
each site becomes its test rows. Every row goes to one site (`prevalence` and `hospitals` leave rows over).

What is dealt is a row; where `rows.ids` says whom the rows belong to, it is a patient with all of their
rows. Then every count, share and fraction here is one of patients, a patient's class is the most frequent
one among their rows (the smaller one if two are equally frequent), and no patient is ever in two sites
or in both training and test rows.

>>> import numpy as np
>>> from comity.values.rows import Rows
>>> rows = Rows(x=np.arange(20.0)[:, None], y=np.repeat([0, 1], 10))
>>> [len(site.train) for site in quantity(rows, sites=4, sizes="linear", test_fraction=0)]
[2, 4, 6, 8]
"""

from comity.data.partition._dirichlet import dirichlet
from comity.data.partition._feature_shift import feature_shift
from comity.data.partition._hospitals import Hospital, hospitals
from comity.data.partition._iid import iid
from comity.data.partition._natural import natural
from comity.data.partition._pathological import pathological
from comity.data.partition._plot import plot
from comity.data.partition._prevalence import prevalence
from comity.data.partition._quantity import quantity
from comity.data.partition._summary import summary
from comity.data.partition._together import together
from comity.values.fingerprint import fingerprint

__all__ = [
    "Hospital",
    "dirichlet",
    "feature_shift",
    "fingerprint",
    "hospitals",
    "iid",
    "natural",
    "pathological",
    "plot",
    "prevalence",
    "quantity",
    "summary",
    "together",
]
