"""`--set path=value`: one field is replaced, and nothing else is let in."""

import pytest

from comity.engine.settings import with_setting
from comity.values.errors import InvalidInput


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("rounds=7", lambda e: e.rounds == 7),
        ("train.optimizer.lr=0.01", lambda e: e.train.optimizer.lr == 0.01),
        ("train.optimizer.lr=1", lambda e: type(e.train.optimizer.lr) is float),
        ("train.optimizer.momentum=0.9", lambda e: e.train.optimizer.momentum == 0.9),
        ("strategy.sites_per_round=1", lambda e: e.strategy.sites_per_round == 1),
        ("quorum=0.5", lambda e: e.quorum == 0.5),
        ("best=auc", lambda e: e.best == "auc"),
        ('best="auc"', lambda e: e.best == "auc"),
        ("best=null", lambda e: e.best is None),
        ("model.loss=squared", lambda e: e.model.loss == "squared"),
    ],
)
def test_a_setting_is_applied(experiment, setting, read):
    assert read(with_setting(experiment, setting))


def test_nothing_else_changes(experiment):
    assert with_setting(with_setting(experiment, "rounds=9"), "rounds=3") == experiment


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("rounds", "a setting is written path=value"),
        ("=3", "a setting is written path=value"),
        ("rouns=3", "there is no field of Experiment 'rouns'; did you mean 'rounds'?"),
        ("train.optimizer.rate=3", "there is no field of SGD 'rate'"),
        ("train.optimizer.l=3", "did you mean 'lr'?"),
        ("rounds=many", "rounds must be a whole number, not 'many'"),
        ("rounds=1.5", "rounds must be a whole number, not 1.5"),
        ("rounds=true", "rounds must be a whole number, not True"),
        ("rounds=null", "rounds must be a whole number, not None"),
        ("rounds=0", "rounds must be a whole number of at least 1, not 0"),
        ("rounds=" + "9" * 5000, "rounds must be a whole number"),
        ("rounds=" + "[" * 100_000, "rounds must be a whole number"),
        ("train.optimizer.lr=-1", "lr must be a number above 0"),
        ("train.optimizer.lr=NaN", "lr must be a number above 0"),
        ("train.optimizer.nesterov=1", "nesterov must be true or false, not 1"),
        ("best=5", "best must be text, not 5"),
        ("best=acuracy", "did you mean 'accuracy'?"),
        ("strategy=FedProx", "only numbers, text and switches can be set"),
        ("metrics=[]", "only numbers, text and switches can be set"),
        ("best=[1]", "only numbers, text and switches can be set, not [1]"),
        ("stop.patience=3", "goes into None, which has no fields"),
        ("rounds.x=3", "goes into 3, which has no fields"),
    ],
)
def test_what_cannot_be_set_is_refused(experiment, setting, sentence):
    with pytest.raises(InvalidInput) as caught:
        with_setting(experiment, setting)
    assert sentence in str(caught.value)
