"""`regress` fits, leaves the network frozen, and repeats itself by its seed."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mdlib.training import regress


def fitted(**options):
    torch.manual_seed(0)
    x = torch.randn(300, 3)
    y = x @ torch.tensor([[1.0, 0], [2, -1], [0, 1]])
    network = regress(nn.Linear(3, 2), x, y, lr=0.05, **{"steps": 200, **options})
    return network, F.mse_loss(network(x), y).item()


def test_it_fits_and_leaves_the_network_frozen():
    network, error = fitted()
    assert error < 1e-3 and not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_noise_shrinks_weights_as_it_does_in_regression():
    """Of inputs with variance 1 and noise of variance s² E u², u uniform, 1/(1 + s²/3) is left."""
    network, _ = fitted(noise=2.0, steps=1500, batch_size=256)
    left = network.weight[1] @ torch.tensor([0, -1.0, 1]) / 2
    assert left.item() == pytest.approx(1 / (1 + 4 / 3), abs=0.06)


def test_the_seed_repeats_and_another_does_not():
    one, again, other = (fitted(seed=s, steps=3)[0].weight for s in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_the_loss_can_be_another():
    x = torch.tensor([[-1.0], [1.0]]).repeat(20, 1)
    net = regress(nn.Linear(1, 2), x, (x[:, 0] > 0).long(), F.cross_entropy, steps=50, lr=0.1)
    assert net(x).argmax(1).tolist() == [0, 1] * 20


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="3 samples with 2 targets"):
        regress(nn.Linear(1, 1), torch.zeros(3, 1), torch.zeros(2, 1))
    with pytest.raises(ValueError, match="noise=-1"):
        regress(nn.Linear(1, 1), torch.zeros(3, 1), torch.zeros(3, 1), noise=-1)
