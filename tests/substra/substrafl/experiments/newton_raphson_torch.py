"""Newton-Raphson of a logistic regression by Torch."""

from pathlib import Path

import torch
from hospital import Rows, accuracy, learned, needs
from substrafl.algorithms.pytorch import TorchNewtonRaphsonAlgo
from substrafl.evaluation_strategy import EvaluationStrategy
from substrafl.experiment import execute_experiment
from substrafl.strategies import NewtonRaphson

__all__ = ["ROWS", "experiment", "learned"]

ROWS = "heart"


class Algorithm(TorchNewtonRaphsonAlgo):
    """A regression whose gradient and Hessian leave the organizations."""

    def __init__(self):
        torch.manual_seed(1)
        super().__init__(
            model=torch.nn.Linear(13, 1),
            criterion=torch.nn.BCEWithLogitsLoss(),
            batch_size=32,
            dataset=Rows,
            l2_coeff=0.1,
            seed=1,
        )


def experiment(client, nodes, rounds):
    """The plan of so many rounds."""
    return execute_experiment(
        client=client,
        strategy=NewtonRaphson(algo=Algorithm(), damping_factor=0.8, metric_functions=accuracy),
        train_data_nodes=nodes.train,
        aggregation_node=nodes.aggregation,
        evaluation_strategy=EvaluationStrategy(test_data_nodes=nodes.test, eval_rounds=[rounds]),
        num_rounds=rounds,
        experiment_folder="summaries",
        dependencies=needs(__file__),
        name=Path(__file__).stem,
    )
