"""FedProx against the closed form of a proximal step."""

import numpy as np

import comity as co
from comity.frameworks.numpy import Linear
from comity.strategies import FedProx
from comity.values.strategy import Network


def test_every_training_is_pulled_to_the_shared_model_with_strength_mu(told):
    asked = []
    site = told(lambda training: asked.append(training) or training.params)
    state = FedProx(mu=0.3).init({"w": np.array([1.0])}, Network(1))
    FedProx(mu=0.3).local(state, {}, site)
    assert asked[0].pull.strength == 0.3
    assert asked[0].pull.to is state.params


def test_a_site_that_trains_to_the_end_lands_on_the_proximal_point(apart):
    mu, site = 0.7, apart[0]
    x = np.column_stack([site.train.x, np.ones(len(site.train))])
    model = Linear(features=2)
    begin = model.init(42)
    start = np.append(begin["weight"], begin["bias"])
    # argmin ½‖xw - y‖²/n + mu/2 ‖w - start‖²
    hessian = x.T @ x / len(x)
    wanted = np.linalg.solve(hessian + mu * np.eye(3), x.T @ site.train.targets / len(x) + mu * start)
    train = co.Train(optimizer=co.SGD(lr=0.2), batch_size=0, steps=400)
    experiment = co.Experiment(model=model, train=train, strategy=FedProx(mu=mu), rounds=1, seed=42)
    got = co.simulate(experiment, [site], progress=False).model
    np.testing.assert_allclose(np.append(got["weight"], got["bias"]), wanted, rtol=1e-10)
