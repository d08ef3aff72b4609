"""SharedTrunk against stepping on the pooled rows."""

import numpy as np
import pytest

import comity as co
from comity.frameworks.numpy import Model
from comity.strategies import SharedTrunk
from comity.values import tree
from comity.values.seed import batches, derive
from comity.values.site import Work
from comity.values.strategy import Network

ONE = SharedTrunk(trunk=("trunk",))


def gradient(params, x, y):
    """Of ½ mean (x · trunk + head - y)²."""
    error = x @ params["trunk"] + params["head"] - y
    return {"trunk": x.T @ error / len(x), "head": np.asarray(error.mean())}, float(np.mean(error**2) / 2)


def linear():
    begin = {"trunk": np.array([0.5, -1.0]), "head": np.asarray(0.25)}
    return Model(lambda _: begin, gradient, lambda params, x: x @ params["trunk"] + params["head"])


def simulate(sites, train, rounds=2, strategy=ONE):
    experiment = co.Experiment(model=linear(), train=train, strategy=strategy, rounds=rounds, seed=1)
    return co.simulate(experiment, sites, progress=False)


@pytest.mark.parametrize("optimizer", [co.SGD(lr=0.1), co.SGD(lr=0.1, momentum=0.9), co.Adam(lr=0.05)])
def test_the_trunk_steps_by_the_pooled_gradient_and_heads_by_their_own(apart, optimizer):
    """An independent loop: one optimizer for the trunk, one for each head, kept over the rounds."""
    run = simulate(apart, co.Train(optimizer=optimizer, batch_size=6, steps=4), rounds=3)
    trunk, heads = [np.array([0.5, -1.0])], {site.name: [np.asarray(0.25)] for site in apart}
    slots, own = optimizer.start(trunk), {name: optimizer.start(head) for name, head in heads.items()}
    for step in range(12):
        number, place = divmod(step, 4)
        rows, grads = 0, np.zeros(2)
        for site in apart:
            seed = derive(derive(1, "round", number + 1, site.name), "batches")
            batch = list(batches(len(site.train), 6, 4, seed))[place]
            taken = site.train.take(batch)
            found, _ = gradient({"trunk": trunk[0], "head": heads[site.name][0]}, taken.x, taken.targets)
            rows, grads = rows + len(batch), grads + len(batch) * found["trunk"]
            heads[site.name], own[site.name] = optimizer.step(
                heads[site.name], [found["head"]], own[site.name], step + 1
            )
        trunk, slots = optimizer.step(trunk, [grads / rows], slots, step + 1)
    np.testing.assert_allclose(run.state.params["trunk"], trunk[0], rtol=1e-12)
    for site in apart:
        np.testing.assert_allclose(run.model_at(site.name)["head"], heads[site.name][0], rtol=1e-12)
    assert run.state.count == 12
    assert run.state.params["head"] == 0.25


def test_identical_sites_train_as_one(apart):
    train = co.Train(optimizer=co.Adam(lr=0.05), batch_size=0, steps=5)
    copies = [co.Site(name, train=apart[2].train) for name in "AB"]
    alone, both = simulate(copies[:1], train), simulate(copies, train)
    tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12) or a, alone.model_at("A"), both.model_at("B"))


def test_nothing_of_a_head_leaves_a_site(apart):
    train = co.Train(optimizer=co.Adam(lr=0.1), batch_size=3, steps=2)
    state, site = ONE.init(linear().init(0), Network(1)), apart[0].bound(Work(linear(), train, 0, linear().fit))
    steps, left = ONE.local(state, {}, site), []
    try:
        left.append(next(steps))
        while True:
            left.append(steps.send(left[-1]))
    except StopIteration as stop:
        given, memory = stop.value
    assert [(set(part.total), part.weight) for part in left] == [({"trunk"}, 3.0)] * 2
    assert set(tree.flatten(given.total)) == {"params/trunk", "slots/0/trunk", "slots/1/trunk", "count"}
    assert set(tree.flatten(memory)) == {"head/head", "slots/0/head", "slots/1/head", "count"}


def test_sites_must_step_alike(apart):
    with pytest.raises(co.ComityError, match=r"give Train\(steps=...\) instead of epochs=2"):
        simulate(apart, co.Train(optimizer=co.SGD(lr=0.1), epochs=2))


def test_a_trunk_that_is_not_in_the_model_is_refused(apart):
    with pytest.raises(co.ComityError, match="there is no layer or parameter 'trnk'; did you mean 'trunk'"):
        simulate(apart, co.Train(optimizer=co.SGD(lr=0.1), steps=1), strategy=SharedTrunk(trunk=("trnk",)))
