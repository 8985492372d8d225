"""Ensembles of critics against plain networks, one by one."""

from functools import partial

import pytest
import torch
from torch import nn

from mdlib.mi import critics

DX, DY, BATCH, MEMBERS = 3, 2, 5, 4


@pytest.fixture
def pairs():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH, DX, generator=generator), torch.randn(BATCH, DY, generator=generator)


def plain(stacked, member):
    """One member of stacked layers as a `torch.nn` network."""
    layers = []
    for layer in stacked:
        if isinstance(layer, critics.Linears):
            linear = nn.Linear(*layer.weight.shape[1:])
            linear.weight.data = layer.weight[member].T
            linear.bias.data = layer.bias[member, 0]
            layer = linear
        layers.append(layer)
    return nn.Sequential(*layers)


def test_separable_is_an_inner_product_of_two_networks(pairs):
    critic = critics.create("separable", DX, DY, MEMBERS, hidden=8, layers=2, embed=6)
    scores = critic(*pairs)
    for m in range(MEMBERS):
        g, h = plain(critic.g, m)(pairs[0]), plain(critic.h, m)(pairs[1])
        for i in range(BATCH):
            for j in range(BATCH):
                torch.testing.assert_close(scores[m, i, j], (g[i] * h[j]).sum())


def test_concatenated_is_one_network_of_every_pair(pairs):
    critic = critics.create("concatenated", DX, DY, MEMBERS, hidden=8, layers=2)
    scores = critic(*pairs)
    for m in range(MEMBERS):
        network = plain([critic.first, nn.ReLU(), *critic.rest], m)
        for i in range(BATCH):
            for j in range(BATCH):
                pair = torch.cat([pairs[0][i], pairs[1][j]])
                torch.testing.assert_close(scores[m, i, j], network(pair)[0])


def test_bilinear_starts_at_zero_and_is_a_quadratic_form(pairs):
    critic = critics.create("bilinear", DX, DY, MEMBERS)
    assert (critic(*pairs) == 0).all()
    critic.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    expected = torch.einsum("id,mde,je->mij", pairs[0], critic.weight, pairs[1])
    torch.testing.assert_close(critic(*pairs), expected)


@pytest.mark.parametrize("tanh", [False, True])
def test_gaussian_conditional_is_the_log_density_of_y_given_x(pairs, tanh):
    options = {"hidden": 6, "tanh_log_variance": tanh}
    critic = critics.create("gaussian-conditional", DX, DY, MEMBERS, **options)
    critic.log_variance[-1].bias.data += 2  # so that tanh matters
    log_density = critic(*pairs)
    for m in range(MEMBERS):
        mean = plain(critic.mean, m)(pairs[0])
        log_variance = plain(critic.log_variance, m)(pairs[0])
        covariance = torch.diag_embed((log_variance.tanh() if tanh else log_variance).exp())
        for i in range(BATCH):
            normal = torch.distributions.MultivariateNormal(mean[i], covariance[i])
            torch.testing.assert_close(log_density[m, i], normal.log_prob(pairs[1]))


@pytest.mark.parametrize("name", critics.CRITICS)
def test_every_member_may_see_pairs_of_its_own(name, pairs):
    critic = critics.create(name, DX, DY, MEMBERS)
    x, y = (v.repeat(MEMBERS, 1, 1) for v in pairs)
    torch.testing.assert_close(critic(x, y), critic(*pairs))
    for weight in critic.parameters():
        weight.data.normal_(generator=torch.Generator().manual_seed(0))  # bilinear starts at 0
    x[1] += 1
    changed = (critic(x, y) - critic(*pairs)).abs().flatten(1).amax(1) > 1e-4
    assert changed.tolist() == [False, True, False, False]


@pytest.mark.parametrize("name", critics.CRITICS)
def test_members_share_nothing(name, pairs):
    critic = critics.create(name, DX, DY, MEMBERS)
    critic(*pairs)[2].sum().backward()
    for weight in critic.parameters():
        others = weight.grad[torch.tensor([0, 1, 3])]
        assert len(weight) == MEMBERS and (others == 0).all()
    assert any((weight.grad[2] != 0).any() for weight in critic.parameters())


def test_the_seed_decides_the_weights_and_no_global_state_moves():
    before = torch.random.get_rng_state()
    first, again = (critics.create("separable", DX, DY, 2, seed=3) for _ in range(2))
    other = critics.create("separable", DX, DY, 2, seed=4)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not torch.equal(first.g[0].weight, other.g[0].weight)
    assert not torch.equal(first.g[0].weight[0], first.g[0].weight[1])  # members differ
    assert first.g[0].weight.abs().max() <= DX**-0.5  # as nn.Linear


def test_an_unknown_critic_is_refused():
    with pytest.raises(ValueError, match=r"separabel.*separable"):
        critics.create("separabel", DX, DY)


def test_options_of_a_critic_are_of_its_kinds():
    make = partial(critics.create, "gaussian-conditional", 2, 2)
    assert make(tanh_log_variance=True, hidden=7).tanh_log_variance is True
    for options, words in (
        ({"tanh_log_variance": 2}, "tanh_log_variance=2: expected True or False"),
        ({"hidden": True}, "hidden=True: expected a whole number"),
        ({"hiden": 3}, "did you mean 'hidden'"),
    ):
        with pytest.raises(ValueError, match=words):
            make(**options)


def test_the_usual_separable_critic_has_three_hidden_layers_of_256_units():
    network = critics.create("separable", DX, DY).g
    weights = [w for name, w in network.named_parameters() if name.endswith("weight")]
    assert [w.shape[1:] for w in weights] == [(3, 256), (256, 256), (256, 256), (256, 32)]
