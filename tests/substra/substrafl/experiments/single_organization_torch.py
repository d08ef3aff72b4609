"""A net that one organization trains alone by Torch, and others test."""

from pathlib import Path

import torch
from hospital import Rows, accuracy, learned, needs, net
from substrafl.algorithms.pytorch import TorchSingleOrganizationAlgo
from substrafl.evaluation_strategy import EvaluationStrategy
from substrafl.experiment import execute_experiment
from substrafl.index_generator import NpIndexGenerator
from substrafl.strategies import SingleOrganization

__all__ = ["ROWS", "experiment", "learned"]

ROWS = "heart"


class Algorithm(TorchSingleOrganizationAlgo):
    """Plain steps."""

    def __init__(self):
        model = net()
        super().__init__(
            model=model,
            criterion=torch.nn.BCEWithLogitsLoss(),
            optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
            index_generator=NpIndexGenerator(batch_size=16, num_updates=8),
            dataset=Rows,
            seed=1,
        )


def experiment(client, nodes, rounds):
    """The plan of so many rounds."""
    return execute_experiment(
        client=client,
        strategy=SingleOrganization(algo=Algorithm(), metric_functions=accuracy),
        train_data_nodes=nodes.train[:1],
        evaluation_strategy=EvaluationStrategy(test_data_nodes=nodes.test, eval_rounds=[rounds]),
        num_rounds=rounds,
        experiment_folder="summaries",
        dependencies=needs(__file__),
        name=Path(__file__).stem,
    )
