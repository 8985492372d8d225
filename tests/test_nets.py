import pytest
import torch

from mdlib import nets


@pytest.mark.parametrize("arch", nets.ENCODERS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 32, 64)])
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


def test_parameter_count_of_the_released_simve_encoder():
    # 784–2000–500–500–2·10: the fact sheet `simve` gives 2.83 M.
    encoder = nets.MLPEncoder((1, 28, 28), 20, hidden=(2000, 500, 500))
    assert nets.parameter_count(encoder) == 785 * 2000 + 2001 * 500 + 501 * 500 + 501 * 20


def test_gaussian_splits_in_halves_and_bounds_the_log_variance():
    parameters = torch.tensor([[1.0, 2.0, -100.0, 100.0]])
    mean, log_variance = nets.Gaussian()(parameters)
    assert mean.tolist() == [[1.0, 2.0]]
    assert log_variance.tolist() == [[-16.0, 8.0]]
