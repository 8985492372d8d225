"""What is fitted inside somebody's autocast, or without gradients, is as it is outside."""

import pytest
import torch
from torch import nn

from mdlib import mi
from mdlib.evaluation import probes
from mdlib.methods import create
from mdlib.registry import seeded
from mdlib.training import ImageViews, fit, regress
from mdlib.views import Views

DRAW = torch.Generator().manual_seed(0)
X = torch.randn(120, 4, generator=DRAW)
Y = X[:, :1] + 0.5 * torch.randn(120, 1, generator=DRAW)
LABELS = (X[:, 0] > 0).long()
IMAGES = torch.randint(256, (20, 1, 8, 8), dtype=torch.uint8, generator=DRAW)


def regressed():
    with torch.inference_mode(False), seeded(0):
        network = nn.Linear(4, 1)
    return regress(network, X, Y, steps=5).weight.tolist()


def trained():
    with torch.inference_mode(False):
        method = create("vae", image_shape=(1, 8, 8), latent_dim=2, arch="mlp-small")
    options = {"steps": 2, "batch_size": 8, "device": "cpu", "progress": False}
    return fit(method, ImageViews(IMAGES, Views(noise=0.1)), **options)["loss"].tolist()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: probes.mlp(X, LABELS, X, LABELS).predictions.tolist(),
        lambda: probes.few_shot(X, LABELS, X, LABELS, shots=5).score,
        lambda: mi.estimate(X, Y, "infonce", steps=20, check=False, repeats=2).value,
        regressed,
        trained,
    ],
    ids=["probe", "few_shot", "estimate", "regress", "fit"],
)
def test_a_fit_knows_nothing_of_where_it_is_called(ask):
    expected = ask()
    for within in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16)):
        with within:
            assert ask() == expected
