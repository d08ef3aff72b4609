"""Strategies: what each site does in a round, and how their contributions move the shared state."""

from comity.strategies.cox import CoxRegression
from comity.strategies.cyclic import Cyclic
from comity.strategies.ditto import Ditto
from comity.strategies.fedadagrad import FedAdagrad
from comity.strategies.fedadam import FedAdam
from comity.strategies.fedavg import FedAvg
from comity.strategies.fedbn import FedBN
from comity.strategies.feddyn import FedDyn
from comity.strategies.fednova import FedNova
from comity.strategies.fedper import FedPer
from comity.strategies.fedprox import FedProx
from comity.strategies.fedyogi import FedYogi
from comity.strategies.histogram import Histogram
from comity.strategies.kaplan_meier import KaplanMeier
from comity.strategies.krum import Krum
from comity.strategies.linear_regression import LinearRegression
from comity.strategies.logistic_regression import LogisticRegression
from comity.strategies.median import Median
from comity.strategies.pca import PCA
from comity.strategies.quantiles import Quantiles
from comity.strategies.scaffold import Scaffold
from comity.strategies.shared_trunk import SharedTrunk
from comity.strategies.statistics import Statistics
from comity.strategies.trimmed_mean import TrimmedMean

__all__ = [
    "PCA",
    "CoxRegression",
    "Cyclic",
    "Ditto",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedBN",
    "FedDyn",
    "FedNova",
    "FedPer",
    "FedProx",
    "FedYogi",
    "Histogram",
    "KaplanMeier",
    "Krum",
    "LinearRegression",
    "LogisticRegression",
    "Median",
    "Quantiles",
    "Scaffold",
    "SharedTrunk",
    "Statistics",
    "TrimmedMean",
]
