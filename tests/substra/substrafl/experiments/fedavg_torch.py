"""FedAvg of a net by Torch."""

from pathlib import Path

import torch
from hospital import Rows, accuracy, learned, needs, net
from substrafl.algorithms.pytorch import TorchFedAvgAlgo
from substrafl.evaluation_strategy import EvaluationStrategy
from substrafl.experiment import execute_experiment
from substrafl.index_generator import NpIndexGenerator
from substrafl.strategies import FedAvg
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = ["ROWS", "experiment", "learned"]

ROWS = "heart"


class Algorithm(TorchFedAvgAlgo):
    """Adam, whose moments each organization keeps; the scheduler halves its rate every eight batches."""

    def __init__(self):
        model = net()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        super().__init__(
            model=model,
            criterion=torch.nn.BCEWithLogitsLoss(),
            optimizer=optimizer,
            index_generator=NpIndexGenerator(batch_size=16, num_updates=8),
            dataset=Rows,
            scheduler=torch.optim.lr_scheduler.StepLR(optimizer, step_size=8, gamma=0.5),
            seed=1,
        )


def loss(data_from_opener, predictions):
    y = torch.tensor(data_from_opener["y"], dtype=torch.float32)[:, None]
    return float(binary_cross_entropy_with_logits(predictions, y))


def experiment(client, nodes, rounds):
    """The plan of so many rounds; models of rounds that are over are deleted."""
    return execute_experiment(
        client=client,
        strategy=FedAvg(algo=Algorithm(), metric_functions=[accuracy, loss]),
        train_data_nodes=nodes.train,
        aggregation_node=nodes.aggregation,
        evaluation_strategy=EvaluationStrategy(test_data_nodes=nodes.test, eval_rounds=[rounds]),
        num_rounds=rounds,
        experiment_folder="summaries",
        dependencies=needs(__file__),
        clean_models=True,
        name=Path(__file__).stem,
    )
