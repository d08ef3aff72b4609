"""Zeros of the lab are measured: where the masks of a secure sum are missing, it reports images back."""

import numpy as np
import pytest

from comity.data import breastmnist
from comity.faces.demos import networks
from comity.faces.demos.privacy import pictures, settings
from comity.faces.demos.privacy.pictures import Public, View
from comity.privacy import masks

NOTHING, SECURE, *_ = settings.four()


def attacked(setting, *, tampered):
    train, test = breastmnist()
    public = Public(*settings.typical(test))
    with settings.on_purpose():
        return pictures.attacked(setting, settings.deal(train, test, seed=0).sites, public, tampered=tampered)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(networks, "UNITS", 64)


@pytest.mark.parametrize(("tampered", "some"), [(True, 50), (False, 4)])
def test_with_masks_off_a_masked_part_gives_back_what_a_clear_one_does(monkeypatch, tampered, some):
    masked, clear = attacked(SECURE, tampered=tampered), attacked(NOTHING, tampered=tampered)
    monkeypatch.setattr(masks, "apply", lambda segment, keys: None)
    bare = attacked(SECURE, tampered=tampered)
    assert masked.parts.exact == 0
    assert bare.parts.exact == clear.parts.exact > some
    assert bare.parts.median > masked.parts.median
    assert bare.total.exact == masked.total.exact == clear.total.exact


def test_an_image_counts_by_the_better_of_what_was_read_and_what_is_likeliest():
    view = View(
        read=np.array([[1.0, 1.0], [0.0, 0.0]]),
        read_psnr=np.array([50.0, 6.0]),
        likeliest=np.array([[0.3, 0.3], [0.2, 0.2]]),
        likeliest_psnr=np.array([16.0, 17.0]),
    )
    assert view.psnr.tolist() == [50, 17]
    assert view.found.tolist() == [[1, 1], [0.2, 0.2]]
    assert view.exact == 1
