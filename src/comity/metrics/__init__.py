"""Metrics: at each site sums, and a number from their total, so that pooled is true without pooling.

>>> Auc(bins=1024)
Auc(bins=1024)
"""

from comity.metrics._accuracy import Accuracy
from comity.metrics._auc import Auc
from comity.metrics._average_precision import AveragePrecision
from comity.metrics._balanced_accuracy import BalancedAccuracy
from comity.metrics._brier import Brier
from comity.metrics._calibration_error import CalibrationError
from comity.metrics._concordance import Concordance
from comity.metrics._log_loss import LogLoss
from comity.metrics._mean_absolute_error import MeanAbsoluteError
from comity.metrics._mean_squared_error import MeanSquaredError
from comity.metrics._r2 import R2
from comity.metrics._stratified_concordance import StratifiedConcordance
from comity.metrics.mean import Mean

__all__ = [
    "R2",
    "Accuracy",
    "Auc",
    "AveragePrecision",
    "BalancedAccuracy",
    "Brier",
    "CalibrationError",
    "Concordance",
    "LogLoss",
    "Mean",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "StratifiedConcordance",
    "accuracy",
    "auc",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "calibration_error",
    "concordance",
    "log_loss",
    "mean_absolute_error",
    "mean_squared_error",
    "r2",
    "stratified_concordance",
]

accuracy = Accuracy()
auc = Auc()
average_precision = AveragePrecision()
balanced_accuracy = BalancedAccuracy()
brier = Brier()
calibration_error = CalibrationError()
concordance = Concordance()
log_loss = LogLoss()
mean_absolute_error = MeanAbsoluteError()
mean_squared_error = MeanSquaredError()
r2 = R2()
stratified_concordance = StratifiedConcordance()
