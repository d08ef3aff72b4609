"""FedAvg of a logistic regression by scikit-learn, which SubstraFL has no class for, on iris."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from substrafl.algorithms.algo import Algo
from substrafl.dependency import Dependency
from substrafl.evaluation_strategy import EvaluationStrategy
from substrafl.experiment import execute_experiment
from substrafl.remote import remote_data
from substrafl.strategies import FedAvg
from substrafl.strategies.schemas import FedAvgSharedState, StrategyName

ROWS = "iris"
KEPT = [{"round_idx": 1}, {"rank_idx": 1}]
"""States before the last, which are there as well: none is deleted."""


class Regression(Algo):
    """A regression that goes on from where it was: by the mean of the updates."""

    def __init__(self, seed):
        super().__init__(seed=seed)
        self._model = LogisticRegression(warm_start=True, max_iter=300, random_state=seed)
        self._model.classes_ = np.arange(3)
        self._model.coef_ = np.zeros((3, 4))
        self._model.intercept_ = np.zeros(3)

    @property
    def strategies(self):
        return [StrategyName.FEDERATED_AVERAGING]

    @property
    def model(self):
        return self._model

    @remote_data
    def train(self, data_from_opener, shared_state=None):
        if shared_state is not None:
            coefficients, intercept = shared_state.avg_parameters_update
            self._model.coef_ = self._model.coef_ + coefficients
            self._model.intercept_ = self._model.intercept_ + intercept
        before = self._model.coef_.copy(), self._model.intercept_.copy()
        self._model.fit(data_from_opener["x"], data_from_opener["y"])
        after = self._model.coef_.copy(), self._model.intercept_.copy()
        self._model.coef_, self._model.intercept_ = before
        updates = [new - old for new, old in zip(after, before, strict=True)]
        return FedAvgSharedState(n_samples=len(data_from_opener["y"]), parameters_update=updates)

    def predict(self, data_from_opener, shared_state=None):
        return self._model.predict(data_from_opener["x"])

    def save_local_state(self, path):
        with path.open("wb") as file:
            np.savez(file, coef=self._model.coef_, intercept=self._model.intercept_)

    def load_local_state(self, path):
        with np.load(path) as saved:
            self._model.coef_, self._model.intercept_ = saved["coef"], saved["intercept"]
        return self


def accuracy(data_from_opener, predictions):
    return accuracy_score(data_from_opener["y"], predictions)


def experiment(client, nodes, rounds):
    """The plan of so many rounds, measured before each and after the last."""
    return execute_experiment(
        client=client,
        strategy=FedAvg(algo=Regression(seed=1), metric_functions=accuracy),
        train_data_nodes=nodes.train,
        aggregation_node=nodes.aggregation,
        evaluation_strategy=EvaluationStrategy(test_data_nodes=nodes.test, eval_frequency=1),
        num_rounds=rounds,
        experiment_folder="summaries",
        dependencies=Dependency(
            pypi_dependencies=[f"{each}=={version(each)}" for each in ("numpy", "scikit-learn")],
            local_code=[Path(__file__)],
        ),
        clean_models=False,
        name=Path(__file__).stem,
    )


def learned(algo):
    return {"coef": algo.model.coef_, "intercept": algo.model.intercept_}
