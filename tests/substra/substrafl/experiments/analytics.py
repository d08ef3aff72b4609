"""Means and standard deviations over the organizations, by a plan that is no training at all."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from substrafl import ComputePlanBuilder
from substrafl.dependency import Dependency
from substrafl.experiment import execute_experiment
from substrafl.remote import remote, remote_data

ROWS = "heart"


class Moments(ComputePlanBuilder):
    """Means first, then the squares of what is left without them."""

    def __init__(self, correction):
        super().__init__(correction=correction)
        self._correction = correction
        self.own_mean = None

    @remote_data
    def add(self, data_from_opener, shared_state=None):
        self.own_mean = data_from_opener["x"].mean(axis=0)
        return {"total": data_from_opener["x"].sum(axis=0), "rows": len(data_from_opener["x"])}

    @remote
    def mean(self, shared_states):
        return {"mean": sum(each["total"] for each in shared_states) / sum(each["rows"] for each in shared_states)}

    @remote_data
    def spread(self, data_from_opener, shared_state):
        squares = ((data_from_opener["x"] - shared_state["mean"]) ** 2).sum(axis=0)
        apart = np.abs(self.own_mean - shared_state["mean"])
        return {"squares": squares, "rows": len(data_from_opener["x"]), "apart": apart}

    @remote
    def deviation(self, shared_states):
        rows = sum(each["rows"] for each in shared_states) - self._correction
        apart = np.max([each["apart"] for each in shared_states], axis=0)
        return {"deviation": np.sqrt(sum(each["squares"] for each in shared_states) / rows), "apart": apart}

    def build_compute_plan(
        self, train_data_nodes, aggregation_node, evaluation_strategy, num_rounds, clean_models=True
    ):
        everybody = {node.organization_id for node in train_data_nodes} | {aggregation_node.organization_id}
        local, total = None, None
        for site, centre in ((self.add, self.mean), (self.spread, self.deviation)):
            states = [
                node.update_states(
                    site(node.data_sample_keys, shared_state=total),
                    local_state=local and local[position],
                    authorized_ids={node.organization_id},
                    aggregation_id=aggregation_node.organization_id,
                    clean_models=clean_models,
                )
                for position, node in enumerate(train_data_nodes)
            ]
            local = [state for state, _ in states]
            total = aggregation_node.update_states(
                centre(shared_states=[shared for _, shared in states]),
                authorized_ids=everybody,
                clean_models=False,
            )

    def save_local_state(self, path):
        with Path(path).open("wb") as file:
            np.save(file, self.own_mean if self.own_mean is not None else np.zeros(0))

    def load_local_state(self, path):
        self.own_mean = np.load(path)
        return self


def experiment(client, nodes, rounds):
    """The plan, which has two steps however many rounds are asked for."""
    return execute_experiment(
        client=client,
        strategy=Moments(correction=1),
        train_data_nodes=nodes.train,
        aggregation_node=nodes.aggregation,
        experiment_folder="summaries",
        dependencies=Dependency(pypi_dependencies=[f"numpy=={version('numpy')}"], local_code=[Path(__file__)]),
        clean_models=False,
        name=Path(__file__).stem,
    )


def learned(moments):
    return {"own mean": moments.own_mean}
