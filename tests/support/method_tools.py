"""What the tests of methods in training share."""

import pytest
import torch

from mdlib import data, methods
from mdlib.training import ImageViews, fit
from mdlib.views import Views

LAW = Views(crop=(0.4, 1.0), rotation=30, brightness=0.4)


def for_digits(name, **options):
    """A small method for the images of digits."""
    shape = data.load("digits").image_shape
    return methods.create(name, image_shape=shape, latent_dim=16, arch="mlp-small", **options)


def train(method, steps=40):
    """The losses of a method on digits."""
    digits = data.load("digits")
    return fit(
        method, ImageViews(digits.images, LAW, labels=digits.labels), steps=steps, batch_size=64,
        seed=0, device="cpu", progress=False,
    )  # fmt: skip


def fall(history, term="loss"):
    """The mean of the first five values of a term, and of the last five."""
    return history[term].iloc[:5].mean(), history[term].iloc[-5:].mean()


class Stop(Exception):
    pass


def check_resume(name, path, **options):
    """A run that stops between two checkpoints, and goes on, has the bits of one that does not."""
    images = torch.randint(256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator())
    labels = torch.arange(40) % 10

    def make():
        return methods.create(
            name, image_shape=(1, 8, 8), latent_dim=3, arch="mlp-small", **options
        )

    def go(method, **checkpoint):
        return fit(
            method, ImageViews(images, LAW, labels=labels), steps=8, batch_size=12, seed=1,
            device="cpu", progress=False, **checkpoint,
        )  # fmt: skip

    whole, stopped, resumed = make(), make(), make()
    expected = go(whole)

    def stop(step, method, history):
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        go(stopped, checkpoint=path, checkpoint_every=3, callbacks=[stop])
    assert torch.load(path, weights_only=True)["history"].shape[0] == 3
    history = go(resumed, checkpoint=path, checkpoint_every=3)
    assert history.equals(expected)
    ours, theirs = whole.state_dict(), resumed.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
