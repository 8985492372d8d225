import pytest
import torch
from torch import nn

from mdlib import nets
from mdlib.nets.resnet import Residual

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 32, 64)]
CASES = [(arch, shape) for arch in nets.ENCODERS for shape in SHAPES]
CASES.remove(("resnet", (1, 28, 28)))


def scalars(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "shape"), [*CASES, ("resnet", (3, 64, 64))])
def test_encoder_and_decoder_mirror_each_other(arch, shape):
    images = torch.rand(5, *shape)
    codes = nets.encoder(arch, shape, 7)(images)
    assert codes.shape == (5, 7)
    assert nets.decoder(arch, shape, 7)(codes).shape == images.shape


def test_unknown_architecture_names_the_valid_ones():
    with pytest.raises(ValueError, match=r"unknown architecture 'covn': did you mean 'conv'"):
        nets.encoder("covn", (1, 32, 32), 4)


@pytest.mark.parametrize("arch", nets.ENCODERS)
def test_relu_code_is_the_linear_code_without_its_negative_values(arch):
    images, codes = torch.rand(5, 1, 16, 16), {}
    for code in ("linear", "relu"):
        torch.manual_seed(0)
        codes[code] = nets.encoder(arch, (1, 16, 16), 7, code)(images)
    assert (codes["linear"] < 0).any()
    assert torch.equal(codes["relu"], codes["linear"].clamp(min=0))


def test_unknown_code_is_refused():
    with pytest.raises(ValueError, match=r"code='tanh': expected one of \('linear', 'relu'\)"):
        nets.encoder("mlp", (1, 16, 16), 4, "tanh")


def test_conv_refuses_sides_it_would_have_to_crop():
    with pytest.raises(ValueError, match=r"multiples of 4, not 30×32"):
        nets.decoder("conv", (1, 30, 32), 4)


def test_mlp_has_no_activation_at_its_end_and_no_bias_after_batch_norm():
    head = nets.projection(4, 8, 3)
    assert [type(m).__name__ for m in head] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert head[-1].bias is None


def test_mlp_takes_another_activation():
    kinds = [type(layer) for layer in nets.mlp((3, 5, 4, 2), activation=nn.SiLU)]
    assert kinds == [nn.Linear, nn.SiLU, nn.Linear, nn.SiLU, nn.Linear]


@pytest.mark.parametrize(("dim", "couplings"), [(1, 0), (4, 0), (4, 3), (5, 2)])
def test_a_flow_is_invertible_and_its_determinant_is_right(dim, couplings):
    torch.manual_seed(0)
    flow = nets.CouplingFlow(dim, couplings).double()
    x = torch.randn(7, dim, dtype=torch.float64)
    z, log_det = flow(x)
    torch.testing.assert_close(flow.inverse(z), x)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda v: flow(v[None])[0][0]))(x)
    torch.testing.assert_close(log_det, jacobian.slogdet()[1])


def test_a_coupling_needs_two_numbers():
    with pytest.raises(ValueError, match="dim=1"):
        nets.CouplingFlow(1, 1)


def test_parameter_counts_of_the_released_simve_mlp():
    # 784–2000–500–500–2·10 and back from 10: the fact sheet `simve` gives 2.83 M for each.
    encoder = nets.encoder("mlp-large", (1, 28, 28), 20)
    decoder = nets.decoder("mlp-large", (1, 28, 28), 10)
    count = scalars(encoder)
    assert count == 785 * 2000 + 2001 * 500 + 501 * 500 + 501 * 20
    assert round(count / 1e6, 2) == 2.83
    sizes = [(m.in_features, m.out_features) for m in decoder if isinstance(m, torch.nn.Linear)]
    assert sizes == [(10, 500), (500, 500), (500, 2000), (2000, 784)]
    assert round(scalars(decoder) / 1e6, 2) == 2.83


# --- the residual networks ------------------------------------------------------------------------


def feature_maps(network, x):
    """Shapes [C, H, W] after each layer of a sequence, repetitions left out."""
    shapes = []
    for layer in network:
        x = layer(x)
        if x.ndim == 4 and (not shapes or shapes[-1] != tuple(x.shape[1:])):
            shapes.append(tuple(x.shape[1:]))
    return shapes


@pytest.mark.parametrize("side", [32, 64])
def test_resnet_has_the_stages_of_the_released_one(side):
    s = side
    encoder = nets.encoder("resnet", (3, side, side), 6)
    assert feature_maps(encoder, torch.rand(2, 3, side, side)) == [
        (64, s, s), (64, s // 2, s // 2),  # the stem and its pooling
        (32, s // 2, s // 2), (64, s // 4, s // 4), (128, s // 8, s // 8),
    ]  # fmt: skip
    assert encoder[-1].in_features == {32: 2048, 64: 8192}[side]  # the fact sheet's
    decoder = nets.decoder("resnet", (3, side, side), 6)
    assert feature_maps(decoder, torch.randn(2, 6)) == [
        (512, s // 16, s // 16), (256, s // 8, s // 8), (128, s // 4, s // 4),
        (64, s // 2, s // 2), (3, s, s),
    ]  # fmt: skip


def test_parameter_counts_of_the_resnet():
    def norm(channels):
        return 2 * channels

    def block(a, b):
        return 9 * a * b + 9 * b * b + 2 * norm(b)

    def stage(a, b, k):  # k × k weights in the shortcut of the first block
        return block(a, b) + k * k * a * b + norm(b) + block(b, b)

    expected = 9 * 3 * 64 + norm(64) + stage(64, 32, 1) + stage(32, 64, 1) + stage(64, 128, 1)
    expected += 2049 * 20
    assert scalars(nets.encoder("resnet", (3, 32, 32), 20)) == expected
    expected = 11 * 2048 + stage(512, 256, 2) + stage(256, 128, 2) + stage(128, 64, 2)
    expected += 2 * block(64, 64) + 49 * 64 * 3 + 3
    assert scalars(nets.decoder("resnet", (3, 32, 32), 10)) == expected


def test_a_residual_block_adds_its_input():
    x = torch.randn(2, 3)
    block = Residual(torch.nn.Linear(3, 3), torch.nn.Identity())
    torch.nn.init.zeros_(block.main.weight)
    torch.nn.init.constant_(block.main.bias, 0.5)
    torch.testing.assert_close(block(x), (x + 0.5).clamp(min=0))


@pytest.mark.parametrize("make", [nets.encoder, nets.decoder])
def test_resnet_refuses_other_sides(make):
    with pytest.raises(ValueError, match=r"multiples of 16, not 28×32: resize"):
        make("resnet", (1, 28, 32), 4)


def test_gaussian_splits_in_halves_and_bounds_the_log_variance():
    parameters = torch.tensor([[1.0, 2.0, -100.0, 100.0]])
    mean, log_variance = nets.Gaussian()(parameters)
    assert mean.tolist() == [[1.0, 2.0]]
    assert log_variance.tolist() == [[-16.0, 8.0]]
