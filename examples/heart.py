"""Four hospitals predict heart disease: comity run examples/heart.py --data heart"""

import comity as co

experiment = co.Experiment(
    model=co.numpy.Linear(features=13, loss="logistic"),
    train=co.Train(optimizer=co.SGD(lr=0.005), batch_size=4, steps=100),
    strategy=co.FedAvg(),
    metrics=[co.metrics.accuracy, co.metrics.auc],
    rounds=15,
    seed=42,
)
