"""A GPU that isn't there: tensors of device "cuda" without numbers, on which mixing devices fails.

torch's FakeTensorMode knows shapes, types and devices only. So whatever waits for a device, to look
at a number, fails here, too, and what runs here is free of that. No gradient can be faked, and what
is done on the CPU by intention (an index, a scalar) passes. The generator is a real one that says
it were on the device.

To add to it: a function in a parametrised list below.
"""

import pytest
import torch
from loss_cases import HALF_CASES
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from mdlib import losses, methods
from mdlib.methods.style_terms import STYLE_TERMS as TERMS
from mdlib.views import SharedStyle, Views, circular, style

CUDA = torch.device("cuda")
SHAPE = (3, 16, 16)
EVERYTHING = Views(
    crop=(0.3, 1.0), hflip=0.5, vflip=0.2, rotation=20, brightness=0.4, contrast=0.4,
    saturation=0.4, hue=0.1, jitter_p=0.8, grey=0.2, blur=(0.5, 2.0), blur_p=0.5, noise=0.1,
    erase=0.3,
)  # fmt: skip
TINY = {
    "wmse": {"head_dim": 4}, "instance": {"instances": 50},
    "beta_tcvae": {"estimator": "stratified", "dataset_size": 100},
    "simve": {"centres": "gaussian"}, "partitioned_byol": {"style_term": "augmentation"},
}  # fmt: skip


class Generator(torch.Generator):
    device = CUDA


@pytest.fixture(autouse=True)
def fake():
    with FakeTensorMode(allow_non_fake_inputs=False):
        yield


def on_cuda(tensor):
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=CUDA)


def create(name, **options):
    """A method whose weights and buffers are on the device: made on the CPU, then exchanged."""
    with unset_fake_temporarily():
        method = methods.create(name, image_shape=SHAPE, latent_dim=4, **options)
    for module in method.modules():
        for key, value in module._parameters.items():
            if value is not None:
                module._parameters[key] = nn.Parameter(on_cuda(value), value.requires_grad)
        for key, value in module._buffers.items():
            module._buffers[key] = on_cuda(value)
    return method


def images(count=8):
    return torch.empty(count, *SHAPE, dtype=torch.uint8, device=CUDA)


def test_mixing_devices_is_noticed():
    with pytest.raises(Exception, match="same device"):
        images().float() + torch.ones(16)
    with pytest.raises(Exception, match="local_scalar"):
        float(images().float().sum())


@pytest.mark.parametrize("law", [EVERYTHING, SharedStyle(**vars(EVERYTHING))])
@pytest.mark.parametrize("name", [None, *vars(EVERYTHING)])
def test_laws_of_views(law, name):
    if name is not None:  # each by itself, as well as all together
        law = type(law)(**{name: getattr(law, name)})
    views, parameters = law(images(), 2, Generator())
    assert views.device.type == "cuda" and views.shape == (8, 2, *SHAPE)
    columns = circular(style(parameters), "hue", "rotation")
    assert all(c.device.type == "cuda" and c.shape == (8, 2) for c in columns.values())


@pytest.mark.parametrize("name", HALF_CASES)
def test_losses(name):
    with torch.no_grad():
        arguments = [on_cuda(a) if torch.is_tensor(a) else a for a in HALF_CASES[name]]
        result = getattr(losses, name)(*arguments)
    result = result if isinstance(result, tuple) else (result,)
    assert all(r.device.type == "cuda" and r.dtype == torch.float32 for r in result)


@pytest.mark.parametrize("arch", ["mlp", "conv", "resnet"])
@pytest.mark.parametrize("name", methods.names())
def test_loss_after_step_and_codes_of_every_method(name, arch):
    method = create(name, arch=arch, **TINY.get(name, {}))
    views, parameters = EVERYTHING(images(), 2, Generator())
    extras = {
        "parameters": parameters,
        "labels": torch.empty(8, dtype=torch.int64, device=CUDA),
        "index": torch.empty(8, dtype=torch.int64, device=CUDA),
    }
    total, terms = method.loss(views, Generator(), **{n: extras[n] for n in method.uses})
    method.after_step(0, 10)
    for value in (total, *terms.values()):
        assert value.device.type == "cuda" and value.shape == () and value.dtype == torch.float32
    codes = method.encode(torch.empty(5, *SHAPE, dtype=torch.uint8))  # images may be on the CPU
    assert codes.device.type == "cuda" and codes.shape == (5, 4)


@pytest.mark.parametrize("term", list(TERMS))
def test_style_terms(term):
    method = create("partitioned_byol", style_term=term)
    method.style.looked = True  # the one look at the first batch's parameters, which is allowed
    views, parameters = SharedStyle(crop=(0.3, 1.0), hue=0.1)(images(), 2, Generator())
    extras = {"parameters": parameters} if method.uses else {}
    assert method.loss(views, Generator(), **extras)[0].device.type == "cuda"
    method.after_step(0, 10)


@pytest.mark.parametrize("name", ["vae", "simve", "mixture_vae", "gvae", "partitioned_vae"])
def test_decoding(name):
    options = {"centres": "gaussian"} if name == "simve" else {}
    method = create(name, **options)
    for result in (method.reconstruct(images()), method.sample(8, Generator())):
        assert result.device.type == "cuda" and result.shape == (8, *SHAPE)
    assert method.elbo(images(), generator=Generator()).device.type == "cuda"
