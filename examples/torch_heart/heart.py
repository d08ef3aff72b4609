"""Data: numbers and the names of code. comity run examples/torch_heart/heart.py --data heart"""

import model
from torch.nn.functional import binary_cross_entropy_with_logits

import comity as co

experiment = co.Experiment(
    model=co.torch.Model(model.net, loss=binary_cross_entropy_with_logits),
    train=co.Train(optimizer=co.SGD(lr=3e-3), batch_size=4, steps=100),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy, co.metrics.auc],
    rounds=15,
    seed=42,
)
