"""comity: train and validate models together on data that may not be pooled.

>>> import comity as co
>>> co.FedAvg()
FedAvg(server_lr=1.0, server_momentum=0.0, sites_per_round=0)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comity import compression as compression
    from comity import data as data
    from comity import metrics as metrics
    from comity import privacy as privacy
    from comity import strategies as strategies
    from comity.data import partition as partition
    from comity.engine.auto import Auto as Auto
    from comity.engine.dropout import Dropout as Dropout
    from comity.engine.experiment import Experiment as Experiment
    from comity.engine.plain import Plain as Plain
    from comity.engine.run import Run as Run
    from comity.engine.stopping import EarlyStopping as EarlyStopping
    from comity.engine.tuning import cross_validate as cross_validate
    from comity.faces.compose import connect as connect
    from comity.faces.compose import read_model as read_model
    from comity.faces.compose import simulate as simulate
    from comity.faces.compose import up as up
    from comity.frameworks import numpy as numpy
    from comity.frameworks import sklearn as sklearn
    from comity.frameworks import torch as torch
    from comity.sdk.reading import read_experiment as read_experiment
    from comity.strategies import FedAdam as FedAdam
    from comity.strategies import FedAvg as FedAvg
    from comity.strategies import FedProx as FedProx
    from comity.strategies import Scaffold as Scaffold
    from comity.values import tree as tree
    from comity.values.contribution import Contribution as Contribution
    from comity.values.errors import ComityError as ComityError
    from comity.values.metric import Metric as Metric
    from comity.values.model import Pull as Pull
    from comity.values.model import Train as Train
    from comity.values.optimizer import SGD as SGD
    from comity.values.optimizer import Adam as Adam
    from comity.values.rows import Rows as Rows
    from comity.values.site import Site as Site
    from comity.values.strategy import SeesEach as SeesEach
    from comity.values.strategy import Strategy as Strategy
    from comity.values.table import Table as Table

_MODULES = {
    "compression": "comity.compression",
    "data": "comity.data",
    "metrics": "comity.metrics",
    "numpy": "comity.frameworks.numpy",
    "partition": "comity.data.partition",
    "privacy": "comity.privacy",
    "sklearn": "comity.frameworks.sklearn",
    "strategies": "comity.strategies",
    "torch": "comity.frameworks.torch",
    "tree": "comity.values.tree",
}
_HOMES = {
    "comity.engine.auto": ("Auto",),
    "comity.engine.dropout": ("Dropout",),
    "comity.engine.experiment": ("Experiment",),
    "comity.engine.plain": ("Plain",),
    "comity.engine.run": ("Run",),
    "comity.engine.stopping": ("EarlyStopping",),
    "comity.engine.tuning": ("cross_validate",),
    "comity.faces.compose": ("connect", "read_model", "simulate", "up"),
    "comity.sdk.reading": ("read_experiment",),
    "comity.strategies": ("FedAdam", "FedAvg", "FedProx", "Scaffold"),
    "comity.values.contribution": ("Contribution",),
    "comity.values.errors": ("ComityError",),
    "comity.values.metric": ("Metric",),
    "comity.values.model": ("Pull", "Train"),
    "comity.values.optimizer": ("SGD", "Adam"),
    "comity.values.rows": ("Rows",),
    "comity.values.site": ("Site",),
    "comity.values.strategy": ("SeesEach", "Strategy"),
    "comity.values.table": ("Table",),
}
_NAMES = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_NAMES, *_MODULES])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """The everyday API, imported when first used: `import comity` alone costs next to nothing."""
    if name in _MODULES:
        try:
            return import_module(_MODULES[name])
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise ImportError(f"co.{name} needs an extra: pip install 'comity[{name}]'", name=name) from error
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    elsewhere = name[:1].isupper() and hasattr(import_module("comity.strategies"), name)
    hint = f"; it is co.strategies.{name}" if elsewhere else ""
    raise AttributeError(f"module 'comity' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return list(__all__)
