"""Rows registered at their organizations, and the nodes of SubstraFL that stand for them."""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_iris
from substra.sdk.schemas import DataSampleSpec, DatasetSpec, Permissions
from substrafl.nodes import AggregationNode, TestDataNode, TrainDataNode

import comity as co

NAMES = ["MyOrg1MSP", "MyOrg2MSP", "MyOrg3MSP"]
PARTS = [["train", "test"], ["train"], ["test"]]
"""What the rows of each organization are for: the first two train, and of those that test one has to fetch its model.

The third also adds up.
"""


@dataclass(frozen=True)
class Nodes:
    """Where an experiment runs."""

    train: list[TrainDataNode]
    test: list[TestDataNode]
    aggregation: AggregationNode


def iris():
    """Iris, dealt to three organizations: of each part x, y."""
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return [{"train": (x[part], y[part]), "test": (x[part], y[part])} for part in np.array_split(order, 3)]


def heart():
    """Patients of three hospitals: of each part x, y."""
    sites = co.data.heart()[:2] + co.data.heart()[3:]
    return [{"train": (site.train.x, site.train.y), "test": (site.test.x, site.test.y)} for site in sites]


ROWS = {"iris": iris, "heart": heart}


def register(clients, name, folder, opener):
    """The nodes, once each organization has registered the rows that it has a part for."""
    keys = {}
    for client, organization, parts, rows in zip(clients, NAMES, PARTS, ROWS[name](), strict=True):
        everybody = Permissions(public=False, authorized_ids=NAMES)
        about = folder / f"{organization}.md"
        about.write_text(f"# {name}\n")
        dataset = client.add_dataset(
            DatasetSpec(
                name=name, data_opener=opener, description=about, permissions=everybody, logs_permission=everybody
            )
        )
        for part in parts:
            sample = folder / f"{organization}-{part}"
            sample.mkdir()
            for letter, values in zip("xy", rows[part], strict=True):
                np.save(sample / f"{letter}.npy", values)
            added = client.add_data_sample(DataSampleSpec(path=sample, data_manager_keys=[dataset]))
            keys[organization, part] = (organization, dataset, [added])
    return Nodes(
        train=[TrainDataNode(*keys[each, "train"]) for each in NAMES if (each, "train") in keys],
        test=[TestDataNode(*keys[each, "test"]) for each in NAMES if (each, "test") in keys],
        aggregation=AggregationNode(NAMES[2]),
    )
