"""FedPCA by Torch: means first, then covariances, then turns of the axes."""

from pathlib import Path

import numpy as np
from hospital import Rows, learned, needs
from substrafl.algorithms.pytorch import TorchFedPCAAlgo
from substrafl.evaluation_strategy import EvaluationStrategy
from substrafl.experiment import execute_experiment
from substrafl.strategies import FedPCA

__all__ = ["ROWS", "experiment", "learned"]

ROWS = "heart"


class Algorithm(TorchFedPCAAlgo):
    """Three of thirteen axes."""

    def __init__(self):
        super().__init__(in_features=13, out_features=3, batch_size=32, dataset=Rows, seed=1)


def explained(data_from_opener, predictions):
    """The share of the variance that the axes hold."""
    return float(np.var(predictions.numpy(), axis=0).sum() / np.var(data_from_opener["x"], axis=0).sum())


def experiment(client, nodes, rounds):
    """The plan of so many rounds."""
    return execute_experiment(
        client=client,
        strategy=FedPCA(algo=Algorithm(), metric_functions=explained),
        train_data_nodes=nodes.train,
        aggregation_node=nodes.aggregation,
        evaluation_strategy=EvaluationStrategy(test_data_nodes=nodes.test, eval_rounds=[rounds]),
        num_rounds=rounds,
        experiment_folder="summaries",
        dependencies=needs(__file__),
        clean_models=False,
        name=Path(__file__).stem,
    )
