"""Methods against lightly's losses, which run here on codes drawn anew: value and gradients.

tests/test_conformance.py has numbers of the authors' releases, frozen; this is the independent
implementation that a user is likeliest to have beside ours.
"""

import copy
import sys
from importlib import import_module
from pathlib import Path

import lightly.loss as theirs
import pytest
import torch
import torch.nn.functional as F
from lightly.models.utils import update_momentum
from torch import nn

from mdlib import losses
from mdlib.methods.joint_embedding import follow

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book"))
conformance = import_module("conformance")
ROUNDING = {"rtol": 1e-6, "atol": 1e-7}  # simsiam and byol predict in float32


def views(seed):
    """Projections of two views of 40 images, [40, 6] each."""
    draw = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, 40, 6, generator=draw, dtype=torch.float64)
    mixing = torch.randn(6, 6, generator=draw, dtype=torch.float64)
    first = first @ mixing + 0.3
    return [conformance.leaf(first), conformance.leaf(first + 0.7 * second)]


def regressed(name):
    """A method whose projections and targets are given, each its own prediction, and lightly."""

    def pair(a, b):
        method = conformance.learner(name)
        method.project = lambda views: [a, b]
        method.projector = method.predictor = method.target_projector = nn.Identity()
        method.codes = method.target_codes = method.project
        cosine = theirs.NegativeCosineSimilarity()
        return (
            method.loss(torch.empty(0))[0],
            2 + cosine(a, b.detach()) + cosine(b, a.detach()),
        )

    return pair


def moco(a, b):
    queue = F.normalize(torch.randn(64, 6, generator=torch.Generator().manual_seed(9)).double())
    loss = theirs.NTXentLoss(temperature=0.2, memory_bank_size=(64, 6))
    loss.memory_bank.bank = queue.clone()
    keys = b.detach()
    return losses.queue_info_nce(a, keys, queue, 0.2), loss(a, keys)


def swav(a, b):
    draw = torch.Generator().manual_seed(7)
    prototypes = F.normalize(torch.randn(9, 6, generator=draw).double())
    scores = [F.normalize(z) @ prototypes.T for z in (a, b)]
    mine = losses.swapped_prediction(torch.stack([a, b], 1), prototypes)
    return mine, theirs.SwaVLoss()(scores, []).squeeze()


def both(name, of, **options):
    """A method that compares projections, and lightly's loss of them."""
    return lambda a, b: (conformance.on_projections(name, [a, b], **options), of(a, b))


def w_mse(a, b):
    return theirs.WMSELoss(embedding_dim=6, w_size=40)(torch.cat([a, b]))


PAIRS = {
    "infonce": lambda a, b: (
        losses.info_nce(torch.stack([a, b], 1), 0.3),
        theirs.NTXentLoss(temperature=0.3)(a, b),
    ),
    "moco": moco,
    "barlow": both("barlow", theirs.BarlowTwinsLoss(0.02), redundancy_weight=0.02),
    "vicreg": both("vicreg", theirs.VICRegLoss()),  # with both sides' default weights
    "wmse": both("wmse", w_mse),
    "swav": swav,
    "simsiam": regressed("simsiam"),
    "byol": regressed("byol"),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PAIRS)
def test_value_and_gradients_are_lightlys(name, seed):
    codes = views(seed)
    found = []
    for side in range(2):
        loss = PAIRS[name](*codes)[side]
        gradients = torch.autograd.grad(loss, codes, allow_unused=True)
        found.append([loss, *gradients])
    for mine, lightlys in zip(*found, strict=True):
        assert (mine is None) == (lightlys is None)
        if mine is not None:
            torch.testing.assert_close(mine, lightlys.to(mine), **ROUNDING)
    assert found[0][1].norm() > 1e-3


def test_a_slow_copy_follows_as_lightlys_does():
    torch.manual_seed(0)
    fast, slow = nn.Linear(5, 4), nn.Linear(5, 4)
    other = copy.deepcopy(slow)
    with torch.no_grad():
        follow(slow, fast, 0.97)
    update_momentum(fast, other, m=0.97)
    for mine, lightlys in zip(slow.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, lightlys)
